"""Ours: the log, followed over WebSocket and Server-Sent Events."""

import asyncio

from django.conf import settings
from django.core.asgi import get_asgi_application

from benchmarks.rivals.control import controlled
from benchmarks.rivals.message import KIND, STREAM, payload

django = get_asgi_application()

from events import aemit  # noqa: E402
from events.routing import application as routed  # noqa: E402


async def emit(numbers: range) -> None:
    """As so many tasks of a server would that have something to say at the same moment."""
    await asyncio.gather(
        *(aemit(KIND, payload(number), stream=STREAM, log=settings.LOG) for number in numbers)
    )


application = controlled(routed(django), emit)
