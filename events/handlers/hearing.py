"""Hints of other processes, for all handlers of this one: one thread, with an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from ..live.group import channel_layer, crosses_processes, listen
from ..log import logs

# Seconds that an ending process waits for it.
LAST_PATIENCE = 2.0


class Hearing:
    """Calls `heard` at every hint about a log that is followed. Who misses one looks a little later."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self.heard = heard
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="events-hearing", daemon=True)
        self.followed: dict[str, Future[None]] = {}

    def follow(self, log: str) -> None:
        backend = logs[log].backend
        carried = crosses_processes(channel_layer()) or backend.carries_hints
        if log in self.followed or not carried:
            return
        if not self.followed:
            self.thread.start()
        listening = asyncio.run_coroutine_threadsafe(listen(backend, self.heard), self.loop)
        self.followed[log] = listening

    def close(self) -> None:
        for listening in self.followed.values():
            listening.cancel()
        if self.followed:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(LAST_PATIENCE)
        else:
            self.loop.close()

    def _run(self) -> None:
        self.loop.run_forever()
        # What was cancelled leaves its groups.
        left = asyncio.all_tasks(self.loop)
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()
