"""Reading: one statement for head, floor, epoch, outbox and entries, hence one snapshot.

With two statements the head could run ahead of the rows, and a reader that is told of a head
that it was not shown loses events.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from ...cursors import Query, State
from ...types import Row
from .dialects import ROW_COLUMNS, Dialect

MAX_BIGINT = 2**63 - 1


class Snapshot(NamedTuple):
    """A log at one moment. `outbox`: are there committed events that have no position yet?"""

    state: State
    removed: int
    outbox: bool
    rows: list[Row]


def snapshot(
    cursor: CursorWrapper, dialect: Dialect, log: str, query: Query, cutoff: int | None
) -> Snapshot | None:
    """What a query finds; None when the log has no row. Entries older than `cutoff` are expired,
    and since time runs along positions they are a prefix, which ends at `expired`."""
    values: list[Any] = []
    expired = "0"
    if cutoff is not None:
        # Ordered by the index on time, so the newest of any number of expired entries is one step.
        expired = (
            "COALESCE((SELECT position FROM events_event WHERE log_id = events_log.id "
            "AND timestamp < %s ORDER BY timestamp DESC, position DESC LIMIT 1), 0)"
        )
        values.append(cutoff)
    outbox = "0"
    if dialect.uses_outbox:
        outbox = "EXISTS (SELECT 1 FROM events_outbox WHERE log = %s AND refused = '')"
        values.append(log)
    sql = (
        f"WITH log AS (SELECT id, head, floor, epoch, removed, {expired} AS expired, "
        f"{outbox} AS outbox FROM events_log WHERE name = %s) "
        "SELECT log.head, log.floor, log.epoch, log.removed, log.expired, log.outbox"
    )
    values.append(log)
    if query.limit and query.since != "latest":
        where, more = conditions(dialect, query)
        sql += (
            f", entry.* FROM log LEFT JOIN (SELECT {ROW_COLUMNS} FROM events_event "
            f"WHERE log_id = (SELECT id FROM log) AND {where} ORDER BY position LIMIT %s"
            ") AS entry ON 1 = 1 ORDER BY entry.position"
        )
        values += [*more, query.limit]
    else:
        sql += " FROM log"
    cursor.execute(sql, values)
    found = cursor.fetchall()
    if not found:
        return None
    head, floor, epoch, removed, last_expired, pending = found[0][:6]
    rows = [Row(*row[6:]) for row in found] if len(found[0]) > 6 and found[0][6] else []
    state = State(head, max(floor, last_expired), epoch)
    return Snapshot(state, removed, bool(pending), rows)


def conditions(dialect: Dialect, query: Query) -> tuple[str, list[Any]]:
    """The WHERE for the entries after a query's cursor, and its values."""
    since = query.since if isinstance(query.since, int) else 0
    values: list[Any] = [min(since, MAX_BIGINT)]
    start = f"(SELECT {dialect.greatest}(floor, expired, %s) FROM log)"
    where = f"position > {start}"
    if query.span is not None:
        where += f" AND position <= {start} + {query.span}"
        values *= 2
    if query.stream is not None:
        where += " AND stream = %s"
        values.append(query.stream)
    kinds = []
    if query.exact:
        kinds.append(f"kind IN ({', '.join(['%s'] * len(query.exact))})")
        values += query.exact
    for prefix in query.prefixes:
        # "/" is the character after ".", and kinds are compared byte by byte.
        kinds.append("(kind >= %s AND kind < %s)")
        values += [prefix, prefix[:-1] + "/"]
    if kinds:
        where += f" AND ({' OR '.join(kinds)})"
    return where, values
