"""Following a log: the one piece of code that replays and then goes on live.

A tail is a cursor. What comes after it is taken from the window, or from the log where the
window does not reach back to it; at the end of both the tail waits. There is nothing to merge
and nothing to throw out, because all of it comes from the ledger, in order.

    async with follow(log.backend, log.query(since=41)) as tail:
        async for batch in tail:
            ...

A tail has four states, and tells of each in the batch with which it enters it:

            first batch             live                    end
    (new) ───────────────> begun ──────────> live ──────────────────> ended
             cursor, gap      │   has been given all that    its stream has ended
                              │   there was when it began    or is deleted
                              └────────────── end ─────────────────────^

Before `live` and after it come batches of entries, and gaps where the log let go of some.
"""

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from typing import Self

from ..backends.base import BaseBackend
from ..cursors import Query, State, locate
from ..types import TERMINAL, Gap, StreamInfo
from .broker import Broker, broker_for
from .waking import Bell, Wake
from .window import BATCH_BYTES, Batch, Topic

# Rows in a read of the log: fewer, the larger they are.
ROWS = (500, 100, 10)


@asynccontextmanager
async def follow(
    backend: BaseBackend, query: Query, wake: Wake | None = None, who: Hashable = None
) -> AsyncIterator["Tail"]:
    """A tail that begins where the query says. To multiplex tails, pass `wake`, and call
    `take()` when it fires. Tails of the same `who` share one turn when they read the log."""
    broker = broker_for(backend)
    bell = Bell()
    wake = wake or bell.ring
    who = bell if who is None else who
    with broker.followed(query, wake), broker.window.topic(query, wake, who) as topic:
        yield Tail(broker, topic, query, bell, who)


