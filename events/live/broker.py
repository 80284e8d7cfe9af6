"""The one reader of a log in an event loop, for all that wait in it.

However many wait, what is new is read once. A broker holds a window of the newest rows; a
waiter costs a future and a cursor. It polls, because an event may come from a process that can
give no hint; a hint from this process only makes it look sooner. It never infers from a hint.

    waiter ──cursor──> in the window? ── yes ─> answered from it
                             │ no, at its end
                             └─> waits for the broker's next look
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from django.db import connections

from .. import hints
from ..cursors import Query, Rows, State
from ..log import EventLog
from ..types import Row

logger = logging.getLogger("events")

# Seconds without a waiter after which the broker stops and gives its connection back.
LINGER = 5.0
# Seconds between looks while the store cannot be read, at the most.
MAX_BACKOFF = 10.0
# Rows in one look, and bytes of payload in the window.
LOOK = 1000
WINDOW_BYTES = 16 * 2**20


@dataclass(eq=False)
class Waiter:
    """Somebody who has consumed `cursor` and wants what `query` matches."""

    query: Query
    cursor: int
    epoch: str
    found: asyncio.Future[Rows | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Broker:
    """Reads after its own `position`, keeps the newest rows, and answers waiters."""

    def __init__(self, log: EventLog, state: State) -> None:
        self.log = log
        self.state = state
        self.position = state.head
        self.window: deque[Row] = deque(maxlen=log.settings.window)
        self.size = 0
        self.hinted = asyncio.Event()
        # By the stream that they want, so that an event wakes nobody who does not.
        self.waiters: dict[str | None, set[Waiter]] = {}
        self.task: asyncio.Task[None] | None = None

    async def wait(self, query: Query, cursor: int, epoch: str, seconds: float) -> Rows | None:
        """What comes after `cursor` and matches; nothing, with a later cursor, when time is up.

        None says that the window cannot tell, and the log itself has to be asked.
        """
        waiter = Waiter(query, cursor, epoch)
        with self._registered(waiter):
            if not self._answer(waiter):
                try:
                    await asyncio.wait_for(asyncio.shield(waiter.found), seconds)
                except TimeoutError:
                    # An answer may have come in the meantime, and `position` has passed it.
                    if not waiter.found.done():
                        return Rows([], max(cursor, self.position), self.state, None)
            return waiter.found.result()

    @contextmanager
    def _registered(self, waiter: Waiter) -> Iterator[None]:
        group = self.waiters.setdefault(waiter.query.stream, set())
        group.add(waiter)
        self._start()
        try:
            yield
        finally:
            group.discard(waiter)
            if not group and self.waiters.get(waiter.query.stream) is group:
                del self.waiters[waiter.query.stream]

    def _answer(self, waiter: Waiter) -> bool:
        """Answer a waiter from the window, if there is something for it."""
        if waiter.found.done():
            return True
        first = self.window[0].position if self.window else self.position + 1
        if waiter.epoch != self.state.epoch or waiter.cursor < first - 1:
            waiter.found.set_result(None)
            return True
        rows: list[Row] = []
        for row in reversed(self.window):
            if row.position <= waiter.cursor:
                break
            if waiter.query.wants(row):
                rows.append(row)
        if not rows:
            return False
        rows = rows[::-1][: waiter.query.limit]
        cursor = rows[-1].position if len(rows) == waiter.query.limit else self.position
        waiter.found.set_result(Rows(rows, cursor, self.state, None))
        return True

    def _start(self) -> None:
        if self.task is None or self.task.done():
            # An empty context: the broker belongs to no request.
            self.task = asyncio.get_running_loop().create_task(self._work(), context=Context())

    async def _work(self) -> None:
        """Look, sleep until a hint or the interval, and stop when nobody has waited for a while."""
        loop = asyncio.get_running_loop()
        interval = self.log.settings.poll_interval
        thread = ThreadPoolExecutor(1, f"events-broker-{self.log.name}")
        idle_since, pause = loop.time(), interval
        try:
            while self.waiters or loop.time() - idle_since < LINGER:
                if self.waiters:
                    idle_since = loop.time()
                try:
                    found = await loop.run_in_executor(thread, self._look)
                    pause = interval
                except Exception:
                    if pause == interval:
                        logger.exception("Log %r cannot be read; trying again.", self.log.name)
                    thread.submit(connections.close_all)
                    pause = min(pause * 2, MAX_BACKOFF)
                else:
                    if self._take(found):
                        continue
                await self._sleep(pause)
        finally:
            self._dismiss()
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.hinted.wait(), seconds)
        self.hinted.clear()

    def _look(self) -> Rows:
        """In the thread: what is new."""
        return self.log.backend.read(Query(since=self.position, limit=LOOK, epoch=self.state.epoch))

    def _take(self, found: Rows) -> bool:
        """Move on, answer those who waited for this, and say whether there is more."""
        if found.gap is not None:
            # Pruned away under us, flushed or restored: what the window knows is worth nothing.
            # On from the head: those who wait for what comes must not wait for a whole log.
            self.window.clear()
            self.size = 0
            self.position, self.state = found.state.head, found.state
            self._dismiss()
            return False
        self._extend(found.rows)
        self.position, self.state = found.cursor, found.state
        if found.rows:
            for stream in {None, *(row.stream for row in found.rows)}:
                for waiter in list(self.waiters.get(stream, ())):
                    self._answer(waiter)
        return self.position < self.state.head

    def _extend(self, rows: list[Row]) -> None:
        for row in rows:
            if len(self.window) == self.window.maxlen:
                self.size -= len(self.window[0].text)
            self.window.append(row)
            self.size += len(row.text)
        while self.size > WINDOW_BYTES:
            self.size -= len(self.window.popleft().text)

    def _dismiss(self) -> None:
        """Send everybody to the log itself."""
        for group in self.waiters.values():
            for waiter in group:
                if not waiter.found.done():
                    waiter.found.set_result(None)


_brokers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Broker]] = WeakKeyDictionary()


def broker_for(log: EventLog, state: State) -> Broker:
    """The running loop's broker for a log; a new one starts from `state`."""
    hints.listen(wake)
    brokers = _brokers.setdefault(asyncio.get_running_loop(), {})
    broker = brokers.get(log.name)
    if broker is None or broker.log is not log or broker.task is None or broker.task.done():
        broker = brokers[log.name] = Broker(log, state)
    return broker


def wake(log: str) -> None:
    """Have every broker of a log look now. From any thread."""
    for loop, brokers in list(_brokers.items()):
        broker = brokers.get(log)
        if broker is not None and not loop.is_closed():
            loop.call_soon_threadsafe(broker.hinted.set)
