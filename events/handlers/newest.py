"""The newest entries of a log, read once for all handlers of a process that are at its head."""

from bisect import bisect_right
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple

from ..backends.base import BaseBackend
from ..cursors import Query, Rows
from ..cursors import State as LogState
from ..types import Row
from . import store

# Entries that are kept, and characters of their payloads.
MOST = 1000
MOST_TEXT = 8 * 2**20


class Known(NamedTuple):
    """All entries between two positions. It is replaced, and never changed: threads look at it."""

    start: int
    end: int
    state: LogState
    rows: list[Row]

    def after(self, query: Query) -> list[Row] | None:
        """What a query wants of them; None if they do not reach back to its cursor."""
        since = query.since
        if query.epoch != self.state.epoch or not isinstance(since, int):
            return None
        if not self.start <= since <= self.end:
            return None
        first = bisect_right(self.rows, since, key=attrgetter("position"))
        return [row for row in self.rows[first:] if query.wants(row)]


class Newest:
    def __init__(self, backend: BaseBackend) -> None:
        self.backend = backend
        self.known: Known | None = None

    @property
    def is_behind(self) -> bool:
        return self.known is not None and self.known.end < self.known.state.head

    def look(self) -> None:
        """Read what is new: one statement."""
        known = self.known
        if known is None:
            self.begin(self.backend.read(store.PROBE))
            return
        query = Query(since=known.end, limit=store.PAGE, epoch=known.state.epoch, whole=True)
        found = self.backend.read(query)
        if found.gap is not None:
            self.begin(found)
            return
        if found.state.head - found.cursor > MOST:
            self.begin(found)
            return
        rows = newest([*known.rows, *found.rows])
        left_out = len(known.rows) + len(found.rows) - len(rows)
        start = (rows[0].position - 1 if rows else found.cursor) if left_out else known.start
        self.known = Known(start, found.cursor, found.state, rows)

    def begin(self, found: Rows) -> None:
        """At the head: those who are behind it read for themselves."""
        head = found.state.head
        self.known = Known(head, head, found.state, [])

    def read(self, query: Query) -> Rows:
        """As the backend's, from what is known if that reaches back."""
        known = self.known
        rows = known and known.after(query)
        if known is None or rows is None:
            return self.backend.read(query)
        some = rows[: query.limit]
        cursor = some[-1].position if len(some) == query.limit else known.end
        return Rows(some, cursor, known.state, None)


def newest(rows: list[Row]) -> list[Row]:
    """As many of the last ones as are kept."""
    size = 0

    def fits(row: Row) -> bool:
        nonlocal size
        size += len(row.text)
        return size <= MOST_TEXT

    return list(takewhile(fits, reversed(rows[-MOST:])))[::-1]
