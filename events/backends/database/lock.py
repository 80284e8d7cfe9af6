"""The way to a ledger: through the lock of its head, one at a time."""

import logging
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ... import hints
from ...exceptions import LogBusy
from . import outbox, terms
from .dialects import Dialect, dialect_of
from .ledger import BATCH, Ledger, LogMissing
from .transactions import busy, is_timeout, run, savepoint

logger = logging.getLogger("events")

T = TypeVar("T")

# Seconds that a reader waits for what is being sequenced before it gets what there is.
READER_PATIENCE = 0.15
# Seconds until it looks again whether somebody else has the head.
TAKEN = 0.005


class LedgerLock:
    """Does work on a log's ledger, in transactions of our own. Not for use inside the caller's."""

    def __init__(
        self, name: str, alias: str, timeout: float, inline: bool, now: Callable[[], int]
    ) -> None:
        self.name = name
        self.alias = self.lane = alias
        self.timeout = timeout
        # Does a commit wait until its events are sequenced?
        self.inline = inline
        self.now = now

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @cached_property
    def dialect(self) -> Dialect:
        return dialect_of(self.connection)

    def run(self, work: Callable[[Ledger], T], nowait: bool = False, taking: int = 0) -> T:
        """Do `work` under the lock, and send a hint if the log has grown. LogBusy if the lock is
        not to be had in time: with `nowait` that is at once. `taking` is for work of which it is
        known how many positions it takes."""
        locked = partial(self._locked, work, nowait, taking)
        try:
            result, before, head = self.transact(locked)
        except LogMissing:
            self.create_log()
            result, before, head = self.transact(locked)
        if head > before:
            hints.send(self.name, head)
        return result

    def run_within(self, work: Callable[[Ledger], T], taking: int) -> tuple[T, int]:
        """Do `work` in the caller's transaction, where there is one writer; also the head before."""
        locked = partial(self._locked, work, False, taking)
        try:
            with self.connection.cursor() as cursor:
                self.dialect.join(cursor)
                with savepoint(cursor, "events_own"):
                    try:
                        result, before, _ = locked(cursor)
                    except LogMissing:
                        self.dialect.insert_log(cursor, self.name)
                        result, before, _ = locked(cursor)
        except DatabaseError as error:
            if is_timeout(error):
                raise busy(self.timeout, self.dialect) from error
            raise
        return result, before

    def _locked(
        self, work: Callable[[Ledger], T], nowait: bool, taking: int, cursor: CursorWrapper
    ) -> tuple[T, int, int]:
        """What came of the work, and the head before and after it."""
        ledger = Ledger(cursor, self.dialect, self.name, self.now(), nowait, taking)
        before = ledger.head
        result = work(ledger)
        ledger.save()
        return result, before, ledger.head

    def run_after_outbox(self, work: Callable[[Ledger], T], taking: int = 0) -> T:
        """Do `work` under the lock, when all that was committed before this call is sequenced.

        A batch at a time, so that nobody waits long for the lock, and up to the row that was the
        newest when it was called, so that it ends however fast others fill the outbox. A row below
        that which is committed later may be left out: nobody's emit began after its commit.
        """
        if not self.dialect.uses_outbox:
            return self.run(work, taking=taking)
        after = 0
        newest = self._standing().newest

        def drained(ledger: Ledger) -> tuple[int, list[T]]:
            reached = ledger.sequence(after, newest) if newest else 0
            return reached, [] if reached < newest else [work(ledger)]

        while True:
            after, done = self.run(drained)
            if done:
                return done[0]

    def sequence(self, patience: float | None = None, pause: float = TAKEN) -> int:
        """Give positions to what was committed before this call; the head after that.

        With `patience` it does not queue for the lock, since whoever has it may take these rows
        along, and raises LogBusy when there was more to do than that many seconds were enough for.
        """
        began, after = time.monotonic(), 0
        now = first = self._standing()
        while after < first.newest and 0 < now.oldest <= first.newest:
            if patience is None:
                return self.run_after_outbox(lambda ledger: int(ledger.head))
            try:
                after = self.run(partial(Ledger.sequence, after=after, newest=first.newest), True)
            except LogBusy:
                time.sleep(pause)
            now = self._standing()
            # What one batch holds is worth waiting for, as long as for the lock.
            is_long = first.newest - max(after, now.oldest) > BATCH
            if time.monotonic() - began > (patience if is_long else self.timeout):
                raise busy(patience, self.dialect)
        return now.head

    def _standing(self) -> outbox.Standing:
        with self.connection.cursor() as cursor:
            return outbox.standing(cursor, self.name)

    def begin_term(self, seen: str) -> bool:
        """Begin a new one, if another server has taken over and has not written yet. Is the log in
        another epoch than was seen? Somebody else may have begun it since."""
        another, is_over = terms.look(self.connection, self.name, seen)
        if is_over:
            try:
                self.run(lambda ledger: None)
            except LogBusy:
                raise
            except DatabaseError:
                # Who may only read cannot begin it; the next to write does.
                logger.warning("Log %r: could not begin a term.", self.name, exc_info=True)
                return another
        return another or is_over

    def create_log(self) -> None:
        """Make the log's row, unless somebody else just did."""
        self.transact(lambda cursor: self.dialect.insert_log(cursor, self.name))

    def transact(self, work: Callable[[CursorWrapper], T]) -> T:
        """Do work that sees to the lock by itself."""
        return run(self.connection, self.dialect, self.timeout, work)
