"""Which entries have which keys."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper

from ...types import Row
from .dialects import ROW_COLUMNS
from .sql import chunks, marks


def entries_by_key(cursor: CursorWrapper, log: str, keys: Sequence[str]) -> dict[str, Row]:
    found = {}
    for some in chunks(keys):
        cursor.execute(
            f"SELECT {ROW_COLUMNS} FROM events_event "
            "WHERE log_id = (SELECT id FROM events_log WHERE name = %s) "
            f"AND idempotency_key IN ({marks(some)})",  # nosec B608 # our columns; %s, %s, …
            [log, *some],
        )
        found.update({row[6]: Row(*row) for row in cursor.fetchall()})
    return found
