"""What may be done to a log while its head is locked, and nothing else.

Append (see `head`), sequence what has waited in the outbox, and let go of entries. A `Ledger`
lives as long as the lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import DataError, IntegrityError, InternalError

from ...exceptions import EventsError, InvalidTransition, KeyConflict
from ...lifecycle import IDLE_TIMEOUT, STEPS
from ...validation import Item
from ...wire import dumps
from ..receipts import warn
from . import outbox
from .head import LockedHead
from .transactions import OutboxChanged

logger = logging.getLogger("events")

# Outbox rows that are sequenced, or entries that are deleted, under one lock.
BATCH = 500

# What a database says of a row that it will not have, as against of its own troubles.
BAD_ROW = (DataError, IntegrityError, InternalError)


class Ledger(LockedHead):
    """A locked log."""

    # Sequencing

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
        batch = self._gather([row.item for row in pending])
        done = []
        for row in pending:
            try:
                if row.item.kind in STEPS:
                    self._step(row.item, batch)
                else:
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

    # The watchdog

    def fail_idle(self, names: Sequence[str]) -> list[str]:
        """Fail those of the streams that have been silent for too long, looked at again under
        the lock."""
        text = dumps({"reason": IDLE_TIMEOUT})
        items = [Item("stream.failed", name, text, None) for name in names]
        batch = self._gather(items)
        idle = [
            item
            for item in items
            if item.stream in batch.streams and batch.streams[item.stream].is_idle(self.now)
        ]
        for item in idle:
            self._step(item, batch)
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
        for column, field in (("position", "head"), ("timestamp", "latest")):
            self.cursor.execute(
                f"SELECT MAX({column}) FROM events_event WHERE log_id = %s",  # nosec B608 # one of two
                [self.id],
            )
            setattr(self, field, max(getattr(self, field), self.cursor.fetchone()[0] or 0))
        self.cursor.execute("UPDATE events_log SET epoch = %s WHERE id = %s", [epoch, self.id])
