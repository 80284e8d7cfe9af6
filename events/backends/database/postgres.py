"""What PostgreSQL does in one statement: an append, and sequencing a batch of the outbox.

    h          1. lock the head and take the next position, unless the outbox holds something or
               another server wrote last: then a term has to begin, see `terms`
    s          2. take the next seq of the stream, unless it is closed
    event      3. insert the event with both

The head always comes first: `s` selects FROM `h`, so nobody locks a stream row who does not
hold the head. The seq that the insert asks `s` for goes into a column that is NOT NULL: a closed
stream gives no row, and the null fails the whole statement, which takes the head's step back. With
a join nothing would be inserted and the position would be burnt; the same with ON CONFLICT DO
NOTHING for a used key.

The lock timeout and a synchronous commit travel inside, so there is no BEGIN. They stand in a
condition that no row has a part in, which is looked at once and before any row (a CTE of their own
took an eighth of the server's time for the statement).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import IntegrityError
from django.db.backends.utils import CursorWrapper

from ...exceptions import StreamClosed
from ...lifecycle import KINDS, STEPS
from ...prepared import Prepared, codes
from ...types import TERMINAL, Row
from ...validation import Item
from . import terms
from .dialects import array

NOT_NULL = "23502"
UNIQUE = "23505"
# As psycopg and Django number it.
READ_COMMITTED = 2

_HEAD = """
WITH h AS (
    UPDATE events_log SET head = head + 1, latest = GREATEST(latest, %(now)s),
        timeline = COALESCE(timeline, (SELECT {timeline}))
    WHERE name = %(log)s AND COALESCE(timeline = (SELECT {timeline}), true)
    AND NOT EXISTS (
        SELECT FROM events_outbox WHERE log = %(log)s AND refused = '')
    AND (SELECT set_config('lock_timeout', %(timeout)s, true)
        || CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) ELSE '' END) IS NOT NULL
    RETURNING id, head, latest
)"""

_STREAM = """, s AS (
    INSERT INTO events_stream AS stream
        (log_id, name, seq, first_position, last_position, last_event_at)
    SELECT id, %(stream)s, 1, head, head, %(now)s FROM h
    ON CONFLICT (log_id, name) DO UPDATE
        SET seq = stream.seq + 1, last_position = excluded.last_position,
            last_event_at = excluded.last_event_at
        WHERE stream.status IS NULL OR stream.status NOT IN ({terminal})
    RETURNING seq
)""".format(terminal=", ".join(f"'{status}'" for status in TERMINAL))  # nosec B608 # our own statuses

_INSERT = """
INSERT INTO events_event
    (log_id, position, kind, stream, seq, timestamp, payload, idempotency_key,
     context)
