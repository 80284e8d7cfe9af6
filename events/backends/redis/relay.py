"""From the outbox of a database to Redis: each committed event once, whatever dies when.

    1. lock    the database's row for this log, and count it up: the token
    2. read    the oldest rows that are committed
    3. place   one script gives them their positions, and notes which rows have theirs
    4. delete  these rows, and commit
    5. forget  the notes, since the rows are gone

Who dies after 3 leaves rows whose positions are noted, and the next one only deletes them. Who stands
still after 2 while another goes on comes to the script with a token that is too low. The highest id
that was relayed would be no such note: ids are taken before the commit, so a lower one may come later.
"""

import hashlib
import logging
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ... import hints
from ...exceptions import (
    EventsError,
    InvalidTransition,
    KeyConflict,
    LogBusy,
    LogUnavailable,
    NotConfirmed,
)
from ...lifecycle import STEPS, next_status
from ...types import Entry, Row, Status
from ...validation import Item
from ..database import hook, outbox, sequencer
from ..database.dialects import Dialect, dialect_of
from ..database.ledger import LogMissing
from ..database.lock import READER_PATIENCE, TAKEN
from ..database.rows import chunks, marks
from ..database.transactions import busy, in_own, run
from ..receipts import in_callers_atomic, warn
from .client import Client
from .errors import StillAway
from .ledger import Ledger, Relayed, Stale
from .rows import to_row, to_stream
from .scripts import Keys, call

logger = logging.getLogger("events")

# Rows that one transaction relays, and seconds that it waits for Redis: less than those after which
# the database ends the transaction of who stands still.
BATCH = 500
PATIENCE = 1.0
# Seconds for which a Redis that could not be had is not tried again by who has other things to do.
AWAY = 0.5


