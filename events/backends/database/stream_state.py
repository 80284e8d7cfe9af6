"""The streams that an append touches, while the head is locked."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.utils import CursorWrapper

from ...types import TERMINAL, Status
from .sql import chunks, marks

# As they are written, and read.
STATE_COLUMNS = (
    "seq, first_position, last_position, last_event_at, status, opened_at, closed_at, idle_timeout"
)


class StreamState:
    """A stream's row, changed here and written with the entries."""

    __slots__ = ("changed", "closed", "first", "idle", "last", "micros", "opened", "seq", "status")

    def __init__(
        self,
        seq: int = 0,
        first: int = 0,
        last: int = 0,
        micros: int = 0,
        status: str | None = None,
        opened: int | None = None,
        closed: int | None = None,
        idle: float | None = None,
    ) -> None:
        self.seq = seq
        self.first = first
        self.last = last
        self.micros = micros
        self.status = status
        self.opened = opened
        self.closed = closed
        self.idle = idle
        self.changed = False

    def advance(self, position: int, micros: int) -> int:
        """Take the next event, and give it its number in this stream."""
        self.seq += 1
        self.first = self.first or position
        self.last = position
        self.micros = micros
        self.changed = True
        return self.seq

    def enter(self, status: Status, idle_timeout: float | None) -> None:
        """Change the status, with the event that was taken last."""
        self.status = status
        if self.opened is None and status == Status.RUNNING:
            self.opened, self.idle = self.micros, idle_timeout
        if status in TERMINAL:
            self.closed = self.micros

    def is_idle(self, now: int) -> bool:
        """Has it been silent for longer than it may?"""
        return (
            self.status == Status.RUNNING
            and self.idle is not None
            and now - self.micros > self.idle * 1_000_000
        )

    def to_row(self) -> tuple[int | float | str | None, ...]:
        return (
            self.seq,
            self.first,
            self.last,
            self.micros,
            self.status,
            self.opened,
            self.closed,
            self.idle,
        )


def stream_states(
    cursor: CursorWrapper, log_id: int, names: Sequence[str]
) -> dict[str, StreamState]:
    found = {}
    for some in chunks(names):
        cursor.execute(
            f"SELECT name, {STATE_COLUMNS} FROM events_stream "
            f"WHERE log_id = %s AND name IN ({marks(some)})",  # nosec B608 # our columns; %s, %s, …
            [log_id, *some],
        )
        found.update({row[0]: StreamState(*row[1:]) for row in cursor.fetchall()})
    return found
