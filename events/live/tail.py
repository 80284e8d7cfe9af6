"""Following a log: the one piece of code that replays and then goes on live.

A tail is a cursor. What comes after it is taken from the window, or from the log where the
window does not reach back to it; at the end of both the tail waits. There is nothing to merge
and nothing to throw out, because all of it comes from the ledger, in order.

    async with follow(log.backend, log.query(since=41)) as tail:
        async for batch in tail:
            ...

The first batch says where the tail begins and what it has missed; then come the entries; one
without entries says that it has caught up (`live`), and the last why there will be no more
(`end`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ..backends.base import BaseBackend
from ..cursors import Query, State, locate
from ..types import TERMINAL, Gap, StreamInfo
from .bell import Bell
from .broker import Broker, broker_for
from .window import BATCH_BYTES, Batch, Topic, Wake

# Rows in a read of the log: fewer, the larger they are.
ROWS = (500, 100, 10)


@asynccontextmanager
async def follow(
    backend: BaseBackend, query: Query, wake: Wake | None = None
) -> AsyncIterator[Tail]:
    """A tail that begins where the query says. Who minds several gives a `wake`, which is called
    whenever `take()` may have something, and does not wait in `next()`."""
    broker = broker_for(backend)
    bell = Bell()
    wake = wake or bell.ring
    with broker.followed(query, wake), broker.window.topic(query, wake) as topic:
        yield Tail(broker, topic, query, bell)


class Tail:
    """Where one reader stands. `cursor` is behind what it has been given."""

    def __init__(self, broker: Broker, topic: Topic, query: Query, bell: Bell) -> None:
        self.broker = broker
        self.topic = topic
        self.query = query
        self.bell = bell
        self.cursor = 0
        self.epoch = query.epoch or ""
        self.turn = 0
        self.most = ROWS[0]
        # The head when it began: it is live when it has been given all that.
        self.due = 0
        self.begun = self.given = self.live = self.ended = False
        # The position of the stream's first event, by which a new stream of that name is told
        # from the one that we have seen.
        self.seen: int | None = None
        # The last of its events that we were given; it may be gone before it is seen.
        self.met = 0

    @property
    def state(self) -> State:
        """Where the log stands, as far as this reader has to know."""
        state = self.broker.state
        return state._replace(head=max(self.cursor, state.head), epoch=self.epoch)

    @property
    def bookmark(self) -> int:
        """How far the log has been looked at for this reader: what it may ask for next time."""
        if self.begun and self._window_reaches() and not self.topic.after(self.cursor).entries:
            # Kept: the window may reach less far back when this is asked again.
            self.cursor = max(self.cursor, self.broker.window.position)
        return self.cursor

    def __aiter__(self) -> Tail:
        return self

    async def __anext__(self) -> Batch:
        batch = await self.next()
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def next(self, seconds: float | None = None) -> Batch | None:
        """The next batch; None when time is up, or after the end."""
        try:
            async with asyncio.timeout(seconds):
                while not self.ended:
                    self.bell.silence()
                    batch = await self.take()
                    if batch is not None:
                        return batch
                    await self.bell.wait()
        except TimeoutError:
            pass
        return None

    async def take(self) -> Batch | None:
        """What there is now, or None. It may be cancelled at any time: nothing is lost by it."""
        if self.ended:
            return None
        if not self.begun:
            return await self._begin()
        if self._is_deleted():
            return self._end("deleted")
        while True:
            reaches = self._window_reaches()
            batch = self.topic.after(self.cursor) if reaches else await self._from_log()
            if batch.entries or batch.gap:
                self.cursor, self.given = batch.cursor, True
                self.met = batch.entries[-1].position if batch.entries else self.met
                return batch
            if not reaches:
                self.cursor = max(self.cursor, batch.cursor)
            else:
                # A remembered batch may know of less log than there is by now.
                self.cursor = max(self.cursor, self.broker.window.position)
                if self.live or self.cursor >= self.due:
                    return self._at_the_end()
                await self.broker.look()

    def peek(self) -> Batch | None:
        """What there is for a reader that is live, if that can be told without waiting: the short
        way, which thousands go at every event. None says nothing; `take()` knows more."""
        topic, cursor = self.topic, self.cursor
        if not self.live or not self._is_current() or cursor < topic.dropped:
            return None
        batch = topic.batches.get(cursor) or topic.after(cursor)
        if not batch.entries or batch.entries[0].position <= self.broker.state.floor:
            return None
        if self.ended or (self.query.stream and self._is_deleted()):
            return None
        self.cursor, self.met = batch.cursor, batch.entries[-1].position
        return batch

    @property
    def is_idle(self) -> bool:
        """Has it been given everything, so that it will be woken for the next?"""
        if not self.live or self.cursor < self.broker.window.position:
            return False
        info = self.broker.streams.known.get(self.query.stream) if self.query.stream else None
        return info is None or info.status not in TERMINAL

    async def _begin(self) -> Batch:
        # What was committed before we came is told before we are live. Those who come together
        # share the look.
        if self.query.stream:
            self.broker.streams.doubtful.add(self.query.stream)
        await self.broker.look()
        state, turn = self.broker.state, self.broker.turn
        cursor, gap = locate(self.query, state)
        gap = await self._own(gap)
        self.cursor, self.epoch, self.turn, self.begun = cursor, state.epoch, turn, True
        self.due = state.head
        self._sight()
        return Batch([], cursor, gap)

    def _window_reaches(self) -> bool:
        """Does the window have all that comes after the cursor, with nothing that is expired?"""
        if not self._is_current() or self.cursor < self.topic.dropped:
            return False
        entries = self.topic.after(self.cursor).entries
        return not entries or entries[0].position > self.broker.state.floor

    def _is_current(self) -> bool:
        """Does the window count as this reader does?"""
        broker = self.broker
        return self.turn == broker.turn and self.epoch == broker.state.epoch

    async def _from_log(self) -> Batch:
        extract = await self.broker.extract(
            replace(self.query, since=self.cursor, epoch=self.epoch, limit=self.most)
        )
        batch = extract.batch
        if batch.gap:
            batch = replace(batch, gap=await self._own(batch.gap))
        if self.epoch != extract.state.epoch:
            self.due, self.met = extract.state.head, 0
        self.turn, self.epoch = extract.turn, extract.state.epoch
        if not batch.entries and not batch.gap and self.epoch != self.broker.state.epoch:
            # The window is the old log's until the broker looks, and there is nothing else.
            await self.broker.look()
        self.most = fitting(batch)
        return batch

    async def _own(self, gap: Gap | None) -> Gap | None:
        """A gap, unless nothing of the stream that is followed can be in it; who begins with
        the earliest there is has no claim to what has just gone."""
        stream = self.query.stream
        if gap is None or gap.reason != "pruned":
            return gap
        if self.query.since == "earliest" and not self.given and not self.live:
            return None
        if not stream:
            return gap
        streams = self.broker.streams
        streams.doubtful.add(stream)
        await self.broker.look()
        info = streams.known.get(stream)
        if (
            info
            and info.first_position < gap.first_available
            and info.last_position > gap.requested
        ):
            return gap
        return None

    def _at_the_end(self) -> Batch | None:
        stream = self._sight()
        if stream and stream.status in TERMINAL and self.cursor >= stream.last_position:
            return self._end(stream.status)
        if self.live:
            return None
        self.live = True
        return Batch([], self.cursor, live=True)

    def _sight(self) -> StreamInfo | None:
        """The stream that is followed, as it is known to stand."""
        info = self.broker.streams.known.get(self.query.stream or "")
        if info and self.seen is None and info.stream not in self.broker.streams.doubtful:
            self.seen = info.first_position
        return info

    def _is_deleted(self) -> bool:
        """Is the stream that we have seen gone, or another one of its name in its place? One that
        does not exist yet is waited for."""
        streams, stream = self.broker.streams, self.query.stream or ""
        met = self.met if self.seen is None else self.seen
        if met and streams.deleted.get(stream, 0) > met:
            return True
        info = streams.known.get(stream)
        return self.seen is not None and (info is None or info.first_position != self.seen)

    def _end(self, reason: str) -> Batch:
        self.ended = True
        return Batch([], self.bookmark, end=reason)


def fitting(batch: Batch) -> int:
    """How many rows to read next, so that they are about a batch."""
    size = sum(entry.size for entry in batch.entries)
    mean = size / len(batch.entries) if batch.entries else 0
    return next((rows for rows in ROWS if rows * mean <= 2 * BATCH_BYTES), 1)
