"""Transactions of our own: begun by hand, bounded in time, tried again after a transient error."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakSet

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ...exceptions import LogBusy
from ...prepared import codes
from .dialects import Dialect

logger = logging.getLogger("events")

T = TypeVar("T")

# PostgreSQL: serialization failure, deadlock. MariaDB: deadlock, row changed since the snapshot.
TRANSIENT = {"40001", "40P01", 1213, 1020}
# PostgreSQL: lock_timeout, NOWAIT. MariaDB: both. MySQL: NOWAIT. SQLite has texts only.
TIMED_OUT = {"55P03", 1205, 3572}


class OutboxChanged(OperationalError):
    """Rows that we sequenced were taken by somebody else: undo it all, and try again."""


def run(
    connection: BaseDatabaseWrapper,
    dialect: Dialect,
    lock_timeout: float,
    work: Callable[[CursorWrapper], T],
) -> T:
    """Run `work` in a transaction of our own, again after a transient error.

    Call it only outside the caller's transactions.
    """
    deadline = time.monotonic() + lock_timeout
    reconnects = 1
    _later.pop(connection, None)
    while True:
        finished = False
        try:
            with own_transaction(connection, dialect, lock_timeout) as cursor:
                result = work(cursor)
                finished = True
            _do_later(connection)
            return result
        except (DatabaseError, InterfaceError) as error:
            if is_timeout(error):
                raise busy(lock_timeout, dialect) from error
            # A connection that died before the COMMIT was sent has surely stored nothing. A
            # process that was stopped for longer than the timeout comes by here, so that is not
            # counted against it.
            if not finished and connection.connection is None and reconnects:
                reconnects -= 1
            elif not is_transient(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.001, 0.01))  # nosec B311 # no secret


@contextmanager
def own_transaction(
    connection: BaseDatabaseWrapper, dialect: Dialect, lock_timeout: float
) -> Iterator[CursorWrapper]:
    """A fresh READ COMMITTED transaction that cannot be left holding the lock for long.

    Begun by hand: `atomic()` would take the host's isolation level, and on SQLite a deferred
    transaction. In a test case's transaction it is a savepoint, and sets nothing that would
    outlive it.
    """
    with connection.cursor() as cursor:
        if connection.in_atomic_block:
            with savepoint(cursor, "events_own"):
                yield cursor
            return
        _own.add(connection)
        try:
            yield from _own_transaction(cursor, dialect, lock_timeout)
        finally:
            _own.discard(connection)


def _own_transaction(
    cursor: CursorWrapper, dialect: Dialect, lock_timeout: float
) -> Iterator[CursorWrapper]:
    try:
        dialect.begin(cursor, lock_timeout)
    except DatabaseError:
        raise
    except BaseException:
        # A signal's exception: nobody would end what may have begun.
        _undo(cursor, dialect)
        raise
    try:
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        _undo(cursor, dialect)
        raise
    try:
        dialect.after(cursor)
    except Exception:
        # It is committed, and its caller must not hear otherwise.
        cursor.db.close()


@contextmanager
def savepoint(cursor: CursorWrapper, name: str) -> Iterator[None]:
    """By hand: of a transaction that was begun by hand, `atomic()` knows nothing; and within the
    caller's it would take two more cursors. On MariaDB a savepoint forgets an outer one of its name."""
    cursor.execute(f"SAVEPOINT {name}")
    try:
        yield
    except BaseException:
        try:
            cursor.execute(f"ROLLBACK TO SAVEPOINT {name}")
            cursor.execute(f"RELEASE SAVEPOINT {name}")
        except (DatabaseError, InterfaceError):
            # The error took it all back, or the connection is gone; as `atomic()` has it.
            cursor.db.needs_rollback = cursor.db.in_atomic_block
        raise
    cursor.execute(f"RELEASE SAVEPOINT {name}")


# The connections that are in a transaction of our own, of which Django knows nothing.
_own: WeakSet[BaseDatabaseWrapper] = WeakSet()


def in_own(connection: BaseDatabaseWrapper) -> bool:
    """Is this an emit in the middle of an emit? A signal's handler may do that, or what a host
    hooks into logging or into its queries. In a transaction of its own it would commit the half of
    what is under way, or be taken back with it although it was answered for."""
    return connection in _own


# What such an emit leaves to be done when that transaction has committed; forgotten if it is undone.
_later: WeakKeyDictionary[BaseDatabaseWrapper, list[Callable[[], object]]] = WeakKeyDictionary()


def after_own(connection: BaseDatabaseWrapper, work: Callable[[], object]) -> None:
    _later.setdefault(connection, []).append(work)


def _do_later(connection: BaseDatabaseWrapper) -> None:
    """What is under way is committed, and its caller must not hear otherwise."""
    for work in _later.pop(connection, ()):
        try:
            work()
        except Exception:
            logger.exception("An event that was emitted in the middle of an emit is not stored.")


def _undo(cursor: CursorWrapper, dialect: Dialect) -> None:
    try:
        cursor.execute("ROLLBACK")
        dialect.after(cursor)
    except Exception:
        cursor.db.close()


def is_transient(error: BaseException) -> bool:
    return isinstance(error, OutboxChanged) or not TRANSIENT.isdisjoint(codes(error))


def is_timeout(error: BaseException) -> bool:
    return not TIMED_OUT.isdisjoint(codes(error)) or "database is locked" in str(error)


def busy(lock_timeout: float, dialect: Dialect) -> LogBusy:
    within = f" within {lock_timeout:g} s" if dialect.has_lock_timeout else ""
    return LogBusy(f"could not lock the log{within}: somebody else holds it. {dialect.busy_hint}")
