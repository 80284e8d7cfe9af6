"""Ours: the log, followed over WebSocket and Server-Sent Events.

FANOUT_WITHOUT switches pieces of it off, to see what they buy: `eager` and `raw`.
"""

import asyncio
import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from benchmarks.rivals.control import controlled
from benchmarks.rivals.message import KIND, STREAM, payload

django = get_asgi_application()

from events import aemit, origin, routing  # noqa: E402
from events.live import eager  # noqa: E402

without = os.environ.get("FANOUT_WITHOUT", "").split("+")
if "eager" in without:
    # No task is ever found waiting, so each is woken for what it has to send.
    eager.Deputy.is_free = property(lambda self: False)
if "raw" in without:
    # Put where nobody looks for it.
    routing.RAW_SEND = origin.RAW_SEND = "benchmarks.unused"


async def emit(numbers: range) -> None:
    """As so many tasks of a server would that have something to say at the same moment."""
    await asyncio.gather(
        *(aemit(KIND, payload(number), stream=STREAM, log=settings.LOG) for number in numbers)
    )


application = controlled(routing.application(django), emit)
