"""Reads batches from a log itself, for those whose cursor the window does not reach back to.

One read is under way at a time, so that those who catch up leave the database to the others. Users
take turns: whoever asks for a thousand reads has one of them done, and then somebody else has one.
Those who ask for the same at the same time share a read, which has the first turn that comes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass

from ..backends.base import BaseBackend
from ..cursors import Query, State
from ..threads import StoreThread
from .window import Batch, portion, seal

logger = logging.getLogger("events")

# Seconds between attempts while the store cannot be read, at the most.
MAX_BACKOFF = 10.0


@dataclass(frozen=True, slots=True)
class Extract:
    """A batch that was read from the log itself, and where the log stood."""

    batch: Batch
    state: State
    turn: int


class Backoff:
    """How long to wait after one failure to read the store, and after many; only the first is
    logged."""

    def __init__(self, log: str, interval: float) -> None:
        self.log = log
        self.interval = self.pause = interval

    def failed(self) -> float:
        """To be called while the exception is handled: seconds until the next attempt."""
        if self.pause == self.interval:
            logger.exception("Log %r cannot be read; trying again.", self.log)
        self.pause = min(self.pause * 2, MAX_BACKOFF)
        return self.pause

    def succeeded(self) -> None:
        self.pause = self.interval


class FairLock:
    """A lock that users have by turns: whoever waits in several places has one turn a round."""

    def __init__(self) -> None:
        self.taken = False
        # By user, in the order of their turns, what waits for one.
        self.lines: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def line_up(self, who: Hashable, place: asyncio.Future[None]) -> None:
        self.lines.setdefault(who, deque()).append(place)

    @asynccontextmanager
    async def held(self, place: asyncio.Future[None]) -> AsyncIterator[None]:
        """Wait for a place that is lined up, and keep the turn until the block ends."""
        if not self.taken:
            self._next()
        try:
            await place
            yield
        finally:
            if place.done() and not place.cancelled():
                self._next()
            else:
                place.cancel()

    def _next(self) -> None:
        self.taken = False
        while self.lines and not self.taken:
            who = next(iter(self.lines))
            line = self.lines.pop(who)
            place = line.popleft()
            if line:
                self.lines[who] = line
            if not place.done():
                self.taken = True
                place.set_result(None)


class Shared:
    """A read, and how many wait for it."""

    def __init__(self, query: Query, lock: FairLock) -> None:
        self.query = query
        self.lock = lock
        self.waiting = 0
        self.users: set[Hashable] = set()
        # Where it stands in line; None while it is read.
        self.place: asyncio.Future[None] | None = None
        self.task: asyncio.Task[Extract]

    def join(self, who: Hashable) -> None:
        """Have it read at the first turn of any of its users."""
        if who not in self.users:
            self.users.add(who)
            if self.place is not None:
                self.lock.line_up(who, self.place)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        self.place = asyncio.get_running_loop().create_future()
        for who in self.users:
            self.lock.line_up(who, self.place)
        async with self.lock.held(self.place):
            self.place = None
            yield

    async def result(self) -> Extract:
        self.waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.task.cancel()


class Pager:
    """Reads for a broker, whose `turn` is noted with each batch."""

    def __init__(self, backend: BaseBackend, thread: StoreThread, turn: Callable[[], int]) -> None:
        self.backend = backend
        self.thread = thread
        self.turn = turn
        self.lock = FairLock()
        self.reads: dict[Query, Shared] = {}

    async def read(self, query: Query, who: Hashable) -> Extract:
        """Read a batch, at the next turn of a user."""
        while (extract := await self._shared(query, who)) is None:
            pass
        return extract

    async def _shared(self, query: Query, who: Hashable) -> Extract | None:
        """None if the read was cancelled, and not because of whoever waits for it."""
        shared = self.reads.get(query)
        if shared is None or shared.task.done():
            shared = self.reads[query] = Shared(query, self.lock)
            task = asyncio.get_running_loop().create_task(self._read(shared), context=Context())
            shared.task = task
        shared.join(who)
        try:
            return await shared.result()
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not shared.task.cancelled() or waiter is None or waiter.cancelling():
                raise
            return None
        finally:
            finished = shared.task.done() or not shared.waiting
            if finished and self.reads.get(query) is shared:
                del self.reads[query]

    async def _read(self, shared: Shared) -> Extract:
        backoff = Backoff(self.backend.name, self.backend.settings.poll_interval)
        while True:
            try:
                async with shared.locked():
                    return await self.thread.run(self._page, shared.query, self.turn())
            except Exception:
                pause = backoff.failed()
            await asyncio.sleep(pause)

    def _page(self, query: Query, turn: int) -> Extract:
        """In the thread."""
        found = self.backend.read(query)
        some = portion(map(seal, found.rows))
        cursor = found.cursor if len(some) == len(found.rows) else some[-1].position
        return Extract(Batch(some, cursor, found.gap), found.state, turn)