class Tail:
    """Where one reader stands. `cursor` is behind what it has been given."""

    def __init__(
        self, broker: Broker, topic: Topic, query: Query, bell: Bell, who: Hashable
    ) -> None:
        self.broker = broker
        self.topic = topic
        self.query = query
        self.bell = bell
        self.who = who
        self.begun = self.live = self.ended = False
        self.cursor = 0
        # The log and the window that the cursor belongs to.
        self.epoch = query.epoch or ""
        self.turn = 0
        # The head that has to be reached to be live; infinite while what was committed before is
        # still being sequenced.
        self.head_at_start: float = 0
        self.has_given = False
        self.rows_a_read = ROWS[0]
        # Of the stream that is followed: the position of its first event, by which a new stream of
        # the same name is told from it, and of the last that was given to this reader, which is
        # all we have of a stream that is deleted before the broker finds it.
        self.stream_first_position: int | None = None
        self.last_stream_position = 0

    @property
    def state(self) -> State:
        """Where the log stands, as far as this reader has to know."""
        state = self.broker.state
        return state._replace(head=max(self.cursor, state.head), epoch=self.epoch)

    @property
    def bookmark(self) -> int:
        """How far the log has been looked at for this reader: what it may ask for next time."""
        batch = self._from_window() if self.begun else None
        if batch is not None and not batch.entries:
            # Kept: the window may reach less far back when this is asked again.
            self._skip_to(self.broker.window.position)
        return self.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        while not self.ended:
            self.bell.silence()
            batch = await self.take()
            if batch is not None:
                return batch
            await self.bell.wait()
        raise StopAsyncIteration

    async def take(self) -> Batch | None:
        """What there is now, or None. To cancel it loses nothing."""
        if self.ended:
            return None
        if not self.begun:
            return await self._begin()
        if self._is_deleted():
            return self._end("deleted")
        while True:
            batch = self._from_window()
            if batch is None:
                batch = await self._from_log()
                if batch.entries or batch.gap:
                    return self._given(batch)
                self._skip_to(batch.cursor)
            elif batch.entries:
                return self._given(batch)
            else:
                # A remembered batch may know of less log than there is by now.
                self._skip_to(self.broker.window.position)
                if self.live or self.cursor >= self.head_at_start:
                    return self._at_the_end()
                await self.broker.look()
                if self.head_at_start == inf and not self.broker.partial:
                    self.head_at_start = self.broker.state.head

    def peek(self) -> Batch | None:
        """Entries for a reader that is live, if the window has them: thousands ask at every event.
        None does not say that there is nothing; `take()` knows more."""
        if not self.live or self.ended or (self.query.stream and self._is_deleted()):
            return None
        batch = self._from_window()
        return self._given(batch) if batch is not None and batch.entries else None

    def _given(self, batch: Batch) -> Batch:
        self.cursor, self.has_given = batch.cursor, True
        if batch.entries:
            self.last_stream_position = batch.entries[-1].position
        return batch

    def _skip_to(self, position: int) -> None:
        """Nothing up to there is for this reader."""
        self.cursor = max(self.cursor, position)

    @property
    def is_idle(self) -> bool:
        """Has this reader been given everything, so that it will be woken for the next event?"""
        if not self.live or self.cursor < self.broker.window.position:
            return False
        info = self.broker.streams.known.get(self.query.stream) if self.query.stream else None
        return info is None or info.status not in TERMINAL

    async def _begin(self) -> Batch:
        # What was committed before this call is given before `live`. Readers that begin together
        # share the look.
        if self.query.stream:
            self.broker.streams.doubtful.add(self.query.stream)
        await self.broker.look()
        state, turn = self.broker.state, self.broker.turn
        cursor, gap = locate(self.query, state)
        if self.query.last is not None:
            extract = await self.broker.pager.read(replace(self.query, limit=0), self.who)
            cursor, state, turn = extract.batch.cursor, extract.state, extract.turn
            self.query = replace(self.query, last=None)
        gap = await self._relevant_gap(gap)
        self.cursor, self.epoch, self.turn, self.begun = cursor, state.epoch, turn, True
        self.head_at_start = inf if self.broker.partial else state.head
        self._stream()
        return Batch([], cursor, gap)

    def _from_window(self) -> Batch | None:
        """What the window has after the cursor. None if it does not reach back to it, is of another
        log, or would begin with an entry that has expired."""
        broker, topic, cursor = self.broker, self.topic, self.cursor
        state = broker.state
        if self.turn != broker.turn or self.epoch != state.epoch or cursor < topic.dropped:
            return None
        batch = topic.batches.get(cursor) or topic.after(cursor)
        if batch.entries and batch.entries[0].position <= state.floor:
            return None
        return batch

    async def _from_log(self) -> Batch:
        extract = await self.broker.pager.read(
            replace(self.query, since=self.cursor, epoch=self.epoch, limit=self.rows_a_read),
            self.who,
        )
        batch = extract.batch
        if batch.gap:
            batch = replace(batch, gap=await self._relevant_gap(batch.gap))
        if self.epoch != extract.state.epoch:
            self.head_at_start, self.last_stream_position = extract.state.head, 0
        self.turn, self.epoch = extract.turn, extract.state.epoch
        if not batch.entries and not batch.gap and self.epoch != self.broker.state.epoch:
            # The window is the old log's until the broker looks, and there is nothing else.
            await self.broker.look()
        self.rows_a_read = rows_for_a_batch(batch)
        return batch

    async def _relevant_gap(self, gap: Gap | None) -> Gap | None:
        """Drop the gap if it holds nothing of our stream, or if we began at "earliest" and have had
        nothing yet."""
        stream = self.query.stream
        if gap is None or gap.reason != "pruned":
            return gap
        if self.query.since == "earliest" and not self.has_given and not self.live:
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
        stream = self._stream()
        if stream and stream.status in TERMINAL and self.cursor >= stream.last_position:
            return self._end(stream.status)
        if self.live:
            return None
        self.live = True
        return Batch([], self.cursor, live=True)

    def _stream(self) -> StreamInfo | None:
        """How the stream that is followed stood when the broker last looked."""
        streams = self.broker.streams
        info = streams.known.get(self.query.stream or "") if self.epoch == streams.epoch else None
        if info and self.stream_first_position is None and info.stream not in streams.doubtful:
            # Who was given something before that was given it of an earlier stream of this name.
            given = self.last_stream_position or info.first_position
            self.stream_first_position = min(info.first_position, given)
        return info

    def _is_deleted(self) -> bool:
        """Is the stream that this reader knows gone, or another one of its name in its place? A
        stream that does not exist yet is waited for."""
        stream = self.query.stream or ""
        streams, first = self.broker.streams, self.stream_first_position
        if self.epoch != streams.epoch:
            return False
        known_at = self.last_stream_position if first is None else first
        if known_at and streams.deleted.get(stream, 0) > known_at:
            return True
        info = streams.known.get(stream)
        return first is not None and (info is None or info.first_position != first)

    def _end(self, reason: str) -> Batch:
        self.ended = True
        return Batch([], self.bookmark, end=reason)


def rows_for_a_batch(batch: Batch) -> int:
    """How many rows to read next, judged by the size of these."""
    size = sum(entry.size for entry in batch.entries)
    mean = size / len(batch.entries) if batch.entries else 0
    return next((rows for rows in ROWS if rows * mean <= 2 * BATCH_BYTES), 1)
