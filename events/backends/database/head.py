"""The critical write: a log's head is locked, and positions are handed out.

    1. lock    `__init__`   the log's row, for update
    2. look    `_gather`    the entries that have the events' keys, the streams that they go to
    3. place   `_place`     the next position and, in a stream, the next seq
    4. write   `_write`     the streams, then the entries; and `save` the head

`postgres` takes the same steps in one statement, for a single event. Here, every statement runs
after the lock was had, in a READ COMMITTED transaction, so it sees all that was committed before.
One statement that both waits for the lock and reads would read a snapshot from before the wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from django.db import IntegrityError
from django.db.backends.utils import CursorWrapper

from ...exceptions import EventsError, StreamClosed
from ...lifecycle import next_status
from ...types import TERMINAL, Row
from ...validation import Item
from ..receipts import check_same
from .dialects import Dialect
from .keys import entries_by_key
from .stream_state import StreamState, stream_states

# Called with the log, the stream and its status, before an event is put behind its end.
OnClosed = Callable[[str, str, str], None]


class LogMissing(Exception):
    """The log's row is not there (yet, or no more)."""


class Batch(NamedTuple):
    """What some events meet in the ledger (entries by their keys, streams), and add to it."""

    used: dict[str, Row]
    streams: dict[str, StreamState]
    new: list[Row]


class LockedHead:
    """A log's head while it is locked. Whoever has it hands out the positions."""

    def __init__(self, cursor: CursorWrapper, dialect: Dialect, name: str, now: int) -> None:
        self.cursor = cursor
        self.dialect = dialect
        self.name = name
        cursor.execute(
            "SELECT id, head, floor, removed, latest FROM events_log WHERE name = %s"
            + dialect.for_update,  # nosec B608 # our own words
            [name],
        )
        found = cursor.fetchone()
        if found is None:
            raise LogMissing(name)
        self.id, self.head, self.floor, self.removed, self.latest = found
        self.now = max(now, self.latest)

    def save(self) -> None:
        self.cursor.execute(
            "UPDATE events_log SET head = %s, floor = %s, removed = %s, latest = %s WHERE id = %s",
            [self.head, self.floor, self.removed, self.latest, self.id],
        )

    def append(self, items: Sequence[Item]) -> list[Row]:
        """Give every item its place, or raise and give none of them one."""
        batch = self._gather(items)
        rows = [self._enter(item, batch, refuse) for item in items]
        self._finish(batch)
        return rows

    def step(self, item: Item) -> Row | None:
        """Take a step in a stream's life; None if it is there already."""
        batch = self._gather([item])
        row = self._step(item, batch)
        self._finish(batch)
        return row

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
        names = {item.stream for item in items if item.stream}
        return Batch(
            entries_by_key(self.cursor, self.name, keys),
            stream_states(self.cursor, self.id, sorted(names)),
            [],
        )

    def _enter(self, item: Item, batch: Batch, on_closed: OnClosed) -> Row:
        """The entry that has the item's key, or else a new one."""
        first = None if item.key is None else batch.used.get(item.key)
        if first is not None:
            check_same(item, first)
            return first
        stream = batch.streams.get(item.stream)
        if stream is not None and stream.status in TERMINAL:
            on_closed(self.name, item.stream, stream.status)
        row = self._place(item, batch.streams)
        batch.new.append(row)
        if item.key is not None:
            batch.used[item.key] = row
        return row

    def _step(self, item: Item, batch: Batch) -> Row | None:
        stream = batch.streams.get(item.stream) or StreamState()
        status = next_status(item.kind, item.stream, stream.status)
        if status is None:
            return None
        batch.streams[item.stream] = stream
        row = self._place(item, batch.streams)
        stream.enter(status, item.idle_timeout)
        batch.new.append(row)
        return row

    def _place(self, item: Item, streams: dict[str, StreamState]) -> Row:
        self.head += 1
        self.latest = self.now
        seq = 0
        if item.stream:
            seq = streams.setdefault(item.stream, StreamState()).advance(self.head, self.now)
        return Row(self.head, item.kind, item.stream, seq, self.now, item.text, item.key)

    def _write(self, batch: Batch) -> None:
        if not batch.new:
            return
        touched = [
            (self.id, name, *stream.to_row())
            for name, stream in batch.streams.items()
            if stream.changed
        ]
        if touched:
            self.dialect.save_streams(self.cursor, touched)
        self.dialect.insert_events(self.cursor, self.id, batch.new)


def refuse(log: str, stream: str, status: str) -> NoReturn:
    raise StreamClosed(f"the stream {stream!r} has {status}; nothing was stored")
