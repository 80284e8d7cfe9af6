"""Long-polling: an answer as soon as there is an entry or a gap.

Under ASGI a waiting request costs a future. The view has returned by then, with a response
whose rendering is a coroutine, which Django awaits. Before it waits, it gives back what Django
holds for a request: the thread in which its synchronous code ran, and that thread's database
connections. Under WSGI a waiting request has its thread; it looks every POLL_INTERVAL.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase

from ..base_log import BaseLog
from ..cursors import Query, Rows
from ..limits import Held
from ..live.tail import Tail, follow
from ..live.window import Batch
from ..threads import release_thread


@dataclass(frozen=True)
class Wait:
    """A read that found nothing, to be repeated for so many seconds at the most."""

    log: BaseLog
    query: Query
    found: Rows
    seconds: float

    def in_this_thread(self) -> Rows:
        deadline = time.monotonic() + self.seconds
        found = self.found
        while not has_news(found) and time.monotonic() < deadline:
            if found.cursor >= found.state.head:
                time.sleep(self.log.settings.poll_interval)
            found = self.log.backend.read(self.query.after(found))
        return found

    async def in_loop(self, who: Hashable = None) -> Rows:
        found = self.found
        query = self.query.after(found)
        await release_thread()
        async with follow(self.log.backend, query, who=who) as tail:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds):
                    async for batch in tail:
                        if batch.entries or batch.gap:
                            return page_of(tail, batch, query.limit)
            if not tail.begun:
                return Rows([], found.cursor, found.state, None)
            return Rows([], tail.bookmark, tail.state, None)


def page_of(tail: Tail, batch: Batch, limit: int) -> Rows:
    """What fits into a page of a batch."""
    rows = [entry.row for entry in batch.entries[:limit]]
    cursor = batch.cursor if len(rows) == len(batch.entries) else rows[-1].position
    return Rows(rows, cursor, tail.state, batch.gap)


def has_news(found: Rows) -> bool:
    return bool(found.rows) or found.gap is not None


class DeferredResponse(HttpResponseBase):
    """Waits while Django renders it, and becomes the response that is known then."""

    def __init__(self, wait: Wait, answer: Callable[[Rows], HttpResponseBase], held: Held) -> None:
        super().__init__()
        self.wait = wait
        self.answer = answer
        self.held = held

    async def render(self) -> HttpResponseBase:
        with self.held:
            found = await self.wait.in_loop(self.held.who)
        return await sync_to_async(self.answer)(found)
