"""Reading: one statement for head, floor, epoch, outbox and entries, hence one snapshot.

With two statements the head could run ahead of the rows, and a reader that is told of a head
that it was not shown loses events.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from ...cursors import Query, State, ended_terms
from ...prepared import Prepared
from ...types import FIRST, LAST, Row
from ...wire import FRAME, NAMES, PAGE_BYTES
from .damage import examined, rows_seem_sound
from .dialects import Dialect
from .rows import ROW_COLUMNS
from .times import EXPIRED, positions_at

MAX_BIGINT = 2**63 - 1


class Snapshot(NamedTuple):
    """A log at one moment. `outbox`: are there committed events that have no position yet?
    `partial`: were there some when the reader came, and they are not among these? `cut`, `bad`:
    see `Rows` and `finish`."""

    state: State
    removed: int
    outbox: bool
    rows: list[Row]
    partial: bool = False
    cut: bool = False
    bad: Collection[int] = ()

    @property
    def resident(self) -> int:
        """`removed` also counts holes among entries that expired and are not pruned yet."""
        return max(0, self.state.head - self.state.floor - self.removed)


EMPTY = Snapshot(State(0, 0, ""), 0, False, [])


class Source(NamedTuple):
    """Where the bounds of the entries come from, and a hint at the index."""

    table: str = "log"
    expired: str = "expired"
    hint: str = ""


# How the entries are selected, of which there is a WHERE and a limit. The limit is in the text: of
# one that it does not know, PostgreSQL thinks a tenth of the table, and plans anew at every use.
Entries = Callable[[Dialect, Source, str, int], str]


def snapshot(
    cursor: CursorWrapper, dialect: Dialect, log: str, query: Query, cutoff: int | None
) -> Snapshot | None:
    """What a query finds; None when the log has no row. Entries older than `cutoff` are expired,
    and since time runs along positions they are a prefix, which ends at `expired`.

    A statement that adds up bytes takes a quarter longer. So the first one leaves out payloads
    that are too large for a whole page of their like, and only if there are any is the page read
    again, as far as its bytes go. That is also how what is damaged is found.
    """
    found = _run(cursor, dialect, log, query, cutoff, guarded)
    if found is None:
        return None
    if not rows_seem_sound(found.rows):
        found = _run(cursor, dialect, log, query, cutoff, bounded)
        if found is None:
            return None
        # There may be more, whatever the first statement saw: the cursor goes no further.
        found = found._replace(cut=bool(found.rows))
    elif not query.careful:
        return found
    rows, bad = examined(log, found.state.epoch, found.rows)
    return found._replace(rows=rows, bad=bad)


def _run(
    cursor: CursorWrapper,
    dialect: Dialect,
    log: str,
    query: Query,
    cutoff: int | None,
    entries: Entries,
) -> Snapshot | None:
    sql, values = statement(dialect, query, cutoff, entries)
    values["log"] = log
    if not dialect.seeks_by_subquery:
        # What is appended meanwhile is not as old.
        known = positions_at(cursor, dialect, log, [] if cutoff is None else [cutoff])
        values["expired"] = max(known, default=0)
    if dialect.prepares and common(query):
        prepared(sql).run(cursor, values)
    else:
        cursor.execute(sql, values)
    # They come in their order, which a UNION does not promise; that costs next to nothing.
    found = sorted(cursor.fetchall(), key=itemgetter(0))
    if not found:
        return None
    _, standing, _, last_expired, pending, *_ = found[0]
    head, floor, removed, epoch, terms = standing.split(" ", 4)
    state = State(int(head), max(int(floor), last_expired), epoch, ended_terms(terms))
    return Snapshot(state, int(removed), bool(pending), list(map(_as_row, found[1:])))


# `Row._make` without counting the columns, which takes as long again.
_as_row: Callable[[Iterable[Any]], Row] = partial(tuple.__new__, Row)


def statement(
    dialect: Dialect, query: Query, cutoff: int | None, entries: Entries
) -> tuple[str, dict[str, Any]]:
    """The SQL, which is the same text for queries of the same shape, and its values.

    The first row says where the log stands, in a place before all entries and in columns of their
    types. With every entry, it took as long as the entries, and SQLite sorted the whole page.
    """
    values: dict[str, Any] = {}
    recursive, expired, outbox = "", "0", "0"
    if not dialect.seeks_by_subquery:
        expired = "%(expired)s"
    elif cutoff is not None:
        recursive = f"RECURSIVE {EXPIRED}, "
        expired = "(SELECT MAX(position) FROM found)"
        values["before"] = cutoff
    if dialect.uses_outbox:
        waiting = "SELECT 1 FROM events_outbox WHERE log = %(log)s AND refused = ''"
        outbox = f"CASE WHEN EXISTS ({waiting}) THEN 1 ELSE 0 END"
    standing = dialect.joined("head", "floor", "removed", "epoch", "COALESCE(terms, '')")
    sql = (
        f"WITH {recursive}log AS (SELECT id, floor, {standing} AS standing, {expired} AS expired, "
        f"{outbox} AS outbox FROM events_log WHERE name = %(log)s) "
        "SELECT -1 AS position, standing AS kind, '' AS stream, expired AS seq, outbox AS timestamp, "
        "NULL AS payload, NULL AS idempotency_key, NULL AS context FROM log"  # nosec B608 # our own words
    )
    if not query.limit or query.since == "latest":
        return sql, values
    source = source_of(dialect, query)
    where = conditions(dialect, source, query, values)
    some = entries(dialect, source, where, query.limit)
    return f"{sql} UNION ALL SELECT * FROM ({some}) AS entry", values  # nosec B608 # see there


def guarded(dialect: Dialect, source: Source, where: str, limit: int) -> str:
    """Without payloads that are too large, and of times that no calendar has."""
    most = max(0, PAGE_BYTES // limit - FRAME - NAMES)
    columns = ROW_COLUMNS.replace(
        "payload",
        f"CASE WHEN {dialect.size} <= {most} AND timestamp BETWEEN {FIRST} AND {LAST} "
        "THEN payload END",
    )
    return _entries(source, columns, where, limit)


def bounded(dialect: Dialect, source: Source, where: str, limit: int) -> str:
    """As far as the bytes of a page go, and one at the least."""
    size = f"{dialect.size} + LENGTH(kind) + LENGTH(stream) + {FRAME}"
    sizes = _entries(source, f"position, {size} AS size", where, limit)
    return _entries(
        source,
        ROW_COLUMNS,
        f"{where} AND position <= (SELECT MAX(position) FROM (SELECT position, size, SUM(size) "
        "OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS total "
        f"FROM ({sizes}) AS sizes) AS totals WHERE total <= {PAGE_BYTES} OR total = size)",  # nosec B608 # our own words
        limit,
    )


def _entries(source: Source, columns: str, where: str, limit: int) -> str:
    return (
        f"SELECT {columns} FROM events_event {source.hint}"
        f"WHERE log_id = (SELECT id FROM {source.table}) AND {where} ORDER BY position LIMIT {limit}"  # nosec B608 # our own words
    )


def source_of(dialect: Dialect, query: Query) -> Source:
    """MariaDB knows nothing of a common table when it chooses where in an index to begin, and by its
    own choice it would begin at the log's first entry all the same."""
    if dialect.seeks_by_subquery:
        return Source()
    index = "events_event_position" if query.stream is None else "events_event_stream"
    return Source("events_log WHERE name = %(log)s", "%(expired)s", f"FORCE INDEX ({index}) ")


def conditions(dialect: Dialect, source: Source, query: Query, values: dict[str, Any]) -> str:
    """The WHERE for the entries after a query's cursor."""
    most = MAX_BIGINT - (query.span or 0)
    values["since"] = min(query.since, most) if isinstance(query.since, int) else 0
    start = f"(SELECT {dialect.greatest}(floor, {source.expired}, %(since)s) FROM {source.table})"  # nosec B608 # our own words
    where = f"position > {start}"
    if query.span is not None:
        where += f" AND position <= {start} + {query.span}"
    return where + filters(dialect, query, values)


def filters(dialect: Dialect, query: Query, values: dict[str, Any]) -> str:
    """What a WHERE goes on with, to leave entries out that a query does not want."""
    where = ""
    if query.stream is not None:
        where += " AND stream = %(stream)s"
        values["stream"] = query.stream
    elif query.streams or query.starts:
        where += f" AND ({' OR '.join(wanted_streams(dialect, query, values))})"
    kinds = []
    for number, kind in enumerate(query.exact):
        values[f"kind{number}"] = kind
        kinds.append(f"kind = %(kind{number})s")
    for number, prefix in enumerate(query.prefixes):
        # "/" is the character after ".", and kinds are compared byte by byte.
        values[f"from{number}"], values[f"to{number}"] = prefix, prefix[:-1] + "/"
        kinds.append(f"(kind >= %(from{number})s AND kind < %(to{number})s)")
    return f"{where} AND ({' OR '.join(kinds)})" if kinds else where


