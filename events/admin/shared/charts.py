"""Events over time: where each bar, dot and label is, and its colour. A template makes it an SVG.

Across, everything is in per cent, and up, in pixels: the picture is as wide as its place, and its
letters keep their size. Colours are classes, so that the style sheet can follow the theme.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count as numbers
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...backends.figures import Stretch
from ...types import from_micros
from .kinds import OTHER, look
from .words import date_and_time, estimated, number

HOUR, DAY = 3_600_000_000, 86_400_000_000

# Kinds with bars of their own; the rest are one colour together.
KINDS = 8

# In pixels: what is above the bars, the bars, what is below them, and a band above all that.
TOP, HEIGHT, AXIS, BAND = 18, 150, 22, 26


class Mark(NamedTuple):
    """A rectangle; or a dot, if it has no width."""

    css: str
    x: str
    y: str
    width: str = ""
    height: str = ""


class Group(NamedTuple):
    """Marks that mean something together, and what."""

    title: str
    marks: list[Mark]


class Label(NamedTuple):
    x: str
    y: int
    text: str
    anchor: str = "start"


class Key(NamedTuple):
    """A line of the legend, and of the table of kinds."""

    css: str
    name: str
    total: str = ""


class Chart(NamedTuple):
    id: str
    height: int
    groups: list[Group]
    # Of the grid.
    lines: list[int]
    labels: list[Label]
    title: str = ""
    summary: str = ""
    legend: Sequence[Key] = ()
    # What happened when, for who cannot see it.
    table: Sequence[tuple[str, str, str]] = ()
    estimated: bool = False


class Frame(NamedTuple):
    """The time that a picture shows."""

    start: int
    end: int

    def x(self, micros: int) -> float:
        # Not to the very edges, where half of a dot would be missing.
        part = (micros - self.start) / (self.end - self.start)
        return 1 + 98 * min(max(part, 0), 1)

    def mark(self, css: str, start: int, end: int, y: float, height: float) -> Mark:
        x = self.x(start)
        width = max(self.x(end) - x, 0.2)
        return Mark(css, percent(x), f"{y:.1f}", percent(width), f"{height:.1f}")

    def ticks(self, y: int) -> Iterator[Label]:
        """With seconds in a short time, with the date in a long one."""
        width = self.end - self.start
        ticks = 4 if width > DAY else 6
        for place in range(ticks):
            micros = self.start + width * place // ticks
            date, time = date_and_time(from_micros(micros)).split()
            text = date if width > DAY else time[:5] if width >= HOUR else time
            yield Label(percent(self.x(micros)), y, text, "middle" if place else "start")


def bars(
    id: str,
    title: str,
    stretches: Sequence[Stretch],
    *,
    band: Sequence[Group] = (),
    has_holes: bool = False,
) -> Chart:
    """A bar for each stretch, in the colours of its kinds. In a log with holes an estimate is also of
    the total."""
    frame = Frame(stretches[0].start, stretches[-1].end)
    totals, most = sum_of(stretches), max(one.total for one in stretches)
    kinds = [kind for kind, _count in by_frequency(totals)[:KINDS]]
    sampled = any(stretch.estimated for stretch in stretches)
    bottom, scale = TOP + HEIGHT + (BAND if band else 0), nice(most)
    grid = {round(bottom - HEIGHT * part): number(int(scale * part)) for part in (0.5, 1)}
    rows = [
        (when(one, frame), estimated(one.total, one.estimated and has_holes), told(one))
        for one in stretches
    ]
    drawn = [
        Group("{}: {} ({})".format(*row).removesuffix(" ()"), bar(frame, one, kinds, bottom, scale))
        for one, row in zip(stretches, rows, strict=True)
    ]
    return Chart(
        id=id,
        title=title,
        summary=summary(stretches, most, sampled and has_holes),
        height=bottom + AXIS,
        groups=[*band, *drawn],
        lines=[*grid, bottom],
        labels=[Label("0", y - 4, text) for y, text in grid.items()]
        + list(frame.ticks(bottom + AXIS - 6)),
        legend=legend(totals, kinds, sampled),
        table=[row for one, row in zip(stretches, rows, strict=True) if one.total],
        estimated=sampled,
    )


def summary(stretches: Sequence[Stretch], most: int, is_estimate: bool) -> str:
    total = sum(one.total for one in stretches)
    events = ngettext("%(total)s event", "%(total)s events", total)
    return _("%(events)s; at most %(most)s in a bar.") % {
        "events": events % {"total": estimated(total, is_estimate)},
        "most": estimated(most, is_estimate),
    }


def sum_of(stretches: Sequence[Stretch]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for stretch in stretches:
        totals.update(stretch.kinds)
    return totals


def by_frequency(totals: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent kinds first, and in the same order each time."""
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))


def bar(frame: Frame, one: Stretch, kinds: Sequence[str], bottom: int, scale: int) -> list[Mark]:
    """A place to point at that is as high as the picture, and the parts of a bar."""
    gap = (one.end - one.start) // 10
    counts = [(look(kind), one.kinds.get(kind, 0)) for kind in kinds]
    # Without a sample (the entries went meanwhile) the total is all that is known.
    counts.append((OTHER, one.total - sum(count for _css, count in counts)))
    marks = [frame.mark("events-hit", one.start, one.end, bottom - HEIGHT, HEIGHT)]
    y = float(bottom)
    for css, count in counts:
        if count > 0:
            height = HEIGHT * count / scale
            y -= height
            marks.append(frame.mark(css, one.start + gap, one.end - gap, y, height))
    return marks


def nice(most: int) -> int:
    """The top of the scale, half of which is a whole number as well."""
    tops: Iterator[int] = (step * 10**power for power in numbers() for step in (2, 4, 6, 10))
    return next(top for top in tops if most <= top)


def legend(totals: Mapping[str, int], kinds: Sequence[str], sampled: bool) -> list[Key]:
    keys = [Key(look(kind), kind, estimated(totals[kind], sampled)) for kind in kinds]
    rest = sum(count for kind, count in totals.items() if kind not in kinds)
    return keys + [Key(OTHER, _("other kinds"), estimated(rest, sampled))] * bool(rest)


def when(stretch: Stretch, frame: Frame) -> str:
    """With seconds where there are some, and with the date where a picture shows several."""
    start, end = (date_and_time(from_micros(micros)) for micros in (stretch.start, stretch.end))
    cut = 16 if not (stretch.start % 60_000_000 or stretch.end % 60_000_000) else 19
    if frame.end - frame.start > DAY:
        return f"{start[:cut]}–{end[:cut]}"
    return f"{start[11:cut]}–{end[11:cut]}"


def told(stretch: Stretch) -> str:
    """The kinds in a stretch, most frequent first."""
    found = by_frequency(stretch.kinds)[: KINDS + 1]
    shown = [f"{kind} {estimated(count, stretch.estimated)}" for kind, count in found]
    return ", ".join(shown + ["…"] * (len(stretch.kinds) > KINDS + 1))


def percent(value: float) -> str:
    return f"{value:.3f}%"
