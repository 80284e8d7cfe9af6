"""The picture of a run: its life as a band, and its events over time, one lane for each kind.

Up to DOTS events each is a dot; of more, there are bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...models import Stream
from ...types import from_micros, to_micros
from ..shared.bars import Tick, percent
from ..shared.words import clock, date_and_time, duration, number
from .lanes import BAND, Lane, lane_y, lanes_of_bars, lanes_of_dots
from .phases import Phase, phases
from .timeline import ROWS, STRETCHES, Frame, Point, first, sampled, stretches

DOTS = 500
AXIS = 22


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