def wanted_streams(dialect: Dialect, query: Query, values: dict[str, Any]) -> Iterator[str]:
    """The conditions of which one has to hold for an entry of a set of streams."""
    if query.streams:
        names = {f"stream{number}": name for number, name in enumerate(query.streams)}
        values.update(names)
        yield f"stream IN ({', '.join(f'%({name})s' for name in names)})"
    for number, start in enumerate(query.starts):
        # The character after the last one ends the range: names are ASCII, compared byte by byte.
        end = start[:-1] + chr(ord(start[-1]) + 1)
        values[f"start{number}"], values[f"end{number}"] = start, end
        stream = dialect.prefixed_stream
        yield f"({stream} >= %(start{number})s AND {stream} < %(end{number})s)"


def start_of_last(
    cursor: CursorWrapper, dialect: Dialect, log: str, query: Query, cutoff: int | None
) -> int:
    """The position before the newest `last` entries that a query wants; the head if it finds none.

    Backwards through the index on positions or, of one stream, through its own: without a filter,
    or with many entries that fit, no more rows are read than there are found.
    """
    values: dict[str, Any] = {"log": log}
    halving, bounds = "", ["floor"]
    if cutoff is not None and not dialect.seeks_by_subquery:
        bounds.append(str(*positions_at(cursor, dialect, log, [cutoff])))
    elif cutoff is not None:
        halving = f"RECURSIVE {EXPIRED}, "
        bounds.append("(SELECT MAX(position) FROM found)")
        values["before"] = cutoff
    if query.span is not None:
        bounds.append(f"head - {query.span}")
    bound = f"{dialect.greatest}({', '.join(bounds)})" if len(bounds) > 1 else bounds[0]
    cursor.execute(
        f"WITH {halving}log AS (SELECT id, head, {bound} AS bound FROM events_log "
        "WHERE name = %(log)s) "
        "SELECT COALESCE(MIN(position) - 1, (SELECT head FROM log), 0) FROM ("
        "SELECT position FROM events_event WHERE log_id = (SELECT id FROM log) "
        f"AND position > (SELECT bound FROM log){filters(dialect, query, values)} "
        f"ORDER BY position DESC LIMIT {query.last}) AS newest",  # nosec B608 # numbers, and our own words
        values,
    )
    return int(cursor.fetchone()[0])


def common(query: Query) -> bool:
    """Is this a query that comes again and again? Kinds, sets and odd limits would make no end of
    texts."""
    wants_some = query.exact or query.prefixes or query.streams or query.starts
    return not (wants_some or query.limit % 100)


TYPES = {"before": "bigint", "log": "text", "since": "bigint", "stream": "text"}


@cache
def prepared(sql: str) -> Prepared:
    return Prepared(sql, {name: type for name, type in TYPES.items() if f"%({name})s" in sql})
