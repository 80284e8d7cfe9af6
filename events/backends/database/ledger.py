"""What may be done to a log while its head is locked, and nothing else.

A `Ledger` lives as long as the lock. Every statement here runs after the lock was had, in a
READ COMMITTED transaction, so it sees all that was committed before. One statement that both
waits for the lock and reads would read a snapshot from before the wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.db import DataError, IntegrityError, InternalError
from django.db.backends.utils import CursorWrapper

from ...exceptions import EventsError, KeyConflict, StreamClosed
from ...types import TERMINAL, Row
from ...validation import Item
from ...wire import dumps
from ..base import check_same
from . import outbox
from .dialects import ROW_COLUMNS, Dialect
from .sql import chunks, marks
from .transactions import OutboxChanged

logger = logging.getLogger("events")

# Outbox rows that are sequenced, or entries that are deleted, under one lock.
BATCH = 500

# What a database says of a row that it will not have, as against of its own troubles.
BAD_ROW = (DataError, IntegrityError, InternalError)


class LogMissing(Exception):
    """The log's row is not there (yet, or no more)."""


class StreamState:
    """A stream's row while the lock is held; `last` is 0 until something is appended."""

    __slots__ = ("first", "last", "micros", "seq", "status")

    def __init__(self, seq: int = 0, first: int = 0, status: str | None = None) -> None:
        self.seq = seq
        self.first = first
        self.status = status
        self.last = 0
        self.micros = 0


class Ledger:
    """A log whose head is locked: the one place where positions are handed out."""

    def __init__(self, cursor: CursorWrapper, dialect: Dialect, name: str, now: int) -> None:
        self.cursor = cursor
        self.dialect = dialect
        self.name = name
        cursor.execute(
            "SELECT id, head, floor, removed, latest FROM events_log WHERE name = %s"
            + dialect.for_update,
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

    # Appending

    def append(self, items: Sequence[Item]) -> list[Row]:
        """Give every item its place, or raise and give none of them one."""
        used = self.entries_by_key(item.key for item in items)
        streams = self._streams(items)
        answers, new = [], []
        for item in items:
            row = used.get(item.key) if item.key is not None else None
            if row is not None:
                check_same(item, row)
            else:
                check_open(item, streams)
                row = self._place(item, streams)
                new.append(row)
                if item.key is not None:
                    used[item.key] = row
            answers.append(row)
        try:
            self._write(new, streams)
        except IntegrityError:
            # Only a position can collide here, and only if the head is wrong.
            raise EventsError(
                f"log {self.name!r} already has entries after its head, {self.head - len(new)}. "
                "After a partial restore, run: manage.py renew_epoch"
            ) from None
        return answers

    def sequence(self, pending: Sequence[outbox.Pending]) -> None:
        """Turn outbox rows into entries. A bad row is set aside and stops none of the others."""
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
        items = [row.item for row in pending]
        used = self.entries_by_key(item.key for item in items)
        streams = self._streams(items)
        new, done = [], []
        for row in pending:
            key = row.item.key
            if key is not None and key in used:
                try:
                    check_same(row.item, used[key])
                except KeyConflict as error:
                    self._set_aside(row, str(error))
                    continue
            else:
                stream = streams.get(row.item.stream)
                if stream is not None and stream.status in TERMINAL:
                    logger.warning(
                        "Log %r: a transaction committed an event of stream %r after that had %s.",
                        self.name,
                        row.item.stream,
                        stream.status,
                    )
                new.append(self._place(row.item, streams))
                if key is not None:
                    used[key] = new[-1]
            done.append(row.id)
        self._write(new, streams)
        if self.dialect.delete(self.cursor, "events_outbox", done) != len(done):
            raise OutboxChanged(f"log {self.name!r}: outbox rows vanished under the lock")

    def _place(self, item: Item, streams: dict[str, StreamState]) -> Row:
        self.head += 1
        self.latest = self.now
        seq = 0
        if item.stream:
            stream = streams.setdefault(item.stream, StreamState())
            stream.seq = seq = stream.seq + 1
            stream.first = stream.first or self.head
            stream.last = self.head
            stream.micros = self.now
        return Row(self.head, item.kind, item.stream, seq, self.now, item.text, item.key)

    def _write(self, rows: Sequence[Row], streams: dict[str, StreamState]) -> None:
        if not rows:
            return
        touched = [
            (self.id, name, stream.seq, stream.first, stream.last, stream.micros)
            for name, stream in streams.items()
            if stream.last
        ]
        if touched:
            self.dialect.save_streams(self.cursor, touched)
        self.dialect.insert_events(self.cursor, self.id, rows)

    def _set_aside(self, row: outbox.Pending, reason: str) -> None:
        logger.error(
            "Log %r: outbox row %s (%s) is set aside: %s", self.name, row.id, row.item.kind, reason
        )
        outbox.set_aside(self.cursor, row.id, reason)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """By hand, because the transaction was begun by hand: `atomic()` knows nothing of it."""
        before = self.head, self.latest
        self.cursor.execute("SAVEPOINT events_sequence")
        try:
            yield
        except BAD_ROW:
            self.cursor.execute("ROLLBACK TO SAVEPOINT events_sequence")
            self.head, self.latest = before
            raise
        self.cursor.execute("RELEASE SAVEPOINT events_sequence")

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

    # What is there

    def entries_by_key(self, keys: Iterable[str | None]) -> dict[str, Row]:
        found = {}
        for some in chunks([key for key in keys if key is not None]):
            self.cursor.execute(
                f"SELECT {ROW_COLUMNS} FROM events_event "
                f"WHERE log_id = %s AND idempotency_key IN ({marks(some)})",
                [self.id, *some],
            )
            found.update({row[6]: Row(*row) for row in self.cursor.fetchall()})
        return found

    def _streams(self, items: Iterable[Item]) -> dict[str, StreamState]:
        found = {}
        for some in chunks(sorted({item.stream for item in items if item.stream})):
            self.cursor.execute(
                "SELECT name, seq, first_position, status FROM events_stream "
                f"WHERE log_id = %s AND name IN ({marks(some)})",
                [self.id, *some],
            )
            found.update({row[0]: StreamState(*row[1:]) for row in self.cursor.fetchall()})
        return found

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

    def renew(self, epoch: str) -> None:
        """A new identity; and a head that is not behind its entries, whatever was restored."""
        self.cursor.execute("SELECT MAX(position) FROM events_event WHERE log_id = %s", [self.id])
        self.head = max(self.head, self.cursor.fetchone()[0] or 0)
        self.cursor.execute("UPDATE events_log SET epoch = %s WHERE id = %s", [epoch, self.id])


def check_open(item: Item, streams: dict[str, StreamState]) -> None:
    stream = streams.get(item.stream)
    if stream is not None and stream.status in TERMINAL:
        raise StreamClosed(f"the stream {item.stream!r} has {stream.status}; nothing was stored")
