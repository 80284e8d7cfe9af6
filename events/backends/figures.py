"""What a backend that counts tells of its log, beyond `LogInfo`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

# Counts of rows that should be few stop here: beyond it, "more than a thousand" is all one needs.
BOUND = 1_000

# Seconds beyond its idle timeout after which somebody ought to have failed a stream: a few rounds
# of `reconcile_streams --loop 10`.
GRACE = 30


class Moment(NamedTuple):
    """Where an entry is, and when it came."""

    position: int
    time: datetime


class SetAside(NamedTuple):
    """An outbox row that could not become an entry, and why."""

    id: int
    kind: str
    stream: str
    reason: str


class Stretch(NamedTuple):
    """The events from `start` to before `end`, in microseconds since 1970. Where there are too many
    to count, `kinds` is `estimated` from a sample, and so is the total of a log with holes."""

    start: int
    end: int
    total: int
    kinds: Mapping[str, int]
    estimated: bool = False


@dataclass
class Figures:
    """How a log stands. No number needs more than a look-up or a count up to BOUND."""

    # Microseconds by the log's clock, or by the machine's if that cannot be right.
    now: int
    head: int = 0
    # The effective one, and what is still stored below it.
    floor: int = 0
    expired: int = 0
    count: int = 0
    # Of those, how many are beyond MAX_ENTRIES.
    beyond: int = 0
    # Were streams deleted? Then the difference of two positions counts their holes as well.
    has_holes: bool = False
    oldest: Moment | None = None
    newest: Moment | None = None
    # Seconds since the oldest stored entry, expired or not.
    oldest_age: float = 0
    # Committed events that wait for their position, the first of them, and those set aside.
    pending: int = 0
    first_pending: int | None = None
    # Seconds since the first of them was emitted.
    pending_age: float = 0
    refused: int = 0
    set_aside: list[SetAside] = field(default_factory=list)
    running: int = 0
    waiting: int = 0
    # Running streams that are past their idle timeout by more than GRACE.
    idle: int = 0
    deletions: int = 0
    # The time of the newest event, in microseconds, if that is in the future.
    ahead: int = 0
