"""The part of `read.py` over HTTP: a page through the whole view, an export in constant memory.

The rival of a page is what DRF's documentation would have one write over the same table:
CursorPagination and a ModelSerializer, here of `Event` itself, with the same fields. Both views are called as Django calls them, and render.
The export is measured from outside, on uvicorn: what the server's memory grows by.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import harness
from benchmarks.harness import DISPLAY, Report, Result

LIMIT = 100


def measure(report: Report, alias: str, size: int, rounds: int) -> None:
    """Of a log and a rival that have `size` rows each."""
    page(report, alias, size - 2 * LIMIT, rounds)
    export(report, alias, size)


# A page


def page(report: Report, alias: str, deep: int, rounds: int) -> None:
    name = f"{DISPLAY[alias]}: GET of {LIMIT} entries"
    ours, rival = harness.alternate([our_page(alias, 1), drf_page(alias)], rounds)
    ratio = harness.times_as_fast(ours, rival)
    typical = [harness.milliseconds(median(some)) for some in (ours, rival)]
    report.add(Result(f"{name} vs CursorPagination", *typical, ratio, 4.0))
    first, last = harness.alternate([our_page(alias, 1), our_page(alias, deep)], rounds)
    ratio = 1 / harness.times_as_fast(last, first)
    typical = [harness.milliseconds(median(some)) for some in (last, first)]
    report.add(Result(f"{name} after {deep:,} vs after 1", *typical, ratio, 1.3, at_most=True))


def our_page(alias: str, since: int) -> Callable[[], object]:
    from rest_framework.test import APIRequestFactory

    from events.api.views import EventsView

    view = EventsView.as_view()
    request = APIRequestFactory().get("/", {"log": alias, "since": since, "limit": LIMIT})
    return lambda: view(request).render().content


def drf_page(alias: str) -> Callable[[], object]:
    from rest_framework import serializers
    from rest_framework.generics import ListAPIView
    from rest_framework.pagination import CursorPagination
    from rest_framework.test import APIRequestFactory

    from events.models import Event, Log

    log = Log.objects.using(alias).get(name=alias)

    class Serializer(serializers.ModelSerializer[Event]):
        timestamp = serializers.DateTimeField()
        payload = serializers.JSONField()

        class Meta:
            model = Event
            fields = ("position", "kind", "stream", "seq", "timestamp", "payload")

    class Pages(CursorPagination):
        page_size = LIMIT
        ordering = "position"

    class View(ListAPIView[Event]):
        queryset = Event.objects.using(alias).filter(log_id=log.pk)
        serializer_class = Serializer
        pagination_class = Pages
        permission_classes = ()

    view = View.as_view()
    request = APIRequestFactory().get("/")
    return lambda: view(request).render().content


# An export


def export(report: Report, alias: str, size: int) -> None:
    from django.db import connections

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {alias: connections.settings[alias]}
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(settings, port))
    with harness.stopping(server):
        asyncio.run(transfer(port, alias, limit=1))
        before = peak(server.pid)
        seconds, lines = asyncio.run(transfer(port, alias))
        grown = (peak(server.pid) - before) / 2**20
    assert lines == size, f"{lines} of {size} entries came"
    report.add(
        Result(
            f"{DISPLAY[alias]}: memory of an export of {size:,} entries vs a bound",
            f"+{grown:.1f} MB",
            "50 MB",
            grown / 50,
            1.0,
            at_most=True,
            note=f"{lines / seconds:,.0f} entries a second, at the client",
        )
    )


def serve(databases: harness.Databases, port: int) -> None:
    """In a process of its own: nothing but the API, on uvicorn."""
    harness.configure(databases)
    import uvicorn
    from django.core.asgi import get_asgi_application

    uvicorn.run(get_asgi_application(), port=port, log_level="error")


async def transfer(port: int, log: str, **query: Any) -> tuple[float, int]:
    """Fetch the export; the seconds that it took, and its lines."""
    import httpx

    url = f"http://127.0.0.1:{port}/"
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(timeout=60) as client:
        while True:
            try:
                began = time.monotonic()
                lines = 0
                params = {"log": log, "format": "ndjson", **query}
                async with client.stream("GET", url, params=params) as answer:
                    answer.raise_for_status()
                    async for chunk in answer.aiter_bytes():
                        lines += chunk.count(b"\n")
                return time.monotonic() - began, lines
            except httpx.ConnectError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)


def peak(pid: int | None) -> int:
    """The most memory that a process has ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
