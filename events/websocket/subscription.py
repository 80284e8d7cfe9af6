"""One subscription of a socket: a tail, and whether its client has been told where it begins."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import AsyncExitStack

from ..cursors import Query
from ..limits import Held
from ..live.tail import Tail, follow
from ..live.window import Batch
from ..log import EventLog

# Seconds for which the socket's other subscriptions wait for one that reads its log.
READ_AHEAD = 0.25


class Subscription:
    def __init__(self, id: str, log: EventLog, query: Query, held: Held) -> None:
        self.id = id
        self.log = log
        self.query = query
        self.stack = AsyncExitStack()
        self.stack.enter_context(held)
        self.announced = False
        # Of the cursors that the client has been given.
        self.epoch = ""
        # A read that takes its time, and the bookmark when it began.
        self.taking: asyncio.Task[Batch | None] | None = None
        self.before = 0
        # The last position that was ever sent: in a new epoch positions begin anew.
        self.furthest = 0
        self.tail: Tail

    async def start(self, wake: Callable[[], None], who: Hashable) -> None:
        """`wake` is called whenever `take()` may have something; `who` subscribes."""
        self.wake = wake
        try:
            tail = follow(self.log.backend, self.query, wake, who)
            self.tail = await self.stack.enter_async_context(tail)
        except BaseException:
            await self.stack.aclose()
            raise

    async def close(self) -> None:
        if self.taking is not None:
            self.taking.cancel()
        await self.stack.aclose()

    @property
    def bookmark(self) -> int:
        """How far the client may say that it is: what is being taken is not sent yet."""
        return self.tail.bookmark if self.taking is None else self.before

    def peek(self) -> Batch | None:
        """Entries that can be sent without waiting."""
        return self.tail.peek() if self.taking is None else None

    async def take(self) -> Batch | None:
        """What there is to send, if anything. A log that cannot be read holds up no other: what is
        not there soon has its turn when it is, and `wake` says so."""
        if batch := self.peek():
            return batch
        if self.taking is None:
            self.before = self.tail.bookmark
            self.taking = asyncio.ensure_future(self.tail.take())
            await asyncio.wait([self.taking], timeout=READ_AHEAD)
            if not self.taking.done():
                self.taking.add_done_callback(lambda _: self.wake())
        if not self.taking.done():
            return None
        taken, self.taking = self.taking, None
        return None if taken.cancelled() else taken.result()
