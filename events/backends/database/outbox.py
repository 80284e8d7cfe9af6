"""Where the events of a transaction wait for its commit."""

from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ...exceptions import InvalidTransition, StreamClosed
from ...lifecycle import next_status
from ...models import Outbox
from ...prepared import Prepared
from ...types import TERMINAL, Entry, Row
from ...validation import Item
from ..figures import BOUND, SetAside
from ..receipts import defer, receipt
from .rows import LIST, chunks, entries_by_key, marks

# In the order of an Item's fields.
ITEM_COLUMNS = "kind, stream, payload, idempotency_key, idle_timeout, context"
ITEM_FIELDS = ("kind", "stream", "payload", "key", "idle_timeout", "context")
# Characters of payload in one statement.
MAX_TEXT = 2**20


class Pending(NamedTuple):
    """An outbox row, the event that it holds, and when that was emitted."""

    id: int
    item: Item
    emitted_at: int


class Known(Protocol):
    """What has its place in a log: its entries by their keys, and the statuses of its streams."""

    def entries(self, keys: Sequence[str]) -> dict[str, Row]: ...

    def statuses(self, names: Set[str]) -> dict[str, str | None] | None:
        """None if that cannot be asked now: then it is checked when an event gets its place."""


class InDatabase:
    """What has its place in a log of this database."""

    def __init__(self, cursor: CursorWrapper, log: str) -> None:
        self.cursor = cursor
        self.log = log

    def entries(self, keys: Sequence[str]) -> dict[str, Row]:
        return entries_by_key(self.cursor, self.log, keys)

    def statuses(self, names: Set[str]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for some in chunks(sorted(names)):
            self.cursor.execute(
                "SELECT name, status FROM events_stream "
                "WHERE log_id = (SELECT id FROM events_log WHERE name = %s) "
                f"AND name IN ({marks(some)}) AND status IS NOT NULL",  # nosec B608 # %s, %s, …
                [self.log, *some],
            )
            found.update(self.cursor.fetchall())
        return found


# The outbox rows of the latest steps of each connection.
_steps: WeakKeyDictionary[BaseDatabaseWrapper, list[int]] = WeakKeyDictionary()


def put(
    cursor: CursorWrapper, log: str, items: Sequence[Item], now: int, known: Known | None = None
) -> list[Entry]:
    """Store the items in the caller's transaction; receipts, or the entry that has the key.

    Keys are checked against what can be seen without waiting: entries, and what is committed
    or our own in the outbox.
    """
    known = known or InDatabase(cursor, log)
    keys = [item.key for item in items if item.key is not None]
    answers, new = defer(items, known.entries(keys), _waiting(cursor, log, keys), now)
    names = {item.stream for item in new if item.stream}
    for name, status in (_statuses(cursor, log, names, known) or {}).items() if names else ():
        if name in names and status in TERMINAL:
            raise StreamClosed(f"the stream {name!r} has {status}; nothing was stored")
    _insert(cursor, log, new, now)
    return answers


def put_step(
    cursor: CursorWrapper, log: str, items: Sequence[Item], now: int, known: Known | None = None
) -> list[Entry]:
    """Store a step in the caller's transaction: a receipt, or nothing if the stream is there already.

    Checked against committed state and the transaction's own steps; and again when it gets its
    position.
    """
    [item] = items
    found = _statuses(cursor, log, {item.stream}, known or InDatabase(cursor, log))
    if found is not None and next_status(item.kind, item.stream, found.get(item.stream)) is None:
        return []
    values = dict(zip(ITEM_FIELDS, item, strict=True))
    row = Outbox.objects.using(cursor.db.alias).create(log=log, emitted_at=now, **values)
    _steps.setdefault(cursor.db, []).append(row.pk)
    return [receipt(item, now)]


def _own_steps(cursor: CursorWrapper, log: str) -> list[tuple[str, str]]:
    """The kinds and streams of this transaction's steps, without those that a savepoint took back.

    Read from the rows themselves, by their primary keys: a hook that runs after the commit does
    not know of `savepoint_rollback()`, and where autocommit is off there is no hook.
    """
    found = []
    for some in chunks(_steps.pop(cursor.db, [])):
        cursor.execute(
            "SELECT id, log, kind, stream FROM events_outbox "
            f"WHERE id IN ({marks(some)}) AND refused = '' ORDER BY id",  # nosec B608 # %s, %s, …
            some,
        )
        found += cursor.fetchall()
    if found:
        _steps[cursor.db] = [id for id, *_ in found]
    return [(kind, stream) for _, of, kind, stream in found if of == log]


def _insert(cursor: CursorWrapper, log: str, items: Sequence[Item], now: int) -> None:
    for some in _portions(items):
        # Not executemany(): see PostgreSQL.save_streams, and this is the host's own session.
        rows = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s, '')"] * len(some))
        cursor.execute(
            f"INSERT INTO events_outbox (log, emitted_at, {ITEM_COLUMNS}, refused) VALUES {rows}",  # nosec B608 # our columns; (%s, …), …
            [value for item in some for value in (log, now, *item)],
        )


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


def _statuses(
    cursor: CursorWrapper, log: str, names: Set[str], known: Known
) -> dict[str, str | None] | None:
    """Each stream's status: as sequenced, then as the transaction's own steps lead on.

    Steps of others that wait in the outbox are not looked at: a SERIALIZABLE host that reads
    there would conflict with everybody who writes. The sequencer refuses what loses a race.
    """
    found = known.statuses(names)
    if found is None:
        return None
    for kind, stream in _own_steps(cursor, log):
        with suppress(InvalidTransition):
            status = found.get(stream)
            found[stream] = next_status(kind, stream, status) or status
    return found


class Standing(NamedTuple):
    """The log's head, and the ids between which committed events wait for their positions."""

    head: int
    oldest: int
    newest: int


def standing(cursor: CursorWrapper, log: str) -> Standing:
    first, last = (
        f"COALESCE((SELECT id FROM events_outbox WHERE log = %s AND refused = '' "
        f"ORDER BY id {order} LIMIT 1), 0)"  # nosec B608 # one of two
        for order in ("ASC", "DESC")
    )
    cursor.execute(
        "SELECT COALESCE((SELECT head FROM events_log WHERE name = %s), 0), "  # nosec B608 # see above
        f"{first}, {last}",
        [log, log, log],
    )
    return Standing(*cursor.fetchone())


_WAITING = Prepared(
    "SELECT 1 FROM events_outbox WHERE log = %(log)s AND refused = '' LIMIT 1", {"log": "text"}
)


def is_empty(cursor: CursorWrapper, log: str, prepares: bool) -> bool:
    """Is nothing of this log committed that has no position? A log on Redis asks before every emit,
    in a third of the time that `standing` takes."""
    if prepares:
        _WAITING.run(cursor, {"log": log})
    else:
        cursor.execute(_WAITING.sql, {"log": log})
    return cursor.fetchone() is None


@dataclass
class Backlog:
    """What of a log waits in the outbox: how many rows, the first and when that was emitted; and
    those that were set aside."""

    pending: int = 0
    first: int | None = None
    since: int | None = None
    refused: int = 0
    set_aside: list[SetAside] = field(default_factory=list)


def bounded(rows: str) -> str:
    """How many rows there are: exact up to BOUND, and BOUND + 1 for more."""
    return f"SELECT COUNT(*) FROM (SELECT 1 {rows} LIMIT {BOUND + 1}) AS bounded"  # nosec B608 # the caller's own words


def backlog(cursor: CursorWrapper, log: str) -> Backlog:
    cursor.execute(
        f"SELECT {', '.join(f'({part})' for part in BACKLOG.values())}",  # nosec B608 # our own words
        {"log": log},
    )
    found = Backlog(*cursor.fetchone())
    if found.refused:
        found.set_aside = set_aside_rows(cursor, log)
    return found


def set_aside_rows(cursor: CursorWrapper, log: str) -> list[SetAside]:
    """The newest of those that were set aside."""
    cursor.execute(
        f"SELECT id, kind, stream, refused {ROWS} > '' ORDER BY id DESC LIMIT {SET_ASIDE}",  # nosec B608 # our own words
        {"log": log},
    )
    return [SetAside(*row) for row in cursor.fetchall()]


ROWS = "FROM events_outbox WHERE log = %(log)s AND refused"
BACKLOG = {
    "pending": bounded(f"{ROWS} = ''"),
    "first_pending": f"SELECT MIN(id) {ROWS} = ''",  # nosec B608 # our own words, here and below
    "pending_since": f"SELECT emitted_at {ROWS} = '' ORDER BY id LIMIT 1",  # nosec B608
    "refused": bounded(f"{ROWS} > ''"),
}
SET_ASIDE = 10


def pending(cursor: CursorWrapper, log: str, after: int, newest: int, limit: int) -> list[Pending]:
    """The waiting rows between two ids, oldest first: within a transaction that is the order of
    its emits.

    A plain SELECT: on MariaDB, FOR UPDATE would wait for the rows of open transactions.
    """
    cursor.execute(
        f"SELECT id, emitted_at, {ITEM_COLUMNS} FROM events_outbox WHERE log = %s AND refused = '' "
        "AND id > %s AND id <= %s ORDER BY id LIMIT %s",  # nosec B608 # our own columns
        [log, after, newest, limit],
    )
    return [Pending(id, Item(*item), emitted) for id, emitted, *item in cursor.fetchall()]


def set_aside(cursor: CursorWrapper, id: int, reason: str) -> None:
    cursor.execute("UPDATE events_outbox SET refused = %s WHERE id = %s", [reason[:500], id])


def _waiting(cursor: CursorWrapper, log: str, keys: Sequence[str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for some in chunks(keys):
        cursor.execute(
            f"SELECT {ITEM_COLUMNS} FROM events_outbox "
            f"WHERE log = %s AND refused = '' AND idempotency_key IN ({marks(some)}) ORDER BY id",  # nosec B608 # our columns; %s, …
            [log, *some],
        )
        for row in cursor.fetchall():
            found.setdefault(row[3], Item(*row))
    return found