SELECT id, head, %(kind)s, %(stream)s, {seq}, latest, %(text)s, %(key)s, %(context)s FROM h
RETURNING position, seq, timestamp"""

_TYPES = {
    "timeout": "text",
    "now": "bigint",
    "log": "text",
    "kind": "text",
    "stream": "text",
    "text": "text",
    "key": "text",
    "context": "text",
}

_SEQ = "(SELECT seq FROM s)"


def on_either(sql: str, types: Mapping[str, str]) -> dict[bool, Prepared]:
    """The statement by whether the server tells its timeline."""
    return {
        True: Prepared(sql.replace("{timeline}", terms.TIMELINE), types),
        False: Prepared(sql.replace("{timeline}", terms.UNKNOWN), types),
    }


IN_STREAM = on_either(_HEAD + _STREAM + _INSERT.format(seq=_SEQ), _TYPES)

# To a stream that has to be there, and still has to be the one that began at `first`: any other
# gives no row, or one whose seq is 1.
GOING_ON = on_either(
    _HEAD.replace("head, latest\n)", "head, latest, epoch\n)")
    + _STREAM.replace("status IS NULL OR", "first_position = %(first)s AND").replace(
        "RETURNING seq", "RETURNING CASE WHEN seq > 1 THEN seq END AS seq"
    )
    + _INSERT.format(seq=_SEQ)
    + ", (SELECT epoch FROM h)",
    {**_TYPES, "first": "bigint"},
)

# A step in a stream's life. To be refused is to give no row, as above; what was wrong, or whether
# the stream is there already, is found out the long way. A step that `needs` a stream and meets
# none has made one, whose seq is 1: that becomes a null. To look first would be to look at how
# things were before the lock.
_STEP = """, s AS (
    INSERT INTO events_stream AS stream (log_id, name, seq, first_position, last_position,
        last_event_at, status, opened_at, closed_at, idle_timeout)
    SELECT id, %(stream)s, 1, head, head, %(now)s, %(status)s::text,
        CASE WHEN %(opens)s::boolean THEN latest END,
        CASE WHEN %(closes)s::boolean THEN latest END, %(idle_timeout)s::float8
    FROM h
    ON CONFLICT (log_id, name) DO UPDATE
        SET seq = stream.seq + 1, last_position = excluded.last_position,
            last_event_at = excluded.last_event_at, status = excluded.status,
            opened_at = COALESCE(stream.opened_at, excluded.opened_at),
            closed_at = excluded.closed_at,
            idle_timeout = COALESCE(excluded.idle_timeout, stream.idle_timeout)
        WHERE COALESCE(stream.status, '') = ANY (%(sources)s::text[])
    RETURNING CASE WHEN seq > 1 OR NOT %(needs)s::boolean THEN seq END AS seq
)"""

STEP = on_either(
    _HEAD + _STEP + _INSERT.format(seq=_SEQ),
    _TYPES
    | {
        "status": "text",
        "opens": "boolean",
        "closes": "boolean",
        "needs": "boolean",
        "sources": "text",
        "idle_timeout": "float8",
    },
)
IN_NONE = on_either(_HEAD + _INSERT.format(seq="0"), _TYPES)


# A batch of the outbox, under the lock. Nothing happens if a step in a stream's life is among the
# rows: whether it may be taken depends on those before it.
_SEQUENCE = """
WITH next AS MATERIALIZED (
    SELECT id, kind FROM events_outbox
    WHERE log = %(log)s AND refused = '' AND id > %(after)s AND id <= %(newest)s
    ORDER BY id LIMIT %(limit)s
), taken AS (
    DELETE FROM events_outbox WHERE id = ANY (ARRAY(SELECT id FROM next))
        AND NOT EXISTS (SELECT FROM next WHERE kind LIKE 'stream.%%')
    RETURNING id, kind, stream, payload, idempotency_key, context
), placed AS (
    SELECT *, %(head)s + row_number() OVER (ORDER BY id) AS position,
        count(*) OVER (PARTITION BY stream) - row_number() OVER (PARTITION BY stream ORDER BY id)
            AS later
    FROM taken
), s AS (
    INSERT INTO events_stream AS stream
        (log_id, name, seq, first_position, last_position, last_event_at)
    SELECT (SELECT id FROM events_log WHERE name = %(log)s), placed.stream, count(*),
        min(position), max(position), %(clock)s
    FROM placed WHERE placed.stream <> '' GROUP BY placed.stream
    ON CONFLICT (log_id, name) DO UPDATE
        SET seq = stream.seq + excluded.seq, last_position = excluded.last_position,
            last_event_at = excluded.last_event_at
    RETURNING name, seq, status
), event AS (
    INSERT INTO events_event
        (log_id, position, kind, stream, seq, timestamp, payload, idempotency_key, context)
    SELECT (SELECT id FROM events_log WHERE name = %(log)s), position, kind, stream,
        COALESCE(s.seq - later, 0), %(now)s, payload, idempotency_key, context
    FROM placed LEFT JOIN s ON s.name = placed.stream ORDER BY position
)
SELECT (SELECT count(*) FROM next), (SELECT count(*) FROM taken), (SELECT max(id) FROM taken),
    ARRAY(SELECT ARRAY[name, status] FROM s WHERE status IN ({terminal}))
""".format(terminal=", ".join(f"'{status}'" for status in TERMINAL))  # nosec B608 # our own statuses


class Sequenced(NamedTuple):
    """How many rows of the outbox have become entries, the id of the last one, and the streams,
    with their statuses, that had ended before."""

    rows: int
    last: int
    closed: Sequence[tuple[str, str]] = ()


def can_append(connection: Any) -> bool:
    """Is one statement enough here? Not in a test case's transaction, where a refusal would break
    it, nor above READ COMMITTED, where it could make the host's own transactions fail."""
    return (
        connection.vendor == "postgresql"
        and not connection.in_atomic_block
        and connection.isolation_level == READ_COMMITTED
    )


def append(
    cursor: CursorWrapper, log: str, item: Item, now: int, lock_timeout: float
) -> Row | None:
    """The new entry; None if this is not a case for one statement.

    That is so when the outbox has something to be sequenced first, when the log has no row
    yet or another server wrote to it last, and when the key was used before, or may have been: in a stream that has ended, the
    statement fails before it gets as far as the key.
    """
    statement = _for(cursor, IN_STREAM if item.stream else IN_NONE)
    values = {"timeout": _timeout(lock_timeout), "now": now, "log": log, **item._asdict()}
    try:
        statement.run(cursor, values)
    except IntegrityError as error:
        if item.key is not None and not codes(error).isdisjoint({NOT_NULL, UNIQUE}):
            return None
        if NOT_NULL in codes(error) and item.stream:
            raise StreamClosed(
                f"the stream {item.stream!r} has ended; nothing was stored"
            ) from None
        raise
    return _row(cursor, item)


def go_on(
    cursor: CursorWrapper, log: str, item: Item, first: int, now: int, lock_timeout: float
) -> tuple[Row, str] | None:
    """The new entry, and the log's epoch; None if the outbox has something, or the log has no row."""
    values = {"timeout": _timeout(lock_timeout), "now": now, "log": log, "first": first}
    _for(cursor, GOING_ON).run(cursor, {**values, **item._asdict()})
    found = cursor.fetchone()
    return None if found is None else (item.at(*found[:3]), found[3])


def step(cursor: CursorWrapper, log: str, item: Item, now: int, lock_timeout: float) -> Row | None:
    """A step in a stream's life; None if this is not a case for one statement, or no step."""
    _, status, sources = STEPS[item.kind]
    values = {
        "timeout": _timeout(lock_timeout),
        "now": now,
        "log": log,
        "status": str(status),
        "opens": item.kind == KINDS["open"],
        "closes": status in TERMINAL,
        "needs": None not in sources,
        "sources": array(source or "" for source in sources),
        **item._asdict(),
    }
    try:
        _for(cursor, STEP).run(cursor, values)
    except IntegrityError as error:
        if NOT_NULL in codes(error):
            return None
        raise
    return _row(cursor, item)


def sequence(cursor: CursorWrapper, values: Mapping[str, str | int]) -> Sequenced | None:
    """Turn up to `limit` rows of the outbox into entries of the time `now`; None if there is a step
    among them."""
    cursor.execute(_SEQUENCE, values)
    found, count, last, closed = cursor.fetchone()
    return Sequenced(count, last or 0, closed) if count == found else None


def _timeout(seconds: float) -> str:
    # 0 would be for ever.
    return f"{max(1, int(seconds * 1000))}ms"


def _for(cursor: CursorWrapper, statements: Mapping[bool, Prepared]) -> Prepared:
    return statements[terms.tells_timeline(cursor.db)]


def _row(cursor: CursorWrapper, item: Item) -> Row | None:
    found = cursor.fetchone()
    if found is None:
        return None
    position, seq, micros = found
    return item.at(position, seq, micros)
