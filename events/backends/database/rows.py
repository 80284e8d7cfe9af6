"""The rows behind a log: entries by their keys, streams as writers and as readers see them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeVar

from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from ...models import Stream
from ...types import TERMINAL, Row, Status, StreamInfo, to_micros
from ..clock import SKEW

T = TypeVar("T")

# In the order of a Row's fields.
ROW_COLUMNS = "position, kind, stream, seq, timestamp, payload, idempotency_key, context"
# In the order of `to_row`.
STATE_COLUMNS = (
    "seq, first_position, last_position, last_event_at, status, opened_at, closed_at, idle_timeout"
)

LOG_ID = "(SELECT id FROM events_log WHERE name = %(log)s)"


# Values in one IN (…): fewer than any database's limit.
LIST = 500


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), LIST):
        yield values[start : start + LIST]


def marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


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


@dataclass(slots=True)
class StreamState:
    """A stream's row, changed here and written with the entries."""

    seq: int = 0
    first: int = 0
    last: int = 0
    micros: int = 0
    status: str | None = None
    opened: int | None = None
    closed: int | None = None
    idle: float | None = None
    changed: bool = False

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

    def come_back(self, now: int) -> None:
        """What was last heard of in the future was heard of now: from now on it may be silent for
        as long as it may."""
        if self.micros - now > SKEW:
            self.micros, self.changed = now, True


to_row = attrgetter("seq", "first", "last", "micros", "status", "opened", "closed", "idle")


def state_of(info: StreamInfo, idle_timeout: float | None) -> StreamState:
    """A stream that is taken over from another log."""
    opened, closed = (
        None if at is None else to_micros(at) for at in (info.opened_at, info.closed_at)
    )
    return StreamState(
        info.seq,
        info.first_position,
        info.last_position,
        to_micros(info.last_event_at),
        info.status,
        opened,
        closed,
        None if opened is None else idle_timeout,
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


def find_streams(streams: QuerySet[Stream], names: Sequence[str]) -> dict[str, StreamInfo]:
    return {
        stream.name: stream_info(stream)
        for some in chunks(names)
        for stream in streams.filter(name__in=some)
    }


def idle_streams(streams: QuerySet[Stream], now: int) -> list[str]:
    """The names of streams that seem to have been silent for longer than they may, or to have been
    heard of in the future."""
    alive = streams.filter(status=Status.RUNNING, idle_timeout__isnull=False)
    where = "last_event_at + idle_timeout * 1000000 < %s OR last_event_at > %s"
    silent = alive.extra(where=[where], params=[now, now + SKEW])  # nosec B610 # our own words
    return list(silent.order_by("last_position").values_list("name", flat=True))


def recent_streams(
    streams: QuerySet[Stream],
    limit: int,
    before: int | None = None,
    after: int | None = None,
    status: Status | None = None,
) -> list[StreamInfo]:
    """The most recently active first; see `BaseBackend.streams`."""
    if status is not None:
        streams = streams.filter(status=status)
    if after is not None:
        nearest = streams.filter(last_position__gt=after).order_by("last_position")[:limit]
        return [stream_info(stream) for stream in reversed(nearest)]
    if before is not None:
        streams = streams.filter(last_position__lt=before)
    return [stream_info(stream) for stream in streams.order_by("-last_position")[:limit]]


def stream_info(stream: Stream) -> StreamInfo:
    return StreamInfo(
        stream.name,
        Status(stream.status) if stream.status else None,
        stream.seq,
        stream.first_position,
        stream.last_position,
        stream.opened_at,
        stream.closed_at,
        stream.last_event_at,
    )
