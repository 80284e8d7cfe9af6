"""Where the newest entries begin that a reader asks for with `last`."""

from typing import Any

from django.db.backends.utils import CursorWrapper

from ...cursors import Query
from .dialects import Dialect
from .pages import filters
from .times import EXPIRED, positions_at


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
