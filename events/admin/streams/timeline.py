"""What happened in a stream, and when: read at a cost that does not grow with it.

Up to ROWS events are read as they are. Of a longer stream, a few rows are read at the beginning
of each stretch of time. `seq` is dense within a stream, so the number of events in a stretch is
exact even then, and only their kinds are estimated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.db import connections

from ...lifecycle import STEPS
from ...models import Stream
from ..shared.bars import scaled
from ..shared.lookups import Lookups

ROWS = 2000
STRETCHES = 60
# Rows that are read in each stretch of a long stream.
SAMPLE = ROWS // STRETCHES

COLUMNS = "position, seq, kind, timestamp"


class Point(NamedTuple):
    """An event, as far as the picture needs it."""

    position: int
    seq: int
    kind: str
    micros: int


class Stretch(NamedTuple):
    """Of a stream: the number of its events in it, and their kinds."""

    start: int
    total: int
    kinds: Mapping[str, int]


class Frame(NamedTuple):
    """The time that the picture shows."""

    start: int
    end: int

    def x(self, micros: int) -> float:
        # Not to the very edges, where half of a dot would be missing.
        part = (micros - self.start) / (self.end - self.start)
        return 1 + 98 * min(max(part, 0), 1)

    @property
    def edges(self) -> list[int]:
        width = self.end - self.start
        return [self.start + width * place // STRETCHES for place in range(STRETCHES)]


def first(alias: str, stream: Stream, floor: int) -> list[Point]:
    """The oldest rows that can be seen, and one more than a picture of them all may have."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event WHERE log_id = %s AND stream = %s "
            f"AND position > %s ORDER BY position LIMIT {ROWS + 1}",  # nosec B608 # our own columns
            [stream.log_id, stream.name, floor],
        )
        return [Point(*row) for row in cursor.fetchall()]


def sampled(alias: str, stream: Stream, floor: int, frame: Frame) -> list[Stretch]:
    """The stretches of a long stream, from two statements."""
    edges = frame.edges
    asked = Lookups()
    for edge in edges:
        asked.ask(
            edge,
            "SELECT position FROM events_event WHERE log_id = %s AND timestamp >= %s "
            "ORDER BY timestamp, position LIMIT 1",
            stream.log_id,
            edge,
        )
    found = asked.answers(alias)
    parts, values = [], []
    for place, edge in enumerate(edges):
        start = found[edge]
        if start is not None:
            parts.append(
                f"SELECT * FROM (SELECT {place}, {COLUMNS} FROM events_event WHERE log_id = %s "
                f"AND stream = %s AND position >= %s ORDER BY position LIMIT {SAMPLE}) AS part"  # nosec B608 # our own columns
            )
            values += [stream.log_id, stream.name, max(floor + 1, start)]
    read: dict[int, list[Point]] = defaultdict(list)
    with connections[alias].cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        for place, *row in cursor.fetchall():
            read[place].append(Point(*row))
    return list(counted(edges, read, stream.seq))


def counted(edges: Sequence[int], read: Mapping[int, list[Point]], last: int) -> list[Stretch]:
    """From the first seq of each stretch to that of the next."""
    starts = [
        min((p.seq for p in read.get(place, [])), default=last + 1) for place in range(len(edges))
    ]
    made = []
    for place, edge in enumerate(edges):
        until = starts[place + 1] if place + 1 < len(starts) else last + 1
        total = max(0, until - starts[place])
        seen = Counter(p.kind for p in read.get(place, []) if p.seq < until)
        # A step is taken once; it does not stand for others that were not looked at.
        steps = {kind: seen.pop(kind) for kind in STEPS if kind in seen}
        rest = scaled(seen, total - sum(steps.values())) if total else {}
        made.append(Stretch(edge, total, {**steps, **rest}))
    return made


def stretches(points: Sequence[Point], frame: Frame) -> list[Stretch]:
    kinds: list[Counter[str]] = [Counter() for _ in range(STRETCHES)]
    for point in points:
        place = (point.micros - frame.start) * STRETCHES // (frame.end - frame.start)
        kinds[min(max(place, 0), STRETCHES - 1)][point.kind] += 1
    return [
        Stretch(edge, seen.total(), seen) for edge, seen in zip(frame.edges, kinds, strict=True)
    ]
