"""What SQLite does for a single event: no statement that only looks.

The way of a statement through Django takes longer than SQLite does, and the ledger's way has three
more. Here the first UPDATE takes the one lock and the position, and the last INSERT answers.
"""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from ...exceptions import StreamClosed
from ...lifecycle import STEPS
from ...types import TERMINAL, Row
from ...validation import Item

_HEAD = "UPDATE events_log SET head = head + 1, latest = MAX(latest, %s) WHERE name = %s"

_STREAM = """INSERT INTO events_stream
(log_id, name, seq, first_position, last_position, last_event_at)
SELECT id, %s, 1, head, head, %s FROM events_log WHERE name = %s
ON CONFLICT (log_id, name) DO UPDATE
SET seq = seq + 1, last_position = excluded.last_position, last_event_at = excluded.last_event_at
WHERE status IS NULL OR status NOT IN ({terminal})""".format(
    terminal=", ".join(f"'{status}'" for status in TERMINAL)
)  # nosec B608 # our own statuses

_EVENT = """INSERT INTO events_event
(log_id, position, kind, stream, seq, timestamp, payload, context)
SELECT log.id, head, %s, {stream}, latest, %s, %s FROM events_log AS log{join} WHERE log.name = %s
RETURNING position, seq, timestamp"""
_IN_NONE = _EVENT.format(stream="'', 0", join="")
_IN_STREAM = _EVENT.format(
    stream="stream.name, seq",
    join=" JOIN events_stream AS stream ON log_id = log.id AND stream.name = %s",
)


def can_append(connection: BaseDatabaseWrapper, item: Item) -> bool:
    """A key has to be looked for, and a step in a stream's life depends on where that stands."""
    return (
        connection.vendor == "sqlite"
        and connection.features.can_return_columns_from_insert
        and item.key is None
        and item.kind not in STEPS
    )


def append(cursor: CursorWrapper, log: str, item: Item, now: int) -> Row | None:
    """The new entry, in a transaction of our own; None if the log has no row yet."""
    cursor.execute(_HEAD, (now, log))
    if not cursor.rowcount:
        return None
    if item.stream:
        cursor.execute(_STREAM, (item.stream, now, log))
        if not cursor.rowcount:
            raise StreamClosed(f"the stream {item.stream!r} has ended; nothing was stored")
    values = (item.kind, item.text, item.context)
    if item.stream:
        cursor.execute(_IN_STREAM, (*values, item.stream, log))
    else:
        cursor.execute(_IN_NONE, (*values, log))
    [(position, seq, micros)] = cursor.fetchall()
    return item.at(position, seq, micros)
