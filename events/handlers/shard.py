"""The work on one shard, a step at a time.

    1. read    new entries after the cursor, or a held one that is due; in no transaction
    2. lock    the shard's row; if the cursor is another by now, back to 1
    3. call    the function (with `atomic=False` between two such transactions, under a lease)
    4. write   the new cursor, and what waits behind held entries of its stream
    5. commit

What raises in 3 to 5 is rolled back. Then the lock is taken once more, and the entry is held, if
all is still as it was: another process may have taken the shard in between, and done it.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from inspect import isawaitable
from typing import Any

from asgiref.sync import async_to_sync
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError

from ..context import context
from ..cursors import Query, Rows
from ..log import logs
from ..prepared import Forgotten
from ..streams import one_line
from ..types import Entry, Row
from . import leases, locks, store
from .models import Shard
from .spec import Spec, is_in

logger = logging.getLogger("events")


# How often in a row the connection may be lost over an entry, and that is no attempt. One that loses
# it each time would otherwise be tried for ever, and its shard with it.
LOSSES = 5

Read = Callable[[Query], Rows]


class Step(Enum):
    MOVED = "moved"
    NOTHING = "there is nothing to do"
    BUSY = "somebody else works on it, or the handler does not run"
    AGAIN = "the database asks to try again"


class Elsewhere(Exception):
    """The shard is not ours, or not where we thought; nothing was written."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.step = step


@dataclass(slots=True)
class Taken:
    """What a step is about: the entries for the function, those that have to wait behind held ones,
    and the cursor after it."""

    batch: list[Row]
    behind: list[Row]
    reached: int


async def _awaited(result: Awaitable[object]) -> None:
    try:
        await result
    except asyncio.CancelledError as error:
        # No Exception to Python, and it would end the worker; but it is the entry that has failed.
        raise RuntimeError("the handler was cancelled") from error


class Source(ABC):
    """Where entries come from: the log, or what is held. All but `find` under the shard's lock."""

    def __init__(self, work: "ShardWork") -> None:
        self.work = work

    @property
    def is_at_hand(self) -> bool:
        """Is it known that there is something to do?"""
        return False

    @abstractmethod
    def find(self) -> bool:
        """Is there something to do?"""

    @abstractmethod
    def take(self) -> Taken: ...

    @abstractmethod
    def write(self, taken: Taken) -> None:
        """It is done."""

    @abstractmethod
    def fail(self, taken: Taken, error: str) -> dict[str, Any] | None:
        """Its one entry has failed; None if that is no longer so."""

    @abstractmethod
    def done(self, taken: Taken, failed: bool) -> None:
        """That is committed."""


