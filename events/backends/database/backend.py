"""The database log: which path an append takes, and what a read does before it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, DatabaseError, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from ... import hints
from ...conf import LogSettings
from ...cursors import Query, Rows, State, finish, locate
from ...exceptions import EventsError
from ...models import Deletion, Log, Stream
from ...types import Entry, LogInfo, Row, Status, StreamInfo, new_epoch
from ...validation import Item
from ..base import BaseBackend, Progress, in_callers_atomic, receipt
from . import outbox, pages, postgres, retention
from .dialects import Dialect, dialect_of
from .ledger import BATCH, Ledger, LogMissing
from .transactions import busy, is_passing, is_timeout, run

T = TypeVar("T")

logger = logging.getLogger("events")

# Seconds that an append waits for the log, at the most. A statement holds it for milliseconds;
# what holds it for longer is broken, and a caller should hear of that rather than hang.
LOCK_TIMEOUT = 5.0


class DatabaseBackend(BaseBackend):
    coalesces = True

    def __init__(self, settings: LogSettings) -> None:
        super().__init__(settings)
        self.alias: str = settings.options.get("using", DEFAULT_DB_ALIAS)
        self.lock_timeout: float = settings.options.get("lock_timeout", LOCK_TIMEOUT)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """The log's own alias, whatever a router says: a replica lags behind the head."""
        return connections[self.alias]

    @property
    def dialect(self) -> Dialect:
        return dialect_of(self.connection)

    def in_transaction(self) -> bool:
        connection = self.connection
        if connection.in_atomic_block:
            return in_callers_atomic(connection)
        return not connection.get_autocommit()

    # Writing

    def append(self, items: Sequence[Item]) -> list[Entry]:
        if not items:
            return []
        if self.in_transaction():
            if self.dialect.uses_outbox:
                return self._append_to_outbox(items)
            return self._append_in_place(items)
        if len(items) == 1:
            row = self._append_at_once(items[0])
            if row is not None:
                hints.send(self.name)
                return [Entry.from_row(row)]
        return [Entry.from_row(row) for row in self._after_outbox(lambda log: log.append(items))]

    def _append_at_once(self, item: Item) -> Row | None:
        """In one statement, where the database can; None where it takes the long way."""
        if not postgres.can_append(self.connection):
            return None
        with self.connection.cursor() as cursor:
            try:
                return postgres.append(cursor, self.name, item, self.now(), self.lock_timeout)
            except DatabaseError as error:
                if is_timeout(error):
                    raise busy(self.lock_timeout, self.dialect) from error
                if is_passing(error) or isinstance(error, IntegrityError):
                    return None
                raise

    def _append_to_outbox(self, items: Sequence[Item]) -> list[Entry]:
        """Wait for the caller's commit in the outbox: the head would be locked until then."""
        with self.connection.cursor() as cursor:
            answers = outbox.put(cursor, self.name, items, self.now())
        self._after_commit(0)
        return answers

    def _append_in_place(self, items: Sequence[Item]) -> list[Entry]:
        """Straight into the ledger, within the caller's transaction, where there is one writer."""
        try:
            with transaction.atomic(using=self.alias), self.connection.cursor() as cursor:
                self.dialect.insert_log(cursor, self.name)
                ledger = Ledger(cursor, self.dialect, self.name, self.now())
                known = ledger.head
                rows = ledger.append(items)
                ledger.save()
        except DatabaseError as error:
            if is_timeout(error):
                raise busy(self.lock_timeout, self.dialect) from error
            raise
        self._after_commit(known)
        return [
            receipt(item, self.now()) if self._is_own(row, known) else Entry.from_row(row)
            for row, item in zip(rows, items, strict=True)
        ]

    def _after_commit(self, head: int) -> None:
        """Have a hook run after the commit, which remembers the head from before.

        Not "register once, and remember that": a rolled-back savepoint takes its hooks along,
        and with them the only one there was. But while ours is the last on the list, what is
        emitted now is inside all the savepoints that the hook depends on.
        """
        if not self.connection.in_atomic_block:
            return
        hooks = self.connection.run_on_commit
        last = hooks[-1][1] if hooks else None
        if not (isinstance(last, _Hook) and last.log == self.name):
            transaction.on_commit(_Hook(self, head), using=self.alias)

    def _is_own(self, row: Row, known: int) -> bool:
        """Was this entry appended by the caller's own transaction?"""
        if row.position > known:
            return True
        hooks = [hook[1] for hook in self.connection.run_on_commit]
        return any(
            isinstance(hook, _Hook) and hook.log == self.name and row.position > hook.head
            for hook in hooks
        )

    def sequence(self) -> None:
        """Give the committed events in the outbox their positions."""
        if self.dialect.uses_outbox and self._outbox_waits():
            self._after_outbox(lambda ledger: None)

    def _outbox_waits(self) -> bool:
        with self.connection.cursor() as cursor:
            return outbox.waits(cursor, self.name)

    def _after_outbox(self, work: Callable[[Ledger], T]) -> T:
        """Do `work` under the lock, when all that was committed before this call is sequenced.

        A batch at a time, so that nobody waits long for the lock, and up to the newest row of
        the first look, so that it ends however fast others fill the outbox.
        """
        newest = 0
        again = object()

        def step(ledger: Ledger) -> T | object:
            nonlocal newest
            if self.dialect.uses_outbox:
                pending = outbox.pending(ledger.cursor, self.name, BATCH)
                if pending:
                    ledger.sequence(pending)
                if len(pending) == BATCH:
                    newest = newest or outbox.newest(ledger.cursor, self.name)
                    if pending[-1].id < newest:
                        return again
            return work(ledger)

        while (result := self._locked(step)) is again:
            pass
        return cast(T, result)

    def _locked(self, work: Callable[[Ledger], T]) -> T:
        grown = False

        def step(cursor: Any) -> T:
            nonlocal grown
            ledger = Ledger(cursor, self.dialect, self.name, self.now())
            before = ledger.head
            result = work(ledger)
            ledger.save()
            grown = ledger.head > before
            return result

        try:
            result = run(self.connection, self.dialect, self.lock_timeout, step)
        except LogMissing:
            self._create()
            result = run(self.connection, self.dialect, self.lock_timeout, step)
        if grown:
            hints.send(self.name)
        return result

    def _create(self) -> None:
        """Make the log's row, unless somebody else just did."""
        run(
            self.connection,
            self.dialect,
            self.lock_timeout,
            lambda cursor: self.dialect.insert_log(cursor, self.name),
        )

    # Reading

    def read(self, query: Query) -> Rows:
        found = self._snapshot(query)
        _, gap = locate(query, found.state)
        if gap is not None and gap.reason == "epoch":
            found = self._snapshot(replace(query, since="earliest"))
        return finish(query, found.state, found.rows)

    def info(self) -> LogInfo:
        found = self._snapshot(Query(limit=0))
        head, floor, epoch = found.state
        # `removed` also counts holes among entries that expired and are not pruned yet.
        count = max(0, head - floor - found.removed)
        return LogInfo(self.name, epoch, head, floor, count)

    def _snapshot(self, query: Query) -> pages.Snapshot:
        """The log as it is once all that was committed has its place.

        Inside the caller's transaction nothing is sequenced: the head would stay locked until
        that commit. And if the lock is not to be had, what is there is a prefix all the same.
        """
        found = self._look(query)
        if found is None:
            if self.in_transaction():
                return pages.Snapshot(State(0, 0, ""), 0, False, [])
            self._locked(lambda ledger: None)
            return self._snapshot(query)
        if found.outbox and not self.in_transaction():
            try:
                self.sequence()
            except (DatabaseError, EventsError):
                logger.warning("Log %r: could not sequence the outbox.", self.name, exc_info=True)
            found = self._look(query) or found
        return found

    def _look(self, query: Query) -> pages.Snapshot | None:
        with self.connection.cursor() as cursor:
            return pages.snapshot(
                cursor, self.dialect, self.name, query, self.cutoff(self.settings.ttl)
            )

    def stream(self, name: str) -> StreamInfo | None:
        self._snapshot(Query(limit=0))
        found = self._streams().filter(name=name).first()
        return None if found is None else stream_info(found)

    def streams(
        self,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        status: Status | None = None,
    ) -> list[StreamInfo]:
        self._snapshot(Query(limit=0))
        known = self._streams().order_by("-last_position")
        if status is not None:
            known = known.filter(status=status)
        if after is not None:
            nearest = known.filter(last_position__gt=after).order_by("last_position")[:limit]
            return [stream_info(stream) for stream in reversed(nearest)]
        if before is not None:
            known = known.filter(last_position__lt=before)
        return [stream_info(stream) for stream in known[:limit]]

    def _streams(self) -> QuerySet[Stream]:
        return Stream.objects.using(self.alias).filter(log__name=self.name)

    # Letting go

    def prune(
        self,
        ttl: float | None,
        max_entries: int | None,
        *,
        batch_size: int = 500,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        self.refuse_in_transaction("prune")
        log = self._row()
        with self.connection.cursor() as cursor:
            target = log.floor
            if (cutoff := self.cutoff(ttl)) is not None:
                target = max(target, retention.last_expired(cursor, log.pk, cutoff))
            if max_entries is not None and log.head - target > max_entries:
                # Without holes the arithmetic will do; with them the entries must be counted.
                target = (
                    retention.last_beyond(cursor, log.pk, target, max_entries)
                    if log.removed
                    else log.head - max_entries
                )
            if dry_run:
                return retention.count_below(cursor, log.pk, target)
        return self._let_go(log, target, batch_size, progress)

    def clear(self) -> int:
        self.refuse_in_transaction("clear")
        head = self._after_outbox(lambda ledger: ledger.head)
        return self._let_go(self._row(), head, BATCH, None)

    def _let_go(self, log: Log, target: int, batch_size: int, progress: Progress | None) -> int:
        step = retention.FLOOR_STEP if log.removed else target
        for floor in retention.steps(log.floor, target, step):
            self._locked(lambda ledger, floor=floor: ledger.raise_floor(floor))  # type: ignore[misc]
        self._finish_deletions(log)
        with self.connection.cursor() as cursor:
            return retention.delete_below(
                cursor, self.dialect, log.pk, target, batch_size, progress
            )

    def delete_stream(self, stream: str) -> int:
        self.refuse_in_transaction("delete a stream")
        count = self._after_outbox(lambda ledger: ledger.delete_stream(stream))
        if count:
            self._finish_deletions(self._row())
        return count

    def _finish_deletions(self, log: Log) -> None:
        """Remove the entries of deleted streams, also of those whose process died over it."""
        for deletion in Deletion.objects.using(self.alias).filter(log=log):
            while self._locked(
                lambda ledger, deletion=deletion: ledger.delete_entries(  # type: ignore[misc]
                    deletion.stream, deletion.below
                )
            ):
                pass
            deletion.delete()

    def renew_epoch(self) -> str:
        self.refuse_in_transaction("renew the epoch")
        epoch = new_epoch()
        self._locked(lambda ledger: ledger.renew(epoch))
        return epoch

    def _row(self) -> Log:
        if self._look(Query(limit=0)) is None:
            self._create()
        return Log.objects.using(self.alias).get(name=self.name)


def stream_info(stream: Stream) -> StreamInfo:
    return StreamInfo(
        stream.name,
        Status(stream.status) if stream.status else None,
        stream.seq,
        stream.first_position,
        stream.last_position,
        stream.opened_at,
        stream.closed_at,
        stream.last_event_at,
    )


class _Hook:
    """Sequences after a commit. It never fails the caller, whose data is safe by now: what it
    leaves in the outbox is sequenced by the next emit, read or poll."""

    def __init__(self, backend: DatabaseBackend, head: int) -> None:
        self.backend = backend
        self.log = backend.name
        self.head = head

    def __call__(self) -> None:
        try:
            self.backend.sequence()
        except Exception:
            logger.warning("Log %r: could not sequence after a commit.", self.log, exc_info=True)
        hints.send(self.log)
