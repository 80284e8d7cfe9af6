"""How busy a log was, from look-ups alone: nothing here grows with the log.

Positions are dense and in the order of time, so the events between two moments are a difference
of positions, and the position at a moment is one look-up by the index on time. Deleted streams
leave holes, so that a number may be a little high. There is no index on kind, on purpose; the
kinds in a stretch are told from a sample of its positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from ...types import from_micros
from ..shared.bars import scaled
from ..shared.lookups import Lookups

MINUTE = 60_000_000

# Rows that are looked at for the kinds in one stretch.
SAMPLE = 50

AT = (
    "SELECT position FROM events_event WHERE log_id = %s AND timestamp < %s "
    "ORDER BY timestamp DESC, position DESC LIMIT 1"
)


class Span(NamedTuple):
    """A number of stretches of equal length, the last of which is still going on."""

    name: str
    width: int
    number: int

    def edges(self, now: int) -> list[int]:
        last = now - now % self.width + self.width
        return [last - self.width * back for back in range(self.number, -1, -1)]


HOUR = Span("hour", MINUTE, 60)
DAY = Span("day", 30 * MINUTE, 48)


class Stretch(NamedTuple):
    """The events from `start` to before `end`. `kinds` is estimated if it is `sampled`."""

    start: datetime
    end: datetime
    total: int
    kinds: Mapping[str, int]
    sampled: bool


def ask(asked: Lookups, log_id: int, span: Span, now: int) -> None:
    for edge in span.edges(now):
        asked.ask((log_id, "before", edge), AT, log_id, edge)


def positions(
    found: Mapping[Hashable, int | None], log_id: int, span: Span, now: int, floor: int
) -> list[int]:
    """The last position before each edge; what is at or below the floor is nobody's to see."""
    return [max(floor, found[log_id, "before", edge] or 0) for edge in span.edges(now)]


def sample(after: int, upto: int) -> list[int]:
    """The positions to look at, of those after one and up to another: all, or evenly chosen."""
    total = upto - after
    if total <= SAMPLE:
        return list(range(after + 1, upto + 1))
    # From the middle of each of so many equal parts.
    return [after + 1 + (2 * part + 1) * total // (2 * SAMPLE) for part in range(SAMPLE)]


def stretches(
    span: Span, now: int, positions: Sequence[int], kinds: Mapping[int, str]
) -> list[Stretch]:
    """What happened in each stretch; `kinds` by the positions that were looked at."""
    edges = [from_micros(edge) for edge in span.edges(now)]
    made = []
    for number in range(span.number):
        after, upto = positions[number], positions[number + 1]
        seen = Counter(kinds[one] for one in sample(after, upto) if one in kinds)
        total = upto - after
        made.append(
            Stretch(
                edges[number],
                edges[number + 1],
                total if total > SAMPLE else seen.total(),
                scaled(seen, total) if total > SAMPLE else seen,
                total > SAMPLE,
            )
        )
    return made
