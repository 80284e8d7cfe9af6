"""The life of a stream as a band: when it ran, when it waited, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _

from ...lifecycle import STEPS
from ...models import Stream
from ...types import TERMINAL, from_micros, to_micros
from ..shared.bars import percent
from ..shared.words import date_and_time, duration, status_name
from .timeline import Frame, Point


class Phase(NamedTuple):
    css: str
    name: str
    title: str
    x: str
    width: str


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
