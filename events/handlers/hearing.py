"""Hints of other processes, for all handlers of this one: one thread, with an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ..live.group import channel_layer, crosses_processes, listen


class Hearing:
    """Calls `heard` at every hint about a log that is followed. Who misses one looks a little later."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self.heard = heard
        self.loop: asyncio.AbstractEventLoop | None = None
        self.followed: set[str] = set()

    def follow(self, log: str) -> None:
        if log in self.followed or not crosses_processes(channel_layer()):
            return
        self.followed.add(log)
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            threading.Thread(
                target=self.loop.run_forever, name="events-hearing", daemon=True
            ).start()
        asyncio.run_coroutine_threadsafe(listen(log, self.heard), self.loop)

    def close(self) -> None:
        """The loop goes with the process: leaving a group may take a while, and needs nobody."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
