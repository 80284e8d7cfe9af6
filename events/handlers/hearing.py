"""Hints of other processes, for all handlers of this one: from the store, where that carries them, or
from the channel layer, by one thread with an event loop."""

import asyncio
import threading
from collections.abc import Callable

from ..backends.base import BaseBackend
from ..live.group import channel_layer, crosses_processes, listen

# Seconds that an ending process waits for the thread.
LAST_PATIENCE = 2.0


class Hearing:
    """Calls `heard` at every hint about a log that is followed. Who misses one looks a little later."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self.heard = heard
        # By log, what ends that.
        self.followed: dict[str, Callable[[], object]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = threading.Thread(target=self._run, name="events-hearing", daemon=True)

    def follow(self, backend: BaseBackend) -> None:
        if backend.name in self.followed:
            return
        if crosses_processes(channel_layer()) and not backend.hints_itself:
            self.followed[backend.name] = self._listen(backend)
        elif backend.carries_hints:
            self.followed[backend.name] = backend.hear(self.heard)

    def close(self) -> None:
        for end in self.followed.values():
            end()
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(LAST_PATIENCE)

    def _listen(self, backend: BaseBackend) -> Callable[[], object]:
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            self.thread.start()
        listening = listen(backend, self.heard)
        return asyncio.run_coroutine_threadsafe(listening, self.loop).cancel

    def _run(self) -> None:
        loop = self.loop
        assert loop is not None  # nosec B101 # for the type checker
        loop.run_forever()
        # What was cancelled leaves its groups.
        left = asyncio.all_tasks(loop)
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
