"""The streams that an append touches, while the head is locked."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper

from .sql import chunks, marks


class StreamState:
    """A stream's row, changed here and written with the entries; `last` is 0 until it changes."""

    __slots__ = ("first", "last", "micros", "seq", "status")

    def __init__(self, seq: int = 0, first: int = 0, status: str | None = None) -> None:
        self.seq = seq
        self.first = first
        self.status = status
        self.last = 0
        self.micros = 0

    def advance(self, position: int, micros: int) -> int:
        """Take the next event, and give it its number in this stream."""
        self.seq += 1
        self.first = self.first or position
        self.last = position
        self.micros = micros
        return self.seq


def stream_states(
    cursor: CursorWrapper, log_id: int, names: Sequence[str]
) -> dict[str, StreamState]:
    found = {}
    for some in chunks(names):
        cursor.execute(
            "SELECT name, seq, first_position, status FROM events_stream "
            f"WHERE log_id = %s AND name IN ({marks(some)})",
            [log_id, *some],
        )
        found.update({row[0]: StreamState(*row[1:]) for row in cursor.fetchall()})
    return found
