"""Reading: one statement for head, floor, epoch, outbox and entries, hence one snapshot.

With two statements the head could run ahead of the rows, and a reader that is told of a head
that it was not shown loses events.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from ...cursors import Query, State
from ...types import Row
from .dialects import Dialect
from .prepared import Prepared
from .rows import EXPIRED, ROW_COLUMNS

MAX_BIGINT = 2**63 - 1


class Snapshot(NamedTuple):
    """A log at one moment. `outbox`: are there committed events that have no position yet?
    `partial`: were there some when the reader came, and they are not among these?"""

    state: State
    removed: int
    outbox: bool
    rows: list[Row]
    partial: bool = False


def snapshot(
    cursor: CursorWrapper, dialect: Dialect, log: str, query: Query, cutoff: int | None
) -> Snapshot | None:
    """What a query finds; None when the log has no row. Entries older than `cutoff` are expired,
    and since time runs along positions they are a prefix, which ends at `expired`."""
    sql, values = statement(dialect, query, cutoff)
    values["log"] = log
    if dialect.prepares and common(query):
        prepared(sql).run(cursor, values)
    else:
        cursor.execute(sql, values)
    found = cursor.fetchall()
    if not found:
        return None
    head, floor, epoch, removed, last_expired, pending = found[0][:6]
    make = Row._make
    rows = [make(row[6:]) for row in found] if len(found[0]) > 6 and found[0][6] else []
    state = State(head, max(floor, last_expired), epoch)
    return Snapshot(state, removed, bool(pending), rows)


def statement(dialect: Dialect, query: Query, cutoff: int | None) -> tuple[str, dict[str, Any]]:
    """The SQL, which is the same text for queries of the same shape, and its values."""
    values: dict[str, Any] = {}
    halving, expired, outbox = "", "0", "0"
    if cutoff is not None:
        halving, expired = f"RECURSIVE {EXPIRED}, ", "(SELECT MAX(position) FROM expired)"
        values["before"] = cutoff
    if dialect.uses_outbox:
        outbox = "EXISTS (SELECT 1 FROM events_outbox WHERE log = %(log)s AND refused = '')"
    sql = (
        f"WITH {halving}log AS (SELECT id, head, floor, epoch, removed, {expired} AS expired, "
        f"{outbox} AS outbox FROM events_log WHERE name = %(log)s) "
        "SELECT log.head, log.floor, log.epoch, log.removed, log.expired, log.outbox"  # nosec B608 # our own words
    )
    if not query.limit or query.since == "latest":
        return f"{sql} FROM log", values
    where = conditions(dialect, query, values)
    # The limit is in the text: of one that it does not know, PostgreSQL thinks a tenth of the
    # table, and then plans anew at every use.
    return (
        f"{sql}, entry.* FROM log LEFT JOIN (SELECT {ROW_COLUMNS} FROM events_event "
        f"WHERE log_id = (SELECT id FROM log) AND {where} ORDER BY position LIMIT {query.limit}"
        ") AS entry ON 1 = 1 ORDER BY entry.position"  # nosec B608 # a number; for `where` see below
    ), values


def conditions(dialect: Dialect, query: Query, values: dict[str, Any]) -> str:
    """The WHERE for the entries after a query's cursor."""
    most = MAX_BIGINT - (query.span or 0)
    values["since"] = min(query.since, most) if isinstance(query.since, int) else 0
    start = f"(SELECT {dialect.greatest}(floor, expired, %(since)s) FROM log)"  # nosec B608 # our own words
    where = f"position > {start}"
    if query.span is not None:
        where += f" AND position <= {start} + {query.span}"
    if query.stream is not None:
        where += " AND stream = %(stream)s"
        values["stream"] = query.stream
    elif query.streams or query.starts:
        where += f" AND ({' OR '.join(wanted_streams(query, values))})"
    kinds = []
    for number, kind in enumerate(query.exact):
        values[f"kind{number}"] = kind
        kinds.append(f"kind = %(kind{number})s")
    for number, prefix in enumerate(query.prefixes):
        # "/" is the character after ".", and kinds are compared byte by byte.
        values[f"from{number}"], values[f"to{number}"] = prefix, prefix[:-1] + "/"
        kinds.append(f"(kind >= %(from{number})s AND kind < %(to{number})s)")
    return f"{where} AND ({' OR '.join(kinds)})" if kinds else where


def wanted_streams(query: Query, values: dict[str, Any]) -> Iterator[str]:
    """The conditions of which one has to hold for an entry of a set of streams."""
    if query.streams:
        names = {f"stream{number}": name for number, name in enumerate(query.streams)}
        values.update(names)
        yield f"stream IN ({', '.join(f'%({name})s' for name in names)})"
    for number, start in enumerate(query.starts):
        # The character after the last one ends the range: names are ASCII, compared byte by byte.
        end = start[:-1] + chr(ord(start[-1]) + 1)
        values[f"start{number}"], values[f"end{number}"] = start, end
        yield f"(stream >= %(start{number})s AND stream < %(end{number})s)"


def common(query: Query) -> bool:
    """Is this a query that comes again and again? Kinds, sets and odd limits would make no end of
    texts."""
    wants_some = query.exact or query.prefixes or query.streams or query.starts
    return not (wants_some or query.limit % 100)


TYPES = {"before": "bigint", "log": "text", "since": "bigint", "stream": "text"}


@cache
def prepared(sql: str) -> Prepared:
    return Prepared(sql, {name: type for name, type in TYPES.items() if f"%({name})s" in sql})
