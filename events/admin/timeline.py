"""The picture of a run: its life as a band, and its events over time, one lane for each kind.

Up to DOTS events each is a dot; up to ROWS they are counted into stretches of time; of a longer
stream, a few rows are read at the beginning of each stretch. `seq` is dense within a stream, so
the number of events in a stretch is exact even then, and only their kinds are estimated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connections
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..lifecycle import STEPS
from ..models import Stream
from ..types import TERMINAL, from_micros, to_micros
from .activity import scaled
from .charts import Tick, percent
from .lookups import Lookups
from .words import clock, date_and_time, duration, number, status_name, to_the_millisecond

DOTS = 500
ROWS = 2000
LANES = 8
STRETCHES = 60
# Rows that are read in each stretch of a long stream.
SAMPLE = ROWS // STRETCHES

BAND, LANE, AXIS = 34, 36, 22

COLUMNS = "position, seq, kind, timestamp"


class Point(NamedTuple):
    """An event, as far as the picture needs it."""

    position: int
    seq: int
    kind: str
    micros: int


class Phase(NamedTuple):
    css: str
    name: str
    title: str
    x: str
    width: str


class Mark(NamedTuple):
    """A dot at `x`, or a bar from there on with a width."""

    x: str
    width: str
    y: str
    height: str
    title: str


class Lane(NamedTuple):
    css: str
    name: str
    total: str
    y: int
    label_y: int
    line_y: int
    marks: list[Mark]


class Picture(NamedTuple):
    summary: str
    phases: list[Phase]
    # The phases' names, each once, and their classes.
    legend: dict[str, str]
    lanes: list[Lane]
    ticks: list[Tick]
    dots: bool
    sampled: bool
    band: int
    bottom: int
    height: int


class Stretch(NamedTuple):
    """Of a stream: the number of its events in it, and their kinds."""

    start: int
    total: int
    kinds: Mapping[str, int]


def picture(alias: str, stream: Stream, floor: int, now: int) -> Picture | None:
    """None if nothing of the stream is left to be seen."""
    points = first(alias, stream, floor)
    if not points:
        return None
    end = to_micros(stream.closed_at) if stream.closed_at else now
    end = max(end, to_micros(stream.last_event_at), points[0].micros + 1_000)
    # The life may have begun before what is left to be seen of it.
    frame = Frame(points[0].micros, end)
    if len(points) > ROWS:
        found = sampled(alias, stream, floor, frame)
        return draw(stream, frame, lanes_of_bars(found, frame), [], STRETCHES, sampled=True)
    if len(points) > DOTS:
        lanes = lanes_of_bars(stretches(points, frame), frame)
    else:
        lanes = lanes_of_dots(points, frame)
    return draw(stream, frame, lanes, points, len(points), sampled=False)


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


# Reading


def first(alias: str, stream: Stream, floor: int) -> list[Point]:
    """The oldest rows that can be seen, and one more than a picture of them all may have."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event WHERE log_id = %s AND stream = %s "
            f"AND position > %s ORDER BY position LIMIT {ROWS + 1}",
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
                f"AND stream = %s AND position >= %s ORDER BY position LIMIT {SAMPLE}) AS part"
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


# Drawing


class Row(NamedTuple):
    """A lane to be: its kinds' common name, how many there are, and what is to be seen."""

    css: str
    name: str
    total: int


def rows(totals: Counter[str]) -> dict[str, Row]:
    """By kind. The most frequent have a lane of their own; with a ninth, the rest share one."""
    common = totals.most_common()
    own = common if len(common) <= LANES + 1 else common[:LANES]
    found = {
        kind: Row(f"events-kind-{place}" if place < LANES else "events-kind-other", kind, count)
        for place, (kind, count) in enumerate(own)
    }
    rest = sum(count for kind, count in common if kind not in found)
    other = Row("events-kind-other", _("other kinds"), rest)
    return {kind: found.get(kind, other) for kind, _count in common}


def lanes_of_dots(points: Sequence[Point], frame: Frame) -> list[Lane]:
    where = rows(Counter(point.kind for point in points))
    marks: dict[Row, list[Mark]] = {row: [] for row in where.values()}
    for point in points:
        row = where[point.kind]
        title = _("No. %(seq)s: %(kind)s, %(time)s") % {
            "seq": number(point.seq),
            "kind": point.kind,
            "time": to_the_millisecond(from_micros(point.micros)),
        }
        y = lane_y(list(marks).index(row)) + 25
        marks[row].append(Mark(percent(frame.x(point.micros)), "", str(y), "", title))
    return lanes(marks)


def lanes_of_bars(found: Sequence[Stretch], frame: Frame) -> list[Lane]:
    totals: Counter[str] = Counter()
    for stretch in found:
        totals.update(stretch.kinds)
    where = rows(totals)
    marks: dict[Row, list[Mark]] = {row: [] for row in where.values()}
    counts: dict[tuple[Row, int], int] = Counter()
    for stretch in found:
        for kind, count in stretch.kinds.items():
            counts[where[kind], stretch.start] += count
    most = max(counts.values(), default=1)
    width = 98 / STRETCHES
    for (row, start), count in sorted(counts.items(), key=lambda item: item[0][1]):
        # At least a line of it: one among thousands is to be seen as well.
        height = max(2.0, 20 * count / most)
        y = lane_y(list(marks).index(row)) + 34 - height
        title = _("%(kind)s: %(count)s from %(time)s") % {
            "kind": row.name,
            "count": number(count),
            "time": date_and_time(from_micros(start)),
        }
        marks[row].append(
            Mark(percent(frame.x(start)), percent(width * 0.9), f"{y:.1f}", f"{height:.1f}", title)
        )
    return lanes(marks)


def lanes(marks: Mapping[Row, list[Mark]]) -> list[Lane]:
    return [
        Lane(
            row.css,
            row.name,
            number(row.total),
            lane_y(place),
            lane_y(place) + 12,
            lane_y(place) + LANE,
            found,
        )
        for place, (row, found) in enumerate(marks.items())
    ]


def lane_y(place: int) -> int:
    return BAND + place * LANE


def draw(
    stream: Stream,
    frame: Frame,
    lanes: list[Lane],
    points: Sequence[Point],
    marks: int,
    *,
    sampled: bool,
) -> Picture:
    bottom = lane_y(len(lanes))
    total = ngettext("%(number)s event", "%(number)s events", stream.seq) % {
        "number": number(stream.seq)
    }
    life = phases(stream, frame, points)
    return Picture(
        summary=_("%(events)s in %(duration)s, of %(kinds)s.")
        % {
            "events": total,
            "duration": duration((frame.end - frame.start) / 1_000_000),
            "kinds": ngettext("%(number)s kind", "%(number)s kinds", len(lanes))
            % {"number": len(lanes)},
        },
        phases=life,
        legend={phase.name: phase.css for phase in life},
        lanes=lanes,
        ticks=ticks(frame),
        dots=bool(points) and marks <= DOTS,
        sampled=sampled,
        band=BAND - 8,
        bottom=bottom,
        height=bottom + AXIS,
    )


def phases(stream: Stream, frame: Frame, points: Sequence[Point]) -> list[Phase]:
    """The stream's life as its own events tell it; of a long stream only how it stands."""
    if stream.opened_at is None and stream.status is None:
        return []
    steps = [(p.micros, str(STEPS[p.kind].to)) for p in points if p.kind in STEPS]
    start = to_micros(stream.opened_at) if stream.opened_at else frame.start
    if not points:
        ended = stream.status in TERMINAL
        steps = [(start, "open" if ended else str(stream.status))]
    elif not steps or (steps[0][0] > frame.start and start <= frame.start):
        # The step that led here was pruned.
        before = "running" if steps else str(stream.status)
        steps.insert(0, (frame.start, before))
    ends = [micros for micros, _status in steps[1:]] + [frame.end]
    found = [
        phase(status, max(begin, frame.start), until, frame)
        for (begin, status), until in zip(steps, ends, strict=True)
        if status not in TERMINAL
    ]
    if stream.status in TERMINAL and stream.closed_at:
        found.append(end_of(stream.status, to_micros(stream.closed_at), frame))
    return found


def end_of(status: str, micros: int, frame: Frame) -> Phase:
    """The rest of the band; the picture ends with the stream, so there is just a little of it."""
    name = status_name(status)
    title = f"{name}: {date_and_time(from_micros(micros))}"
    x = frame.x(micros)
    return Phase(f"events-phase-{status}", name, title, percent(x), percent(100 - x))


def phase(status: str, begin: int, until: int, frame: Frame) -> Phase:
    name = _("open") if status == "open" else status_name(status)
    title = f"{name}: {duration((until - begin) / 1_000_000)}"
    x, end = frame.x(begin), frame.x(until)
    return Phase(f"events-phase-{status}", name, title, percent(x), percent(max(end - x, 0.2)))


TICKS = 4


def ticks(frame: Frame) -> list[Tick]:
    """Times along the axis; with seconds in a short run, with the date in a long one."""
    made = []
    for place in range(TICKS):
        micros = frame.start + (frame.end - frame.start) * place // TICKS
        x = 1 + 98 * place / TICKS
        made.append(
            Tick(percent(x), tick(micros, frame.end - frame.start), "middle" if place else "start")
        )
    return made


def tick(micros: int, width: int) -> str:
    moment: datetime = from_micros(micros)
    if width > 86_400_000_000:
        return date_and_time(moment).split()[0]
    if width > 3_600_000_000:
        return clock(moment)
    return date_and_time(moment).split()[1]
