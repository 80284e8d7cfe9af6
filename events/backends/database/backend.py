"""A log in the project's own database: the verbs of a backend, each handed to the module for it.

An append is one statement (`postgres`) or work on the `ledger` under its `lock`; in a transaction
of the caller's it goes to the `outbox`, and `hook` has it sequenced after the commit. Reads are
in `pages`, removal is in `retention`.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import TypeVar, Unpack

from django.db import DEFAULT_DB_ALIAS, DatabaseError, IntegrityError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.expressions import Combinable

from ... import hints, hooks
from ...conf import LogSettings
from ...cursors import Query, Rows, State, finish, locate
from ...exceptions import EventsError, LogBusy
from ...internals import in_test_environment
from ...lifecycle import STEPS
from ...models import Log, Stream
from ...types import Entry, LogInfo, Row, StreamInfo, new_epoch
from ...validation import Item
from ..base import LOCK_TIMEOUT, Asked, BaseBackend, Pruning
from ..clock import SKEW, compare, look_ahead
from ..figures import Figures, Stretch
from ..receipts import in_callers_atomic, receipt
from . import (
    counting,
    hook,
    notices,
    outbox,
    pages,
    postgres,
    retention,
    rows,
    sequencer,
    sqlite,
    terms,
    times,
)
from .dialects import Dialect
from .ledger import Ledger
from .lock import READER_PATIENCE, LedgerLock
from .transactions import after_own, busy, in_own, is_timeout, is_transient

logger = logging.getLogger("events")

T = TypeVar("T")


class DatabaseBackend(BaseBackend):
    coalesces = True
    in_database = keeps_cursors = True

    def __init__(self, settings: LogSettings) -> None:
        super().__init__(settings)
        self.alias = settings.options.get("using", DEFAULT_DB_ALIAS)
        self.lock_timeout: float = settings.options.get("lock_timeout", LOCK_TIMEOUT)
        inline = settings.options.get("sequence") == "inline"
        # When the monotonic clock began, by the clock that was found to be right.
        self.compared = 0
        self.lock = LedgerLock(self.name, self.alias, self.lock_timeout, inline, self.now)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """The log's own alias, whatever a router says: a replica lags behind the head."""
        return connections[self.alias]

    @property
    def dialect(self) -> Dialect:
        return self.lock.dialect

    @property
    def carries_hints(self) -> bool:
        wanted = self.settings.options.get("notify", True)
        # A test's database has to be dropped after it.
        possible = notices.can_carry(self.connection) and sequencer.has_threads()
        return wanted and possible and not in_test_environment()

    def send_hints(self, logs: Iterable[str]) -> None:
        notices.send(self.alias, logs)

    def hints_arrive(self) -> bool:
        return notices.are_delivered(self.alias)

    def hear(self, heard: Callable[[], object]) -> Callable[[], None]:
        return notices.hear(self.alias, self.name, heard)

    def now(self) -> int:
        """A clock that is nobody's choice is compared with the database's: when it is first asked,
        and when it has been set since. Past Django's cursor, where nobody counts a query."""
        micros = super().now()
        if "clock" in self.settings.options:
            return micros
        started = micros - time.monotonic_ns() // 1000
        if abs(started - self.compared) > SKEW:
            connection = self.connection
            connection.ensure_connection()
            with connection.wrap_database_errors, closing(connection.create_cursor()) as cursor:
                cursor.execute(self.dialect.clock)
                compare(micros, cursor.fetchone()[0])
            self.compared = started
        return micros

    def in_transaction(self) -> bool:
        connection = self.connection
        if connection.in_atomic_block:
            return in_callers_atomic(connection)
        return in_own(connection) or not connection.get_autocommit()

    def is_transient(self, error: BaseException) -> bool:
        # SQLite's one writer is always somebody else's short work.
        waited = not self.dialect.uses_outbox and is_timeout(error)
        return isinstance(error, LogBusy) or is_transient(error) or waited

    def is_locked(self, error: BaseException) -> bool:
        return is_timeout(error)

    # Writing

    def append(self, items: Sequence[Item]) -> list[Entry]:
        """Give the items their places now; or, in a transaction of the caller's, at its commit."""
        if not items:
            return []
        if not self.in_transaction():
            row = self._append_at_once(items)
            if row is not None:
                hints.send(self.name, row.position)
                return [Entry.lazy(row)]
            rows = self.lock.run_after_outbox(methodcaller("append", items), taken_by(items))
            return Entry.lazy_list(rows)
        if not self.dialect.uses_outbox:
            if in_own(self.connection):
                # Its positions are being given out: what came between would have one of them.
                after_own(self.connection, partial(self.append, items))
                return [receipt(item, self.now()) for item in items]
            return self._write_in_place(items)
        with self.connection.cursor() as cursor:
            put = outbox.put_step if items[0].kind in STEPS else outbox.put
            answers = put(cursor, self.name, items, self.now())
        if answers:
            self._sequence_after_commit(0, inline=items[0].kind in STEPS)
        return answers

    def _append_at_once(self, items: Sequence[Item]) -> Row | None:
        """Append a single item by as few statements as there can be; None where that is not to be."""
        connection, row = self.connection, None
        in_one = postgres.can_append(connection)
        if len(items) > 1 or not (in_one or sqlite.can_append(connection, items[0])):
            return None
        [item], now = items, self.now()
        if in_one:
            statement = postgres.step if item.kind in STEPS else postgres.append
            row = self._at_once(statement, self.name, item, now)
        else:
            # Only a position can collide here; the long way says what is wrong then.
            with suppress(IntegrityError):
                row = self.lock.transact(lambda cursor: sqlite.append(cursor, self.name, item, now))
        if row is not None:
            look_ahead(self.name, row.micros, now)
        return row

    def _at_once(self, statement: Callable[..., T | None], *arguments: object) -> T | None:
        """What one statement answers; None also where it met others, and the long way is to be
        tried."""
        with self.connection.cursor() as cursor:
            try:
                return statement(cursor, *arguments, self.lock_timeout)
            except DatabaseError as error:
                if is_timeout(error):
                    raise busy(self.lock_timeout, self.dialect) from error
                if is_transient(error) or isinstance(error, IntegrityError):
                    return None
                raise

    def go_on(self, item: Item, first: int) -> tuple[Row, str] | None:
        """Append to the stream that began at position `first`, in one statement; also the epoch.
        None, and nothing is stored, if that stream is gone or has ended, or where the database
        needs more than one statement."""
        if self.in_transaction() or not postgres.can_append(self.connection):
            return None
        now = self.now()
        found = self._at_once(postgres.go_on, self.name, item, first, now)
        if found is not None:
            look_ahead(self.name, found[0].micros, now)
            hints.send(self.name, found[0].position)
        return found

    def _write_in_place(self, items: Sequence[Item]) -> list[Entry]:
        """Write into the ledger within the caller's transaction, where there is one writer."""
        rows, before = self.lock.run_within(methodcaller("append", items), taken_by(items))
        if not rows:
            return []
        self._sequence_after_commit(before, inline=True)
        # What is after the head of this transaction's first append is its own, and not committed.
        own = min([before, *(one.head for one in hook.registered(self.connection, self.name))])
        return [
            receipt(item, row.micros) if row.position > own else Entry.lazy(row)
            for row, item in zip(rows, items, strict=True)
        ]

    def _sequence_after_commit(self, head: int, inline: bool) -> None:
        hook.register(self.connection, hook.Hook(self.lock, head, inline))

    def sequence(self) -> int:
        """Give the committed events in the outbox their positions; the head after that."""
        return self.lock.sequence()

    def sequence_inline(self) -> None:
        sequencer.stay_inline()

    def fail_idle(self) -> list[str]:
        self.refuse_in_transaction("fail idle streams")
        self.sequence()
        for log in Log.objects.using(self.alias).filter(name=self.name):
            retention.finish_deletions(self.lock, log)
        failed: list[str] = []
        for names in rows.chunks(rows.idle_streams(self._log_streams(), self.now())):
            failed += self.lock.run_after_outbox(methodcaller("fail_idle", names))
        return failed

    def locked(self, work: Callable[[Ledger], T]) -> T:
        """Do `work` on the locked ledger, in a transaction of our own: what an app has to commit
        together with an append. What it writes there must not begin a transaction."""
        self.refuse_in_transaction("lock the log")
        return self.lock.run_after_outbox(work)

    # Reading

    def read(self, query: Query) -> Rows:
        if query.last is not None:
            return self._read_last(query)
        found = self._snapshot(query)
        _, gap = locate(query, found.state)
        is_ahead = gap is not None and gap.reason == "ahead" and not self.in_transaction()
        if is_ahead and self.lock.begin_term(found.state.epoch):
            return self.read(query)
        if gap is not None and gap.reason == "epoch":
            found = self._snapshot(replace(query, since="earliest"))
        return finish(query, found.state, found.rows, found.partial, found.cut, found.bad)

    def _read_last(self, query: Query) -> Rows:
        # What was committed before has to have its place: it is among the newest.
        partial = self._snapshot(Query(limit=0)).partial
        with self.connection.cursor() as cursor:
            start = pages.start_of_last(
                cursor, self.dialect, self.name, query, self.cutoff(self.settings.ttl)
            )
        found = self.read(replace(query, since=start, last=None, epoch=None))
        if found.gap is not None and found.gap.reason != "unreadable":
            # The log was pruned or made anew between the two statements.
            return self._read_last(query)
        return found._replace(partial=partial or found.partial)

    def standing(self) -> Sequence[Combinable]:
        return terms.standing(self.connection, self.name)

    def info(self) -> LogInfo:
        found = self._snapshot(Query(limit=0))
        head, floor, epoch, _ = found.state
        return LogInfo(self.name, epoch, head, floor, found.resident)

    def _snapshot(self, query: Query) -> pages.Snapshot:
        """The log as it is once all that was committed has its place; or a prefix of that, where
        so much waits for its place that it takes long.

        Inside the caller's transaction nothing is sequenced: the head would stay locked until
        that commit. But what others have left to a thread, the thread is waited for.
        """
        found = self._look(query)
        if found is None:
            if self.in_transaction():
                return pages.EMPTY
            self.lock.create_log()
            return self._snapshot(query)
        if not found.outbox:
            return found
        partial = False
        if not self.in_transaction():
            try:
                self.lock.sequence(READER_PATIENCE)
            except LogBusy:
                partial = True
            except (DatabaseError, EventsError):
                logger.warning("Log %r: could not sequence the outbox.", self.name, exc_info=True)
        elif sequencer.is_available(self.lock):
            sequencer.wait_for(self.lock, READER_PATIENCE)
        else:
            return found
        return (self._look(query) or found)._replace(partial=partial)

    def _look(self, query: Query) -> pages.Snapshot | None:
        cutoff = None if query.whole else self.hidden_before()
        with self.connection.cursor() as cursor:
            return pages.snapshot(cursor, self.dialect, self.name, query, cutoff)

    def position_at(self, micros: int) -> int:
        with self.connection.cursor() as cursor:
            return times.positions_at(cursor, self.dialect, self.name, [micros])[0]

    def figures(self) -> Figures:
        found = self._look(Query(limit=0)) or pages.EMPTY
        try:
            now = self.now()
        except EventsError:
            now = time.time_ns() // 1_000
        with self.connection.cursor() as cursor:
            return counting.figures(cursor, self.name, now, self.settings.max_entries, found)

    def stretches(self, edges: Sequence[int], stream: str | None = None) -> list[Stretch]:
        with self.connection.cursor() as cursor:
            return counting.stretches(
                cursor, self.dialect, self.name, edges, self.hidden_before(), stream
            )

    def find_streams(self, names: Sequence[str]) -> dict[str, StreamInfo]:
        return rows.find_streams(self._streams(), names)

    def streams(self, limit: int, **asked: Unpack[Asked]) -> list[StreamInfo]:
        return rows.recent_streams(self._streams(), limit, **asked)

    def _streams(self) -> QuerySet[Stream]:
        """This log's, as they are once all that was committed has its place."""
        self._snapshot(Query(limit=0))
        return self._log_streams()

    def _log_streams(self) -> QuerySet[Stream]:
        return Stream.objects.using(self.alias).filter(log__name=self.name)

    # Letting go

    def prune(self, ttl: float | None, max_entries: int | None, how: Pruning) -> int:
        self.refuse_in_transaction("prune")
        log = self._row()
        target = self.last_to_go(ttl, max_entries)
        if how.dry_run:
            with self.connection.cursor() as cursor:
                return retention.count_below(cursor, log.pk, target)
        return retention.let_go(self.lock, log, target, how.batch_size, how.progress)

    def last_to_go(self, ttl: float | None, max_entries: int | None) -> int:
        with self.connection.cursor() as cursor:
            cutoff = self.cutoff(ttl)
            log = self._row()
            target = retention.last_to_go(cursor, self.dialect, log, cutoff, max_entries)
        if self.settings.keep_unhandled:
            return max(log.floor, hooks.unwanted(self.name, target))
        return target

    def clear(self) -> int:
        self.refuse_in_transaction("clear")
        head = self.lock.run_after_outbox(lambda ledger: ledger.head)
        return retention.let_go(self.lock, self._row(), head)

    def delete_stream(self, stream: str) -> int:
        self.refuse_in_transaction("delete a stream")
        count = self.lock.run_after_outbox(lambda ledger: ledger.delete_stream(stream))
        if count:
            retention.finish_deletions(self.lock, self._row())
        return count

    def adopt(self, rows: Sequence[Row], after: int, upto: int, state: State) -> None:
        self.refuse_in_transaction("adopt entries")
        self.lock.run(lambda ledger: ledger.adopt(rows, after, upto, state))

    def adopt_streams(self, streams: Sequence[StreamInfo]) -> None:
        timeout = self.settings.idle_timeout
        self.lock.run(lambda ledger: ledger.adopt_streams(streams, timeout))

    def renew_epoch(self, reset_clock: bool = False) -> str:
        self.refuse_in_transaction("renew the epoch")
        epoch = new_epoch()
        self.lock.run(lambda ledger: ledger.renew(epoch, reset_clock))
        return epoch

    def _row(self) -> Log:
        if self._look(Query(limit=0)) is None:
            self.lock.create_log()
        return Log.objects.using(self.alias).get(name=self.name)


def taken_by(items: Sequence[Item]) -> int:
    """How many positions these items will take; 0 where that is not known before."""
    known = all(item.key is None and item.kind not in STEPS for item in items)
    return len(items) if known else 0
