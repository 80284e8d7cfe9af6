"""The example site's addresses, and one that tells what the server's process holds."""

import asyncio
import ctypes
import gc
import os
from pathlib import Path

from django.db import connection, transaction
from django.http import JsonResponse
from django.urls import path

from events import limits
from events.live import broker
from eventsite.urls import urlpatterns as site


@transaction.non_atomic_requests
async def held(request):
    # Neither garbage nor what the C library keeps for later is held.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    brokers = broker._brokers.get(asyncio.get_running_loop(), {}).values()
    return JsonResponse(
        {
            "files": len(os.listdir("/proc/self/fd")),
            "threads": len(os.listdir("/proc/self/task")),
            "tasks": len(asyncio.all_tasks()),
            "followers": sum(len(one.wakes) for one in brokers),
            "topics": sum(len(one.window.topics) for one in brokers),
            "streams": sum(len(one.streams.followers) for one in brokers),
            "leaving": len(limits._leaving),
            "kilobytes": int(Path("/proc/self/statm").read_text().split()[1]) * 4,
        }
    )


def keep(request):
    """Keep a connection of the database for some seconds, as a slow report would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [float(request.GET["seconds"])])
    return JsonResponse({})


urlpatterns = [path("held/", held), path("keep/", keep), *site]
