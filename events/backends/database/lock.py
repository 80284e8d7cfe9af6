"""The way to a ledger: through the lock of its head, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ... import hints
from . import outbox
from .dialects import Dialect, dialect_of
from .ledger import BATCH, Ledger, LogMissing
from .transactions import run

T = TypeVar("T")


class LedgerLock:
    """Does work on a log's ledger, in transactions of our own. Not for use inside the caller's."""

    def __init__(self, name: str, alias: str, timeout: float, now: Callable[[], int]) -> None:
        self.name = name
        self.alias = alias
        self.timeout = timeout
        self.now = now

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def dialect(self) -> Dialect:
        return dialect_of(self.connection)

    def run(self, work: Callable[[Ledger], T]) -> T:
        """Do `work` under the lock, and tell of it if the log has grown."""
        head, grown = 0, False

        def locked(cursor: CursorWrapper) -> T:
            nonlocal head, grown
            ledger = Ledger(cursor, self.dialect, self.name, self.now())
            before = ledger.head
            result = work(ledger)
            ledger.save()
            head, grown = ledger.head, ledger.head > before
            return result

        try:
            result = self._transact(locked)
        except LogMissing:
            self.create_log()
            result = self._transact(locked)
        if grown:
            hints.send(self.name, head)
        return result

    def run_after_outbox(self, work: Callable[[Ledger], T]) -> T:
        """Do `work` under the lock, when all that was committed before this call is sequenced.

        A batch at a time, so that nobody waits long for the lock, and up to the newest row of
        the first look, so that it ends however fast others fill the outbox.
        """
        newest = 0

        def drained(ledger: Ledger) -> tuple[T] | None:
            nonlocal newest
            if ledger.dialect.uses_outbox:
                pending = outbox.pending(ledger.cursor, self.name, BATCH)
                if pending:
                    ledger.sequence(pending)
                if len(pending) == BATCH:
                    newest = newest or outbox.newest(ledger.cursor, self.name)
                    if pending[-1].id < newest:
                        return None
            return (work(ledger),)

        while (result := self.run(drained)) is None:
            pass
        return result[0]

    def create_log(self) -> None:
        """Make the log's row, unless somebody else just did."""
        self._transact(lambda cursor: self.dialect.insert_log(cursor, self.name))

    def _transact(self, work: Callable[[CursorWrapper], T]) -> T:
        return run(self.connection, self.dialect, self.timeout, work)
