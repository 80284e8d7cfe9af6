"""Long-polling: an answer as soon as there is something to say.

Under ASGI a waiting request costs a future. The view has returned by then, with a response
whose rendering is a coroutine, which Django awaits. Before it waits, it gives back what Django
holds for a request: the thread in which its synchronous code ran, and that thread's database
connections. Under WSGI a waiting request has its thread; it looks every POLL_INTERVAL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from ..base_log import BaseLog
from ..cursors import Query, Rows
from ..live.tail import Tail, follow
from ..live.window import Batch
from ..threads import release_thread


@dataclass(frozen=True)
class Wait:
    """A read that found nothing, and for how long it may find something yet."""

    log: BaseLog
    query: Query
    found: Rows
    seconds: float

    def again(self, found: Rows) -> Rows:
        query = replace(self.query, since=found.cursor, epoch=found.state.epoch)
        return self.log.backend.read(query)

    def in_this_thread(self) -> Rows:
        deadline = time.monotonic() + self.seconds
        found = self.found
        while not told(found) and time.monotonic() < deadline:
            if found.cursor >= found.state.head:
                time.sleep(self.log.settings.poll_interval)
            found = self.again(found)
        return found

    async def in_loop(self) -> Rows:
        found = self.found
        query = replace(self.query, since=found.cursor, epoch=found.state.epoch)
        await release_thread()
        async with follow(self.log.backend, query) as tail:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds):
                    async for batch in tail:
                        if batch.entries or batch.gap:
                            return late(tail, batch, query.limit)
            if not tail.begun:
                return Rows([], found.cursor, found.state, None)
            return Rows([], tail.bookmark, tail.state, None)


def late(tail: Tail, batch: Batch, limit: int) -> Rows:
    """A batch as the page that was asked for."""
    rows = [entry.row for entry in batch.entries[:limit]]
    whole = len(rows) == len(batch.entries)
    return Rows(rows, batch.cursor if whole else rows[-1].position, tail.state, batch.gap)


def told(found: Rows) -> bool:
    """Is there something to say?"""
    return bool(found.rows) or found.gap is not None


class DeferredResponse(HttpResponseBase):
    """A response that is not known yet. Django renders it, which is where it waits."""

    def __init__(self, wait: Wait, answer: Callable[[Rows], HttpResponseBase]) -> None:
        super().__init__()
        self.wait = wait
        self.answer = answer

    async def render(self) -> HttpResponseBase:
        return await sync_to_async(self.answer)(await self.wait.in_loop())
