"""What may be done to a log while its head is locked: append, sequence the outbox, let go.

The critical write:

    1. lock    `__init__`   the log's row, for update
    2. look    `_gather`    the entries that have the events' keys, the streams that they go to
    3. place   `_place`     the next position and, in a stream, the next seq
    4. write   `_write`     the streams, then the entries; and `save` the head

`postgres` takes the same steps in one statement, for a single event. Here, every statement runs
after the lock was had, in a READ COMMITTED transaction, so it sees all that was committed before.
One statement that both waits for the lock and reads would read a snapshot from before the wait.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from django.db import DataError, IntegrityError, InternalError
from django.db.backends.utils import CursorWrapper

from ... import hooks
from ...cursors import State
from ...exceptions import EventsError, InvalidTransition, KeyConflict, StreamClosed
from ...lifecycle import FAILED_IDLE, STEPS, next_status
from ...types import TERMINAL, Row, StreamInfo
from ...validation import Item
from ...wire import dumps
from ..base import check_adoptable
from ..clock import look_ahead
from ..receipts import check_same, warn
from . import outbox, postgres
from .dialects import Dialect
from .postgres import Sequenced
from .rows import StreamState, entries_by_key, state_of, stream_states, to_row
from .terms import Term
from .times import positions_at
from .transactions import OutboxChanged, savepoint

logger = logging.getLogger("events")

# Outbox rows that are sequenced, or entries that are deleted, under one lock.
BATCH = 500

# How a database refuses a row, as against how it tells of troubles of its own.
BAD_ROW = (DataError, IntegrityError, InternalError)

# Called with the log, the stream and its status, before an event is put behind its end.
OnClosed = Callable[[str, str, str], None]


class LogMissing(Exception):
    """The log's row is not there (yet, or no more)."""


class Batch(NamedTuple):
    """What some events meet in the ledger (entries by their keys, streams), and add to it."""

    used: dict[str, Row]
    streams: dict[str, StreamState]
    new: list[Row]


