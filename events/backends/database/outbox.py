"""Where the events of a transaction wait for its commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

from ...exceptions import StreamClosed
from ...types import TERMINAL, Entry
from ...validation import Item
from ..receipts import defer
from .keys import entries_by_key
from .sql import LIST, chunks, marks

# Characters of payload in one statement.
MAX_TEXT = 2**20


class Pending(NamedTuple):
    """An outbox row and the event that it holds."""

    id: int
    item: Item


def put(cursor: CursorWrapper, log: str, items: Sequence[Item], now: int) -> list[Entry]:
    """Store the items in the caller's transaction; receipts, or the entry that has the key.

    Keys are checked against what can be seen without waiting: entries, and what is committed
    or our own in the outbox.
    """
    keys = [item.key for item in items if item.key is not None]
    answers, new = defer(items, entries_by_key(cursor, log, keys), _waiting(cursor, log, keys), now)
    _check_open(cursor, log, {item.stream for item in new if item.stream})
    for some in _portions(new):
        # Not executemany(): see PostgreSQL.save_streams, and this is the host's own session.
        rows = ", ".join(["(%s, %s, %s, %s, %s, '')"] * len(some))
        cursor.execute(
            "INSERT INTO events_outbox (log, kind, stream, payload, idempotency_key, refused) "
            f"VALUES {rows}",
            [value for item in some for value in (log, *item)],
        )
    return answers


def _portions(items: Sequence[Item]) -> Iterator[list[Item]]:
    """As many events as make a statement that fits MariaDB's max_allowed_packet of 16 MiB."""
    some: list[Item] = []
    size = 0
    for item in items:
        size += len(item.text)
        if some and (len(some) == LIST or size > MAX_TEXT):
            yield some
            some, size = [], len(item.text)
        some.append(item)
    if some:
        yield some


def _check_open(cursor: CursorWrapper, log: str, streams: set[str]) -> None:
    """Refuse what comes after the end of its stream, as far as that can be seen from here."""
    for some in chunks(sorted(streams)):
        cursor.execute(
            "SELECT name, status FROM events_stream "
            "WHERE log_id = (SELECT id FROM events_log WHERE name = %s) "
            f"AND name IN ({marks(some)}) AND status IN ({marks(TERMINAL)})",
            [log, *some, *TERMINAL],
        )
        for name, status in cursor.fetchall():
            raise StreamClosed(f"the stream {name!r} has {status}; nothing was stored")


def waits(cursor: CursorWrapper, log: str) -> bool:
    """Are there committed events without a position?"""
    cursor.execute("SELECT 1 FROM events_outbox WHERE log = %s AND refused = '' LIMIT 1", [log])
    return cursor.fetchone() is not None


def newest(cursor: CursorWrapper, log: str) -> int:
    cursor.execute("SELECT MAX(id) FROM events_outbox WHERE log = %s AND refused = ''", [log])
    return cursor.fetchone()[0] or 0


def pending(cursor: CursorWrapper, log: str, limit: int) -> list[Pending]:
    """What waits, oldest first: within a transaction that is the order of its emits.

    A plain SELECT: on MariaDB, FOR UPDATE would wait for the rows of open transactions.
    """
    cursor.execute(
        "SELECT id, kind, stream, payload, idempotency_key FROM events_outbox "
        "WHERE log = %s AND refused = '' ORDER BY id LIMIT %s",
        [log, limit],
    )
    return [Pending(row[0], Item(*row[1:])) for row in cursor.fetchall()]


def set_aside(cursor: CursorWrapper, id: int, reason: str) -> None:
    cursor.execute("UPDATE events_outbox SET refused = %s WHERE id = %s", [reason[:500], id])


def _waiting(cursor: CursorWrapper, log: str, keys: Sequence[str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for some in chunks(keys):
        cursor.execute(
            "SELECT kind, stream, payload, idempotency_key FROM events_outbox "
            f"WHERE log = %s AND refused = '' AND idempotency_key IN ({marks(some)}) ORDER BY id",
            [log, *some],
        )
        for row in cursor.fetchall():
            found.setdefault(row[3], Item(*row))
    return found
