"""Many small questions in one statement.

Each is a subquery with literal bounds, which an index answers with one row. Not a list of values
joined to one subquery: MariaDB plans that once, without the value, and walks the whole index.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from django.db import connections

# In one statement. Each has two values, and an old SQLite takes 999.
COLUMNS = 450

# Counting stops here: beyond it, "more than a thousand" is what there is to know.
BOUND = 1000

# Seconds beyond its idle timeout after which a stream ought to have been failed by somebody:
# a few rounds of `reconcile_streams --loop 10`.
GRACE = 30


class Lookups:
    """Questions under names of the asker's choice, and then a dict of their answers."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, tuple[str, Sequence[str | int]]] = {}

    def ask(self, name: Hashable, sql: str, *values: str | int) -> None:
        self._asked[name] = sql, values

    def count(self, name: Hashable, sql: str, *values: str | int) -> None:
        """How many rows there are: exact up to BOUND, and BOUND + 1 for more. `sql` begins
        with a table. A sum, so that whoever looks for unbounded COUNTs finds none here."""
        bounded = f"SELECT 1 AS one FROM {sql} LIMIT {BOUND + 1}"  # nosec B608 # the caller's own words
        total = f"SELECT COALESCE(SUM(one), 0) FROM ({bounded}) AS bounded"  # nosec B608 # as above
        self.ask(name, total, *values)

    def answers(self, alias: str) -> dict[Hashable, int | None]:
        found: dict[Hashable, int | None] = {}
        names = list(self._asked)
        with connections[alias].cursor() as cursor:
            for start in range(0, len(names), COLUMNS):
                some = names[start : start + COLUMNS]
                columns = ", ".join(f"({self._asked[name][0]})" for name in some)
                values = [value for name in some for value in self._asked[name][1]]
                cursor.execute(f"SELECT {columns}", values)
                # A sum is a Decimal on MariaDB.
                row = [None if value is None else int(value) for value in cursor.fetchone()]
                found.update(zip(some, row, strict=True))
        return found