class Ledger:
    """A locked log. Whoever has it hands out the positions; it lives as long as the lock."""

    def __init__(
        self,
        cursor: CursorWrapper,
        dialect: Dialect,
        name: str,
        now: int,
        nowait: bool = False,
        taking: int = 0,
    ) -> None:
        self.cursor = cursor
        self.dialect = dialect
        self.name = name
        found = dialect.lock_log(cursor, name, nowait, taking, now)
        if found is None:
            raise LogMissing(name)
        self.id, self.head, self.floor, self.removed, self.latest, *standing, timeline = found
        # What of it stands there now.
        self.stored, self.stored_term = found[1:5], Term(*standing)
        self.head -= taking if dialect.takes_ahead else 0
        self.term = self.stored_term.on(timeline, self.head)
        look_ahead(name, self.latest, now)
        # What the clock says, and the time of what is appended: that never runs backwards.
        self.clock, self.now = now, max(now, self.latest)
        # Streams that were asked for under this lock, so that an append need not look again.
        self.known: dict[str, StreamState] = {}

    def save(self) -> None:
        now = self.head, self.floor, self.removed, self.latest
        if now != self.stored:
            self.cursor.execute(
                "UPDATE events_log SET head = %s, floor = %s, removed = %s, latest = %s "
                "WHERE id = %s",
                [*now, self.id],
            )
        if self.term != self.stored_term:
            self.term.save(self.cursor, self.id)

    @property
    def epoch(self) -> str:
        return self.term.epoch

    def append(self, items: Sequence[Item]) -> list[Row]:
        """Give every item its place, or raise and give none of them one. There is no row for a step
        in a stream's life whose stream is there already."""
        batch = self._gather(items)
        rows = [row for item in items if (row := self._enter(item, batch, refuse))]
        self._finish(batch)
        return rows

    def _finish(self, batch: Batch) -> None:
        try:
            self._write(batch)
        except IntegrityError:
            # Only a position can collide here, and only if the head is wrong.
            raise EventsError(
                f"log {self.name!r} already has entries after its head, "
                f"{self.head - len(batch.new)}. "
                "After a partial restore, run: manage.py renew_epoch"
            ) from None

    def _gather(self, items: Sequence[Item]) -> Batch:
        keys = [item.key for item in items if item.key is not None]
        names = {item.stream for item in items if item.stream} - self.known.keys()
        states = stream_states(self.cursor, self.id, sorted(names))
        return Batch(entries_by_key(self.cursor, self.name, keys), states | self.known, [])

    def stream(self, name: str) -> StreamState | None:
        """How a stream stands. For work that comes after the outbox: a batch of that may be undone."""
        if name not in self.known:
            self.known |= stream_states(self.cursor, self.id, [name])
        return self.known.get(name)

    def _enter(self, item: Item, batch: Batch, on_closed: OnClosed) -> Row | None:
        """The entry that has the item's key, or else a new one; None for a step that is taken."""
        first = None if item.key is None else batch.used.get(item.key)
        if first is not None:
            check_same(item, first)
            return first
        stream = batch.streams.get(item.stream)
        before, after = stream.status if stream else None, None
        if item.kind in STEPS:
            after = next_status(item.kind, item.stream, before)
            if after is None:
                return None
        elif before in TERMINAL:
            on_closed(self.name, item.stream, before)
        row = self._place(item, batch.streams)
        if after is not None:
            batch.streams[item.stream].enter(after, item.idle_timeout)
        batch.new.append(row)
        if item.key is not None:
            batch.used[item.key] = row
        return row

    def _place(self, item: Item, streams: dict[str, StreamState]) -> Row:
        self.head += 1
        self.latest = self.now
        seq = 0
        if item.stream:
            stream = streams.get(item.stream) or streams.setdefault(item.stream, StreamState())
            seq = stream.advance(self.head, self.clock)
        return item.at(self.head, seq, self.now)

    def _write(self, batch: Batch) -> None:
        touched = [
            (self.id, name, *to_row(stream))
            for name, stream in batch.streams.items()
            if stream.changed
        ]
        if touched:
            self.dialect.save_streams(self.cursor, touched)
        if batch.new:
            self.dialect.insert_events(self.cursor, self.id, batch.new)

    # Sequencing

    def sequence(self, after: int, newest: int) -> int:
        """Turn a batch of outbox rows into entries; the id up to which that is done.

        A bad row is set aside and stops none of the others.
        """
        done = self._sequence_at_once(after, newest)
        if done is None:
            pending = outbox.pending(self.cursor, self.name, after, newest, BATCH)
            self._sequence_or_set_aside(pending)
            done = Sequenced(len(pending), pending[-1].id if pending else 0)
        return done.last if done.rows == BATCH else newest

    def _sequence_at_once(self, after: int, newest: int) -> Sequenced | None:
        """In one statement, where the database can; None where the rows have to be looked at."""
        if not self.dialect.sequences_at_once:
            return None
        values: dict[str, str | int] = {
            "log": self.name,
            "head": self.head,
            "now": self.now,
            "clock": self.clock,
            "after": after,
            "newest": newest,
            "limit": BATCH,
        }
        try:
            with self._savepoint():
                done = postgres.sequence(self.cursor, values)
        except BAD_ROW:
            return None
        if done is not None and done.rows:
            self.head += done.rows
            self.latest = self.now
            for stream, status in done.closed:
                warn(self.name, stream, status)
        return done

    def _sequence_or_set_aside(self, pending: Sequence[outbox.Pending]) -> None:
        try:
            with self._savepoint():
                self._sequence(pending)
        except BAD_ROW:
            self._check_head()
            for row in pending:
                try:
                    with self._savepoint():
                        self._sequence([row])
                except BAD_ROW as error:
                    self._set_aside(row, f"cannot be stored: {error}")

    def _sequence(self, pending: Sequence[outbox.Pending]) -> None:
        batch = self._gather([row.item for row in pending])
        done = []
        for row in pending:
            try:
                self._enter(row.item, batch, warn)
            except (KeyConflict, InvalidTransition) as error:
                self._set_aside(row, str(error))
            else:
                done.append(row.id)
        self._write(batch)
        if self.dialect.delete(self.cursor, "events_outbox", done) != len(done):
            raise OutboxChanged(f"log {self.name!r}: outbox rows vanished under the lock")

    def _set_aside(self, row: outbox.Pending, reason: str) -> None:
        logger.error(
            "Log %r: outbox row %s (%s) is set aside: %s", self.name, row.id, row.item.kind, reason
        )
        outbox.set_aside(self.cursor, row.id, reason)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        before = self.head, self.latest
        try:
            with savepoint(self.cursor, "events_sequence"):
                yield
        except BAD_ROW:
            self.head, self.latest = before
            raise

    def _check_head(self) -> None:
        """A head behind its own entries would make every row look bad: name the real trouble."""
        self.cursor.execute(
            "SELECT MAX(position) FROM events_event WHERE log_id = %s AND position > %s",
            [self.id, self.head],
        )
        newest = self.cursor.fetchone()[0]
        if newest is not None:
            raise EventsError(
                f"log {self.name!r} has entries up to {newest}, but its head says {self.head}. "
                "After a partial restore, run: manage.py renew_epoch"
            )

    # The watchdog

    def fail_idle(self, names: Sequence[str]) -> list[str]:
        """Fail the streams among these that have been silent for too long, as seen under the lock;
        their names."""
        text = dumps({"reason": FAILED_IDLE})
        items = [Item("stream.failed", name, text, None) for name in names]
        batch = self._gather(items)
        idle = [
            item
            for item in items
            if item.stream in batch.streams and batch.streams[item.stream].is_idle(self.clock)
        ]
        for item in idle:
            self._enter(item, batch, refuse)
        for stream in batch.streams.values():
            stream.come_back(self.clock)
        self._finish(batch)
        return [item.stream for item in idle]

    # Removing

    def raise_floor(self, floor: int) -> None:
        """Declare everything up to `floor` gone. The rows go later, without the lock."""
        floor = min(floor, self.head)  # a floor beyond the head would hide what comes next
        if floor <= self.floor:
            return
        if self.removed:
            self.cursor.execute(
                "SELECT COUNT(*) FROM events_event "
                "WHERE log_id = %s AND position > %s AND position <= %s",
                [self.id, self.floor, floor],
            )
            self.removed -= floor - self.floor - self.cursor.fetchone()[0]
        self.floor = floor

    def delete_stream(self, stream: str) -> int:
        """Remove the stream's row, say so in the log, and note that its entries are to go."""
        for hook in hooks.before_deletion:
            hook(self, stream)
        self.known.pop(stream, None)
        self.cursor.execute(
            "DELETE FROM events_stream WHERE log_id = %s AND name = %s", [self.id, stream]
        )
        if not self.cursor.rowcount:
            return 0
        self.cursor.execute(
            "SELECT COUNT(*) FROM events_event WHERE log_id = %s AND stream = %s AND position > %s",
            [self.id, stream, self.floor],
        )
        count = int(self.cursor.fetchone()[0])
        text = dumps({"stream": stream, "events": count})
        row = self._place(Item("stream.deleted", "", text, None), {})
        self.dialect.insert_events(self.cursor, self.id, [row])
        if count:
            self.cursor.execute(
                "INSERT INTO events_deletion (log_id, stream, below) VALUES (%s, %s, %s)",
                [self.id, stream, row.position],
            )
        return count

    def delete_entries(self, stream: str, below: int) -> bool:
        """Delete a batch of a deleted stream's entries; were there any?

        Under the lock, because `removed` has to count just those above the floor.
        """
        self.cursor.execute(
            "SELECT id, position FROM events_event WHERE log_id = %s AND stream = %s "
            "AND position < %s ORDER BY position LIMIT %s",
            [self.id, stream, below, BATCH],
        )
        found = self.cursor.fetchall()
        if not found:
            return False
        ids = [row[0] for row in found]
        self.dialect.delete(self.cursor, "events_event", ids)
        self.removed += sum(position > self.floor for _, position in found)
        return True

    def adopt(self, rows: Sequence[Row], after: int, upto: int, state: State) -> None:
        """Take over entries of another log; see `BaseBackend.adopt`."""
        # A term that a promoted server would begin with this is the other log's business.
        check_adoptable(self.name, self.head, self.stored_term.epoch, after, state)
        if not self.head:
            self.floor = after
        self.removed += upto - after - len(rows)
        self.head, self.latest = upto, max([self.latest, *(row.micros for row in rows[-1:])])
        if rows:
            self.dialect.insert_events(self.cursor, self.id, rows)
        self.term = self.term.of(state)

    def adopt_streams(self, streams: Sequence[StreamInfo], idle_timeout: float | None) -> None:
        rows = [(self.id, one.stream, *to_row(state_of(one, idle_timeout))) for one in streams]
        self.dialect.save_streams(self.cursor, rows)

    def renew(self, epoch: str, reset_clock: bool) -> None:
        """A new identity; and a head that is not behind its entries, whatever was restored."""
        if reset_clock:
            before = positions_at(self.cursor, self.dialect, self.name, [self.clock + 1])
            self.cursor.execute(
                "UPDATE events_event SET timestamp = %s WHERE log_id = %s AND position > %s",
                [self.clock, self.id, *before],
            )
            self.latest = min(self.latest, self.clock)
        self.cursor.execute(
            "SELECT position, timestamp FROM events_event WHERE log_id = %s "
            "ORDER BY position DESC LIMIT 1",
            [self.id],
        )
        for position, micros in self.cursor.fetchall():
            self.head, self.latest = max(self.head, position), max(self.latest, micros)
        self.term = self.term._replace(epoch=epoch, terms=None)


def refuse(log: str, stream: str, status: str) -> NoReturn:
    raise StreamClosed(f"the stream {stream!r} has {status}; nothing was stored")
