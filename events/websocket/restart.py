"""Close the sockets of a process that is asked to end, before its server does.

The server would close them all at once and without a reason, and a thousand clients would be back
within the same quarter of a second. Our close frame tells how many milliseconds they should spread
over. ASGI tells an application of the end only when its connections are gone, so we hear the signal.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .clocks import Clocks
from .frames import RESTARTS, Close

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# So many connections may come back at once; of more, each adds so many milliseconds.
FEW = 20
SPREAD = 5
# Seconds that the server waits for the close frames to be sent.
HEAD_START = 1.0

_open: set[Clocks] = set()
# What handled each signal before us. A signal is ours once: a second one is the server's again.
_handlers: dict[int, Any] = {}


@contextmanager
def closed_before_restart(clocks: Clocks) -> Iterator[None]:
    """Have this socket closed with a spread if the process is asked to end meanwhile."""
    if not _handlers and threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if callable(handler := signal.getsignal(number)):
                _handlers[number] = handler
                signal.signal(number, _on_signal)
    _open.add(clocks)
    try:
        yield
    finally:
        _open.discard(clocks)


def _on_signal(number: int, frame: FrameType | None) -> None:
    handler = _handlers[number]
    signal.signal(number, handler)
    leaving = [clocks for clocks in _open if not clocks.loop.is_closed()]
    if len(leaving) <= FEW:
        handler(number, frame)
        return
    loop = leaving[0].loop
    loop.call_soon_threadsafe(lambda: loop.create_task(_leave(leaving, number, handler)))


async def _leave(leaving: list[Clocks], number: int, handler: Any) -> None:
    close = Close(RESTARTS, str(SPREAD * len(leaving)))
    for clocks in leaving:
        clocks.end(close)
    deadline = asyncio.get_running_loop().time() + HEAD_START
    while not _open.isdisjoint(leaving) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    handler(number, None)
