"""Appends that arrive together in one event loop share one trip to the database.

Each caller still waits for its own durable commit. What is shared is the round trip, the lock
and the flush to disk: one at a time, a commit a call; together, a commit for all that arrived
while the last one was under way. Nothing waits for company.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context

from django.db import DataError, IntegrityError, connections

from .backends.base import BaseBackend
from .exceptions import InvalidTransition, KeyConflict, StreamClosed
from .threads import Registry, StoreThread, forget, here
from .types import Entry
from .validation import Item

# Events in one append, so that the lock is not held for long.
BATCH = 500
# Seconds without work after which the connection is given back.
LINGER = 1.0

# After these nothing was stored, and one event is to blame, not the others of its batch.
REFUSALS = (KeyConflict, StreamClosed, InvalidTransition, DataError, IntegrityError)

Call = tuple[list[Item], "asyncio.Future[list[Entry]]"]


async def append_together(backend: BaseBackend, items: list[Item]) -> list[Entry]:
    """Append in one batch with the other calls that arrive in this loop for this log. The append
    goes on when its caller is cancelled, as one in a thread would: the batch has other callers
    too."""
    if not items:
        return []
    batchers = here(_batchers)
    batcher = batchers.get(backend.name)
    if batcher is None or batcher.backend is not backend:
        batcher = batchers[backend.name] = _Batcher(backend)
    return await asyncio.shield(batcher.add(items))


class _Batcher:
    """The calls of one event loop to one log, and the thread that carries them out."""

    def __init__(self, backend: BaseBackend) -> None:
        self.backend = backend
        self.waiting: list[Call] = []
        self.arrived = asyncio.Event()
        self.worker: asyncio.Task[None] | None = None

    def add(self, items: list[Item]) -> asyncio.Future[list[Entry]]:
        future: asyncio.Future[list[Entry]] = asyncio.get_running_loop().create_future()
        self.waiting.append((items, future))
        self.arrived.set()
        if self.worker is None or self.worker.done():
            # An empty context: a batch serves many callers and belongs to none of them.
            self.worker = asyncio.get_running_loop().create_task(self.work(), context=Context())
        return future

    async def work(self) -> None:
        """Carry out batches until no call has come for LINGER, then give the connection back."""
        thread = StoreThread(f"events-{self.backend.name}")
        try:
            while self.waiting or await self._wait_for_calls():
                calls = self._next()
                try:
                    results = await thread.run(self._append, calls)
                except Exception as error:
                    results = [error] * len(calls)
                except asyncio.CancelledError as error:
                    settle(calls, [error] * len(calls))
                    raise
                settle(calls, results)
        finally:
            forget(_batchers, self.backend.name, self)
            settle(self.waiting, [asyncio.CancelledError()] * len(self.waiting))
            self.waiting = []
            thread.close()

    async def _wait_for_calls(self) -> bool:
        self.arrived.clear()
        try:
            async with asyncio.timeout(LINGER):
                await self.arrived.wait()
        except TimeoutError:
            # A call may have arrived after the timeout fired.
            return bool(self.waiting)
        return True

    def _next(self) -> list[Call]:
        """As many calls as fit into a batch, in the order in which they came; none is split."""
        size, count = 0, 0
        for items, _ in self.waiting:
            size += len(items)
            if count and size > BATCH:
                break
            count += 1
        calls, self.waiting = self.waiting[:count], self.waiting[count:]
        return calls

    def _append(self, calls: list[Call]) -> list[list[Entry] | BaseException]:
        """In the thread. A batch that is refused is carried out call by call, so that each
        caller gets the error of its own events only. After any other error the outcome is unknown, so
        don't retry. Earlier calls keep their results."""
        if len(calls) > 1:
            with suppress(*REFUSALS):
                entries = iter(self.backend.append([item for items, _ in calls for item in items]))
                return [[next(entries) for _ in items] for items, _ in calls]
        results: list[list[Entry] | BaseException] = []
        for items, _ in calls:
            try:
                results.append(self.backend.append(items))
            except REFUSALS as error:
                results.append(error)
            except Exception as error:
                connections.close_all()
                return results + [error] * (len(calls) - len(results))
        return results


def settle(calls: Sequence[Call], results: Sequence[list[Entry] | BaseException]) -> None:
    for (_, future), result in zip(calls, results, strict=True):
        if future.done():
            continue
        if isinstance(result, asyncio.CancelledError):
            future.cancel()
        elif isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)


_batchers: Registry[_Batcher] = {}
