"""In whose name positions are given: a promoted server begins a new term of the log.

An asynchronous standby that is promoted, and a server that was restored to a point in time, may
lack what was already read; the positions of that are given once more. PostgreSQL tells both: such
a server has another timeline. The log's row has that of the server which wrote last, and whoever
gives positions looks whether it is still this one, under the row's lock. If not, a new epoch
begins with the next position.

What cannot be told (other databases, a service that refuses the functions) is null, and means that
nothing has changed.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Subquery
from django.db.models.expressions import Combinable

from ...cursors import State
from ...models import Log
from ...types import new_epoch

TIMELINE = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
UNKNOWN = "NULL::text"
OF_PRIMARY = f"CASE WHEN NOT pg_is_in_recovery() THEN {TIMELINE} END"

# How a server says that it has no such function, or has it for others: 55000 is what some services
# say, and 42 begins what is wrong with a statement or not allowed.
REFUSED = ("0A000", "55000", "42")

# A page has them all with each of its rows.
MOST = 20

# By alias: does the server tell its timeline?
_tells: dict[str, bool] = {}


def tells_timeline(connection: BaseDatabaseWrapper) -> bool:
    """Does this PostgreSQL tell its timeline? It is tried once a process, in no transaction, which a
    refusal would break; and past Django's cursor, where nobody counts a query."""
    known = _tells.get(connection.alias)
    if known is not None:
        return known
    if connection.in_atomic_block or not connection.get_autocommit():
        return False
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors, closing(connection.create_cursor()) as cursor:
            cursor.execute(f"SELECT {OF_PRIMARY}")  # nosec B608 # our own words
            [told] = cursor.fetchone()
    except DatabaseError as error:
        cause = error.__cause__
        code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
        if not code.startswith(REFUSED):
            # That says nothing of it.
            raise
        _tells[connection.alias] = False
        return False
    if told is not None:
        _tells[connection.alias] = True
    # A standby can once it is promoted; until then nobody writes there.
    return True


def look(connection: BaseDatabaseWrapper, log: str, seen: str) -> tuple[bool, bool]:
    """Is the epoch another than was seen, and did another server write last? A standby, which may
    not begin a term, says no."""
    if connection.vendor != "postgresql" or not tells_timeline(connection):
        return False, False
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT epoch <> %s, timeline <> {OF_PRIMARY} FROM events_log WHERE name = %s",  # nosec B608 # our own words
            [seen, log],
        )
        another, is_over = cursor.fetchone() or (False, False)
    return bool(another), bool(is_over)


def standing(connection: BaseDatabaseWrapper, log: str) -> Sequence[Combinable]:
    """The log's epoch and head in a statement, where both may be others than a moment ago."""
    if connection.vendor != "postgresql":
        return ()
    row = Log.objects.using(connection.alias).filter(name=log)
    return [Subquery(row.values(name)) for name in ("epoch", "head")]


class Term(NamedTuple):
    """The columns of a log's row; `terms` is null while there was but one."""

    epoch: str
    terms: str | None
    timeline: str | None

    def on(self, timeline: str | None, head: int) -> "Term":
        """The term in which a server of that timeline gives the positions after the head."""
        if timeline is None or timeline == self.timeline:
            return self
        if self.timeline is None:
            return self._replace(timeline=timeline)
        epoch = new_epoch()
        before = (self.terms or f"{self.epoch}:1").split()
        return Term(epoch, " ".join([*before[1 - MOST :], f"{epoch}:{head + 1}"]), timeline)

    def save(self, cursor: CursorWrapper, log_id: int) -> None:
        cursor.execute(
            "UPDATE events_log SET epoch = %s, terms = %s, timeline = %s WHERE id = %s",
            [*self, log_id],
        )

    def of(self, state: State) -> "Term":
        """That of a log whose entries are taken over."""
        starts = [1, *(end + 1 for _, end in state.terms)]
        names = [*(epoch for epoch, _ in state.terms), state.epoch]
        terms = " ".join(f"{epoch}:{start}" for epoch, start in zip(names, starts, strict=True))
        return Term(state.epoch, terms if state.terms else None, self.timeline)