class InRedis:
    """What has its place in the log, for who emits in a transaction. While Redis is away nothing is
    known, and it is all checked when the events get their places."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self.client = client
        self.keys = keys

    def entries(self, keys: Sequence[str]) -> dict[str, Row]:
        with suppress(LogUnavailable):
            return self._entries(keys) if keys else {}
        return {}

    def _entries(self, keys: Sequence[str]) -> dict[str, Row]:
        [found, floor] = self._call(
            ("HMGET", self.keys.used, *keys), ("HGET", self.keys.log, "floor")
        )
        ids = [
            one.partition(b":")[0] + b"-0"
            for one in found
            if one and int(one.partition(b":")[0]) > int(floor or 0)
        ]
        if not ids:
            return {}
        asked = (("XRANGE", self.keys.entries, id, id) for id in ids)
        rows = [to_row(one) for some in self._call(*asked) for one in some]
        return {row.key: row for row in rows if row.key is not None}

    def statuses(self, names: Set[str]) -> dict[str, str | None] | None:
        try:
            asked = sorted(names)
            [found] = self._call(("HMGET", self.keys.states, *asked))
        except LogUnavailable:
            return None
        known = [to_stream(b"", state) if state else None for state in found]
        return {
            name: one.status for name, one in zip(asked, known, strict=True) if one and one.status
        }

    def _call(self, *commands: tuple[Any, ...]) -> list[Any]:
        if _is_away(self.client):
            raise StillAway("Redis could not be had a moment ago")
        try:
            return call(self.client, *commands, timeout=0.0)
        except LogUnavailable:
            _away[self.client.url] = time.monotonic()
            raise


# By address, when a server could not be had.
_away: dict[str, float] = {}


def _is_away(client: Client) -> bool:
    return time.monotonic() - _away.get(client.url, -AWAY) < AWAY


class Relay:
    """A log's way out of the outbox. To `hook` and the `sequencer` it is what a database log's lock is."""

    def __init__(self, name: str, alias: str, timeout: float, inline: bool, ledger: Ledger) -> None:
        self.name = name
        self.alias = alias
        self.timeout = timeout
        self.inline = inline
        self.ledger = ledger
        self.client = ledger.client
        self.keys = ledger.keys
        # A server that is away must not keep the database's own logs waiting for the thread.
        self.lane = f"{alias} {ledger.client.url}"
        # No log can have such a name, so it is nobody's row but ours.
        self.row = f">{name}" if len(name) < 64 else f">{name[:-2]}"

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def dialect(self) -> Dialect:
        return dialect_of(self.connection)

    def in_transaction(self) -> bool:
        connection = self.connection
        if connection.in_atomic_block:
            return in_callers_atomic(connection)
        return in_own(connection) or not connection.get_autocommit()

    # In a transaction of the caller's

    def defer(self, items: Sequence[Item], now: int) -> list[Entry]:
        """Have the events wait for the commit."""
        put = outbox.put_step if items[0].kind in STEPS else outbox.put
        with self.connection.cursor() as cursor:
            answers = put(cursor, self.name, items, now, InRedis(self.client, self.keys))
        if answers:
            hook.register(self.connection, hook.Hook(self, 0, items[0].kind in STEPS))
        return answers

    # Outside of it

    def drain(self) -> None:
        """Have all that was committed before this call placed: what comes now comes after it."""
        if self._is_drained():
            return
        try:
            self.sequence()
        except NotConfirmed as error:
            # That is said of those; of what comes now, nothing is stored.
            raise LogUnavailable(
                f"log {self.name!r}: nothing was stored, since too few replicas confirm what was "
                "committed before"
            ) from error

    def catch_up(self) -> bool:
        """The same for a reader, who does not wait for long: is more committed than has its place?"""
        if self._is_drained():
            return False
        if self.in_transaction():
            if sequencer.is_available(self):
                sequencer.wait_for(self, READER_PATIENCE)
            return False
        try:
            self.sequence(READER_PATIENCE)
        except LogBusy:
            return True
        except (DatabaseError, EventsError):
            logger.warning("Log %r: could not relay the outbox.", self.name, exc_info=True)
            return True
        return False

    def sequence(self, patience: float | None = None, pause: float = TAKEN) -> int:
        """Place what was committed before this call; the head after that. With `patience`, LogBusy
        if there was more to do than that many seconds were enough for."""
        if patience is not None and _is_away(self.client):
            time.sleep(pause)
            raise StillAway("Redis could not be had a moment ago; the outbox keeps what waits")
        began = time.monotonic()
        now = first = self._standing()
        while 0 < now.oldest <= first.newest:
            try:
                self._relay(first.newest, patience)
            except LogBusy:
                time.sleep(pause)
            except LogUnavailable:
                _away[self.client.url] = time.monotonic()
                raise
            now = self._standing()
            allowed = self.timeout if patience is None else patience
            if 0 < now.oldest <= first.newest and time.monotonic() - began > allowed:
                if patience is None and now.oldest > first.oldest:
                    began, first = time.monotonic(), first._replace(oldest=now.oldest)
                    continue
                raise busy(allowed, self.dialect)
        [head] = call(self.client, ("HGET", self.keys.log, "head"))
        return int(head or 0)

    def stay_inline(self) -> None:
        sequencer.stay_inline()

    def _is_drained(self) -> bool:
        with self.connection.cursor() as cursor:
            return outbox.is_empty(cursor, self.name, self.dialect.prepares)

    def _standing(self) -> outbox.Standing:
        with self.connection.cursor() as cursor:
            return outbox.standing(cursor, self.name)

    def _relay(self, newest: int, patience: float | None) -> None:
        """One batch."""
        done: tuple[str, int, list[str]] | None = None

        def work(cursor: CursorWrapper) -> None:
            nonlocal done
            database, token = self._lock(cursor, nowait=patience is not None)
            found = outbox.pending(cursor, self.name, 0, newest, BATCH)
            if found:
                rows = [Relayed(row.id, row.item, note_of(row)) for row in _some(found)]
                self._place(cursor, rows, database, token, patience)
                done = database, token, [row.note for row in rows]

        # Before the lock, so that nobody waits for the database because Redis does not answer.
        call(self.client, ("HGET", self.keys.log, "head"), timeout=self._timeout(patience))
        try:
            self._transact(work)
        except LogMissing:
            self._transact(lambda cursor: self.dialect.insert_log(cursor, self.row))
            self._transact(work)
        except Stale as error:
            # Either we stood still, and begin anew; or the database was restored to a time at which
            # it counted lower. That is committed before it is used: who stands still with a token
            # that nobody else goes beyond could place what they have placed and forgotten.
            higher = error.token
            self._transact(lambda cursor: self._lock(cursor, patience is not None, higher))
            return
        if done is not None:
            self._forget(*done)

    def _timeout(self, patience: float | None) -> float:
        return min(PATIENCE, self.timeout if patience is None else patience)

    def _transact(self, work: Any) -> None:
        run(self.connection, self.dialect, self.timeout, work)

    def _lock(self, cursor: CursorWrapper, nowait: bool, least: int = 0) -> tuple[str, int]:
        found = self.dialect.lock_log(cursor, self.row, nowait, 0, 0)
        if found is None:
            raise LogMissing(self.row)
        id, head, _, _, _, database, *_ = found
        token = max(head + 1, least)
        cursor.execute("UPDATE events_log SET head = %s WHERE id = %s", [token, id])
        return database, token

    def _place(
        self,
        cursor: CursorWrapper,
        rows: Sequence[Relayed],
        database: str,
        token: int,
        patience: float | None,
    ) -> None:
        timeout = self._timeout(patience)
        forget = self._gone(cursor, database, timeout)
        answer = self.ledger.relay(rows, forget, database, token, timeout)
        placed = []
        for row, fate in zip(rows, answer.fates, strict=True):
            reason = self._refusal(row.item, fate)
            if reason:
                logger.error(
                    "Log %r: outbox row %s (%s) is set aside: %s",
                    self.name,
                    row.id,
                    row.item.kind,
                    reason,
                )
                outbox.set_aside(cursor, row.id, reason)
                continue
            placed.append(row.id)
            if fate[0] == "new" and fate[3]:
                warn(self.name, row.item.stream, fate[3])
        self.dialect.delete(cursor, "events_outbox", placed)
        hints.send(self.name, answer.head)

    def _refusal(self, item: Item, fate: Sequence[str]) -> str:
        """Why a committed event cannot become an entry, if so."""
        if fate[0] != "refused":
            return ""
        _, reason, detail = fate
        try:
            if reason == "key":
                self.ledger.refuse_key(item, [], int(detail))
            next_status(item.kind, item.stream, Status(detail) if detail else None)
        except (KeyConflict, InvalidTransition) as error:
            return str(error)
        return "it was refused"

    def _gone(self, cursor: CursorWrapper, database: str, timeout: float) -> list[str]:
        """The notes on rows whose deletion has committed."""
        [noted] = call(self.client, ("HKEYS", self.keys.placed(database)), timeout=timeout)
        notes = [one.decode() for one in noted if one != b"token"]
        there: set[str] = set()
        for some in chunks([id_of(note) for note in notes]):
            cursor.execute(
                f"SELECT id FROM events_outbox WHERE id IN ({marks(some)})",  # nosec B608 # %s, %s, …
                some,
            )
            there.update(str(id) for (id,) in cursor.fetchall())
        return [note for note in notes if id_of(note) not in there]

    def _forget(self, database: str, token: int, notes: Sequence[str]) -> None:
        """The rows are gone for good, so nobody has to know that they had their places. With the next
        token, so that who stood still since before that is refused. If this fails, the next one to
        relay does it."""
        with suppress(EventsError):
            self.ledger.relay([], notes, database, token + 1, PATIENCE)


def _some(found: Sequence[outbox.Pending]) -> list[outbox.Pending]:
    """The first of them, few enough that to send them does not outlast the transaction."""
    size, some = 0, list[outbox.Pending]()
    for row in found:
        size += len(row.item.text)
        if some and size > outbox.MAX_TEXT:
            break
        some.append(row)
    return some


def note_of(row: outbox.Pending) -> str:
    """How it is noted that a row has its place: by its id, and by what it is and when it was emitted,
    since a database that was restored to an earlier time gives its ids out again."""
    told = repr((row.emitted_at, *row.item)).encode()
    return f"{row.id}:{hashlib.blake2b(told, digest_size=8).hexdigest()}"


def id_of(note: str) -> str:
    return note.partition(":")[0]
