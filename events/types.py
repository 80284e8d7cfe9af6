"""The values that come out of a log. Frozen, and free of Django models."""

import json
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Self

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Microseconds: the times that a calendar has, from the year 1 to the end of 9999.
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999

# `json.loads` without its search for white space around the text: half of the time.
_parse = json.JSONDecoder().raw_decode


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of a stored timestamp.

    Exact: `datetime.fromtimestamp(micros / 1e6)` goes through a float and is off by one
    now and then. What no calendar has, as in a row that was damaged by hand, is its first or last.
    """
    try:
        # By place: named, they take twice as long.
        return UNIX_EPOCH + timedelta(0, 0, micros)
    except OverflowError:
        return UNIX_EPOCH + timedelta(microseconds=min(max(micros, FIRST), LAST))


def to_micros(moment: datetime) -> int:
    return (moment - UNIX_EPOCH) // timedelta(microseconds=1)


def wire_time(moment: datetime) -> str:
    """`2026-11-20T10:00:00.123456Z`: always UTC, always six digits."""
    return wire_micros(to_micros(moment))


def wire_micros(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    return f"{_wire_second(seconds)}.{rest:06}Z"


# The entries of a page share their seconds, and the date is what is dear.
@lru_cache(maxsize=256)
def _wire_second(seconds: int) -> str:
    return (UNIX_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def new_epoch() -> str:
    """A new identity for a log whose positions start anew."""
    return secrets.token_hex(8)


class Row(NamedTuple):
    """An entry as the store keeps it: the timestamp in microseconds, the payload as JSON text.

    Readers that only pass an entry on (HTTP, WebSocket, export) encode a row without ever
    parsing the payload. `seq` is 0 for an entry in no stream, `position` for a receipt.
    """

    position: int
    kind: str
    stream: str
    seq: int
    micros: int
    text: str
    key: str | None
    context: str | None = None


class _OfRow:
    """Has, beside its own fields, the row from which those that are not there yet are read."""

    __slots__ = ("_row",)


@dataclass(frozen=True, slots=True)
class Entry(_OfRow):
    """One event with its place in the log.

    An emit inside a transaction answers with a receipt: an entry whose `position` and `seq`
    are None, because nobody knows them before the commit. `seq` is also None for an entry
    in no stream.
    """

    position: int | None
    kind: str
    stream: str
    seq: int | None
    timestamp: datetime
    payload: dict[str, Any]
    key: str | None = None
    # Who and why: see `events.context`. Not shown to readers either.
    context: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Row) -> Self:
        position, kind, stream, seq, micros, text, key, context = row
        return cls(
            position or None,
            kind,
            stream,
            seq or None,
            from_micros(micros),
            _parse(text)[0],
            key,
            _parse(context)[0] if context else {},
        )

    @classmethod
    def lazy(cls, row: Row) -> Self:
        """The same, but the payload is parsed when it is asked for, and the other fields are there
        when the first of them is: what nobody looks at takes no time."""
        entry = cls.__new__(cls)
        _set_row(entry, row)
        return entry

    @classmethod
    def lazy_list(cls, rows: Sequence[Row]) -> list[Self]:
        entries = list(map(cls.__new__, repeat(cls, len(rows))))
        # A loop would take twice as long.
        deque(map(_set_row, entries, rows), maxlen=0)
        return entries

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """For a field that is not there yet, or no field at all."""
            if name not in _SETTERS:
                raise AttributeError(f"an entry has no {name!r}", name=name, obj=self)
            _fill(self, self._row, name == "payload")
            return getattr(self, name)

    def to_dict(self) -> dict[str, Any]:
        """The wire form. The key is the writer's business and is not shown to readers."""
        return {
            "position": self.position,
            "kind": self.kind,
            "stream": self.stream,
            "seq": self.seq,
            "timestamp": wire_time(self.timestamp),
            "payload": self.payload,
        }


_set_row = _OfRow.__dict__["_row"].__set__
_SETTERS = {one.name: Entry.__dict__[one.name].__set__ for one in fields(Entry)}
_set_payload = _SETTERS["payload"]
_set_others = [setter for name, setter in _SETTERS.items() if name != "payload"]


def _fill(entry: Entry, row: Row, with_payload: bool) -> None:
    """Entries are frozen; past that, as `__init__` does."""
    if with_payload:
        _set_payload(entry, _parse(row.text)[0])
        return
    position, kind, stream, seq, micros, _, key, context = row
    moment, by = from_micros(micros), _parse(context)[0] if context else {}
    values = (position or None, kind, stream, seq or None, moment, key, by)
    for set_field, value in zip(_set_others, values, strict=True):
        set_field(entry, value)


@dataclass(frozen=True, slots=True)
class Gap:
    """What a reader missed, and why: `pruned`, `ahead` (of the head), `epoch` or `unreadable`."""

    reason: str
    requested: int
    first_available: int
    lost: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the log. `cursor` is the last position looked at: pass it as `since` next."""

    entries: list[Entry]
    cursor: int
    head: int
    epoch: str
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class LogInfo:
    """Where a log stands. Entries from `floor` + 1 to `head` can be read; `count` of them are there."""

    name: str
    epoch: str
    head: int
    floor: int
    count: int


class Status(StrEnum):
    """Where a stream that was opened stands in its life."""

    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


TERMINAL = (Status.COMPLETED, Status.FAILED, Status.STOPPED)


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream as it stands. `status` is None for one that was never opened."""

    stream: str
    status: Status | None
    seq: int
    first_position: int
    last_position: int
    opened_at: datetime | None
    closed_at: datetime | None
    last_event_at: datetime

    def to_dict(self) -> dict[str, Any]:
        return {
            name: wire_time(value) if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }
