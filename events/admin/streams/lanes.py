"""The lanes of a picture: one for each kind, with its events as dots or as bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _

from ...types import from_micros
from ..shared.bars import percent
from ..shared.kinds import OTHER, look
from ..shared.words import date_and_time, number, to_the_millisecond
from .timeline import STRETCHES, Frame, Point, Stretch

LANES = 8

# In pixels: what is above the lanes, and each of them.
BAND, LANE = 34, 36


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


class Row(NamedTuple):
    """A lane to be: its kinds' common name, how many there are, and what is to be seen."""

    css: str
    name: str
    total: int


def rows(totals: Counter[str]) -> dict[str, Row]:
    """By kind. The most frequent have a lane of their own; with a ninth, the rest share one."""
    common = totals.most_common()
    own = common if len(common) <= LANES + 1 else common[:LANES]
    found = {kind: Row(look(kind), kind, count) for kind, count in own}
    rest = sum(count for kind, count in common if kind not in found)
    other = Row(OTHER, _("other kinds"), rest)
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
