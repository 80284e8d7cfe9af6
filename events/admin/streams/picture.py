"""The picture of a stream: its life as a band, and its events over time.

Up to DOTS events each is a dot, in a lane for each kind; of more, there are bars.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...lifecycle import STEPS
from ...models import Stream
from ...types import TERMINAL, from_micros, to_micros
from ..shared.charts import (
    AXIS,
    BAND,
    Chart,
    Frame,
    Group,
    Key,
    Label,
    Mark,
    bars,
    by_frequency,
    percent,
)
from ..shared.kinds import OTHER, look
from ..shared.scope import Scope
from ..shared.words import date_and_time, duration, number, status_name, to_the_millisecond

DOTS, LANES, LANE = 500, 8, 36
STRETCHES = 60
# Of a longer stream no steps are looked for: its life is drawn as it stands.
ROWS = 2_000


def picture(scope: Scope, stream: Stream, now: int) -> Chart | None:
    """None if nothing of the stream is left to be seen."""
    rows = scope.events(stream.name).order_by("position")
    points: list[Any] = list(rows.values_list("seq", "kind", "timestamp", named=True)[: ROWS + 1])
    if not points:
        return None
    end = to_micros(stream.closed_at) if stream.closed_at else now
    # The life may have begun before what is left to be seen of it.
    start = to_micros(points[0].timestamp)
    frame = Frame(start, max(end, to_micros(stream.last_event_at)) + 1_000)
    life = phases(stream, frame, points if len(points) <= ROWS else [])
    band, width = [group for _key, group in life], frame.end - start
    if len(points) <= DOTS:
        chart = dots(frame, points, band)
    else:
        edges = [start + width * place // STRETCHES for place in range(STRETCHES + 1)]
        stretches = scope.log.backend.stretches(edges, stream.name)
        if stretches is None:
            return None
        chart = bars("timeline", "", stretches, band=band)
    total = ngettext("%(number)s event", "%(number)s events", stream.seq)
    said = {"events": total % {"number": number(stream.seq)}, "duration": duration(width / 1e6)}
    # Each phase once in the legend.
    keys = dict.fromkeys(key for key, _group in life)
    return chart._replace(
        title=_("Events over time"),
        summary=_("%(events)s in %(duration)s.") % said,
        legend=[*keys, *chart.legend],
    )


def dots(frame: Frame, points: Sequence[Any], band: Sequence[Group]) -> Chart:
    """A lane for each of the most frequent kinds; with a ninth, the rest share one."""
    common = by_frequency(Counter(point.kind for point in points))
    lanes = dict(common if len(common) <= LANES + 1 else common[:LANES])
    looks, rest = {kind: look(kind) for kind in lanes}, len(points) - sum(lanes.values())
    if rest:
        # No kind has a space in it.
        lanes[_("other kinds")] = rest
    tops = {name: BAND + 8 + LANE * place for place, name in enumerate(lanes)}
    bottom = BAND + 8 + LANE * len(lanes)
    groups = list(band)
    for point in points:
        x, y = frame.x(to_micros(point.timestamp)), tops.get(point.kind, bottom - LANE) + 25
        mark = Mark(looks.get(point.kind, OTHER), percent(x), str(y))
        groups.append(Group(title(point), [mark]))
    names = [Label("0", tops[name] + 12, f"{name} · {number(lanes[name])}") for name in lanes]
    # Without a table: the events themselves stand below.
    return Chart(
        id="timeline",
        height=bottom + AXIS,
        groups=groups,
        lines=[top + LANE for top in tops.values()],
        labels=[*names, *frame.ticks(bottom + AXIS - 6)],
    )


def title(point: Any) -> str:
    return _("No. %(seq)s: %(kind)s, %(time)s") % {
        "seq": number(point.seq),
        "kind": point.kind,
        "time": to_the_millisecond(point.timestamp),
    }


def phases(stream: Stream, frame: Frame, points: Sequence[Any]) -> list[tuple[Key, Group]]:
    """The stream's life as its own events tell it; of a long stream only how it stands."""
    if stream.opened_at is None and stream.status is None:
        return []
    some = [point for point in points if point.kind in STEPS]
    steps = [(to_micros(step.timestamp), str(STEPS[step.kind].to)) for step in some]
    start = to_micros(stream.opened_at) if stream.opened_at else frame.start
    if not points:
        steps = [(start, "open" if stream.status in TERMINAL else str(stream.status))]
    elif not steps or (steps[0][0] > frame.start and start <= frame.start):
        # The step that led here was pruned.
        steps.insert(0, (frame.start, "running" if steps else str(stream.status)))
    ends = [micros for micros, _status in steps[1:]] + [frame.end]
    found = [
        phase(status, max(begin, frame.start), until, frame)
        for (begin, status), until in zip(steps, ends, strict=True)
        if status not in TERMINAL
    ]
    if stream.status in TERMINAL and stream.closed_at:
        # The picture ends with the stream, so there is just a little of its end.
        found.append(phase(stream.status, to_micros(stream.closed_at), frame.end, frame))
    return found


def phase(status: str, begin: int, until: int, frame: Frame) -> tuple[Key, Group]:
    name = _("open") if status == "open" else status_name(status)
    said = duration((until - begin) / 1_000_000)
    if status in TERMINAL:
        said = date_and_time(from_micros(begin))
    mark = frame.mark(f"events-phase-{status}", begin, until, 4, 14)
    return Key(mark.css, name), Group(f"{name}: {said}", [mark])