class ShardWork:
    """`until` bounds how far it goes; `raising` is for tests, which want what a handler raises;
    `read` may know the log's newest entries."""

    def __init__(
        self,
        spec: Spec,
        shard: Shard,
        *,
        until: int = 2**62,
        raising: bool = False,
        read: Read | None = None,
        alone: set[int] | None = None,
    ) -> None:
        self.spec = spec
        self.log = logs[spec.log]
        self.alias = self.log.backend.alias
        self.read = read or self.log.backend.read
        self.shard = shard
        self.id = shard.pk
        self.subscription: int = shard.subscription_id
        self.number, self.of = shard.number, shard.of
        self.until = until
        self.raising = raising
        self.token: int | None = None
        self.place = locks.Place(shard.cursor, shard.epoch, shard.upto, shard.holds)
        # Positions of a batch that failed, which are tried one by one.
        self.alone: set[int] = set() if alone is None else alone
        self.sources: list[Source] = []
        # That of the transaction which has the lock; and the driver's connection.
        self.cursor: CursorWrapper
        self.opened: Any = None

    @property
    def where(self) -> str:
        shard = f" (shard {self.number} of {self.of})" if self.of > 1 else ""
        return f"Handler {self.spec.name!r}{shard}"

    def is_mine(self, row: Row) -> bool:
        return is_in(row.stream, self.number, self.of)

    def step(self) -> Step:
        """The sources take turns, so that none keeps another waiting."""
        for source in list(self.sources):
            try:
                if not source.find():
                    continue
                self.sources.remove(source)
                self.sources.append(source)
                return self.attempt(source)
            except Elsewhere as found:
                return found.step
            except Exception as error:
                if not self.is_transient(error):
                    raise
                logger.info("%s: trying again: %s", self.where, error)
                return Step.AGAIN
        return Step.NOTHING

    def attempt(self, source: Source) -> Step:
        taken = None
        try:
            with self.locked(running=True):
                taken = source.take()
                if self.spec.atomic or not taken.batch:
                    self.call(taken.batch)
                    source.write(taken)
                elif self.token is None:
                    self.token = leases.claim(self.alias, self.id)
            if taken.batch and not self.spec.atomic:
                self.call(taken.batch)
                with self.locked():
                    source.write(taken)
            source.done(taken, failed=False)
        except Elsewhere:
            raise
        except Exception as error:
            if self.raising or taken is None or not taken.batch:
                raise
            if self.is_excused(error, taken.batch[0].position):
                logger.info("%s: trying again: %s", self.where, error)
                raise Elsewhere(Step.AGAIN) from error
            self.failed(source, taken, error)
        return Step.MOVED

    @contextmanager
    def locked(self, running: bool = False) -> Iterator[None]:
        connection, log = connections[self.alias], self.spec.log
        ready = running and locks.is_ready(connection, self.token, log)
        with transaction.atomic(using=self.alias), connection.cursor() as self.cursor:
            self.opened = connection.connection
            try:
                place = locks.lock(self.cursor, self.id, self.token, running, log, ready)
            except Forgotten:
                raise Elsewhere(Step.AGAIN) from None
            except DatabaseError as error:
                # A database without SKIP LOCKED.
                if not self.log.backend.is_locked(error):
                    raise
                place = None
            if place is None:
                raise Elsewhere(Step.BUSY)
            moved = place[:3] != self.place[:3]
            self.place = place
            self.shard.cursor, self.shard.epoch = place.cursor, place.epoch
            if moved:
                raise Elsewhere(Step.MOVED)
            yield

    def call(self, rows: list[Row]) -> None:
        if not rows:
            return
        entries = Entry.lazy_list(rows)
        last = entries[-1]
        trace = last.context.get("trace") if rows[-1].context else None
        connection = self.cursor.db
        # A deadlock undoes all of the transaction on MariaDB: then this savepoint is not there.
        safe = self.spec.atomic and connection.vendor == "mysql"
        why = context.caused_by(rows[-1].position, trace)
        with transaction.atomic(using=self.alias) if safe else nullcontext(), why:
            result = self.spec.function(entries if self.spec.batch > 1 else last)
            if result is not None and isawaitable(result):
                # In this thread, whose transaction it is.
                async_to_sync(_awaited)(result)
            if self.spec.atomic and connection.needs_rollback:
                raise TransactionManagementError("the handler has left its transaction broken")

    def is_transient(self, error: Exception) -> bool:
        """Is it the database's trouble?"""
        return isinstance(error, DatabaseError | InterfaceError) and (
            self.log.backend.is_transient(error) or self.has_lost_connection()
        )

    def is_excused(self, error: Exception, position: int) -> bool:
        """Is it the database's trouble, and no attempt? A connection that is lost each time is not."""
        if not self.is_transient(error):
            return False
        if self.log.backend.is_transient(error):
            return True
        with self.locked():
            return store.count_loss(self.alias, self.id, position) <= LOSSES

    def has_lost_connection(self) -> bool:
        """At the end of a transaction, Django puts another one in the place of one that is dead. All
        others are closed here: the function's may be to other databases."""
        dead = [
            one
            for one in connections.all(initialized_only=True)
            if one.connection is not None and not one.in_atomic_block and not one.is_usable()
        ]
        for one in dead:
            one.close()
        return bool(dead) or connections[self.alias].connection is not self.opened

    def failed(self, source: Source, taken: Taken, error: Exception) -> None:
        """Hold the culprit: of a batch, when it was tried alone."""
        if len(taken.batch) > 1:
            self.alone.update(row.position for row in taken.batch)
            logger.info("%s: a batch failed; its entries are tried alone: %s", self.where, error)
            return
        text = one_line(error)
        try:
            with self.locked():
                values = source.fail(taken, text)
                if values is not None:
                    store.note_error(self.alias, self.subscription, text)
        except Elsewhere:
            # It came from `on_commit`; or somebody else has taken the shard since.
            logger.warning(
                "%s: an error, but the entry is done, or somebody else's by now:",
                self.where,
                exc_info=error,
            )
            raise
        if values is not None:
            source.done(taken, failed=True)
            [row] = taken.batch
            logger.log(
                logging.ERROR if values["parked"] else logging.WARNING,
                "%s: position %s (%s) failed, attempt %s%s",
                self.where,
                row.position,
                row.kind,
                values["attempts"],
                ", and is parked." if values["parked"] else ".",
                exc_info=error,
            )

    def release(self) -> None:
        """Let go of the lease, when there is nothing to do for now."""
        if self.token is not None:
            leases.release(self.alias, self.id, self.token)
            self.token = None
