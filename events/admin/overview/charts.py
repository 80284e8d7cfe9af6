"""A chart of stacked bars: where each bar is, and its colour. A template makes it an SVG.

Across, everything is in per cent, and up, in pixels: the picture is as wide as its place, and its
letters keep their size. Colours are classes, so that the style sheet can follow the theme.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..shared.bars import Tick, percent
from ..shared.kinds import OTHER, look
from ..shared.words import clock, number
from .activity import Span, Stretch

# Kinds with a colour of their own; the rest are one colour together.
KINDS = 7

TOP, HEIGHT, AXIS = 18, 150, 22
TICKS = 6


class Part(NamedTuple):
    """Of a bar."""

    css: str
    y: str
    height: str


class Bar(NamedTuple):
    x: str
    width: str
    hit: str
    hit_width: str
    when: str
    what: str
    total: int
    parts: list[Part]


class Line(NamedTuple):
    """Of the grid, with what it stands for."""

    y: int
    label: str


class Key(NamedTuple):
    """A line of the legend."""

    css: str
    name: str
    total: str


class Chart(NamedTuple):
    id: str
    title: str
    summary: str
    bars: list[Bar]
    lines: list[Line]
    ticks: list[Tick]
    legend: list[Key]
    sampled: bool
    top: int
    plot: int
    bottom: int
    height: int


def palette(stretches: Sequence[Stretch]) -> dict[str, str]:
    """The most frequent kinds and their classes."""
    totals: Counter[str] = Counter()
    for stretch in stretches:
        totals.update(stretch.kinds)
    return {kind: look(kind) for kind, _ in totals.most_common(KINDS)}


def chart(
    id: str, title: str, span: Span, stretches: Sequence[Stretch], colours: dict[str, str]
) -> Chart:
    total = sum(stretch.total for stretch in stretches)
    most = max(stretch.total for stretch in stretches)
    top = nice(most)
    return Chart(
        id=id,
        title=title,
        summary=summary(total, most),
        bars=list(bars(stretches, colours, top)),
        lines=[
            Line(round(TOP + HEIGHT * (1 - part)), number(int(top * part))) for part in (0.5, 1)
        ],
        ticks=list(ticks(stretches)),
        legend=legend(stretches, colours),
        sampled=any(stretch.sampled for stretch in stretches),
        top=TOP,
        plot=HEIGHT,
        bottom=TOP + HEIGHT,
        height=TOP + HEIGHT + AXIS,
    )


def summary(total: int, most: int) -> str:
    events = ngettext("%(total)s event", "%(total)s events", total) % {"total": number(total)}
    return _("%(events)s; at most %(most)s in a bar.") % {"events": events, "most": number(most)}


def nice(most: int) -> int:
    """The top of the scale, half of which is a whole number as well."""
    power = 1
    while True:
        for step in (2, 4, 6, 10):
            if most <= step * power:
                return step * power
        power *= 10


def bars(stretches: Sequence[Stretch], colours: dict[str, str], top: int) -> Iterator[Bar]:
    width = 100 / len(stretches)
    for place, stretch in enumerate(stretches):
        when = f"{clock(stretch.start)}–{clock(stretch.end)}"
        yield Bar(
            x=percent((place + 0.1) * width),
            width=percent(width * 0.8),
            hit=percent(place * width),
            hit_width=percent(width),
            when=when,
            what=told(stretch),
            total=stretch.total,
            parts=list(parts(stretch, colours, top)),
        )


def parts(stretch: Stretch, colours: dict[str, str], top: int) -> Iterator[Part]:
    counts: Counter[str] = Counter()
    for kind, count in stretch.kinds.items():
        counts[kind if kind in colours else ""] += count
    # Without a sample (the entries went meanwhile) the total is all that is known.
    counts[""] += stretch.total - counts.total()
    below = 0
    for kind in (*colours, ""):
        if counts[kind]:
            y, bottom = (TOP + HEIGHT * (1 - at / top) for at in (below + counts[kind], below))
            yield Part(colours.get(kind, OTHER), f"{y:.1f}", f"{bottom - y:.1f}")
            below += counts[kind]


def told(stretch: Stretch) -> str:
    """The kinds in a stretch, most frequent first."""
    found = sorted(stretch.kinds.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{kind} {number(count)}" for kind, count in found[: KINDS + 1])
    if len(found) > KINDS + 1:
        shown += ", …"
    return _("about %(kinds)s") % {"kinds": shown} if stretch.sampled and shown else shown


def ticks(stretches: Sequence[Stretch]) -> Iterator[Tick]:
    every = len(stretches) // TICKS
    for place in range(0, len(stretches), every):
        anchor = "middle" if place else "start"
        yield Tick(percent(place * 100 / len(stretches)), clock(stretches[place].start), anchor)


def legend(stretches: Sequence[Stretch], colours: dict[str, str]) -> list[Key]:
    totals: Counter[str] = Counter()
    for stretch in stretches:
        totals.update(stretch.kinds)
    keys = [Key(css, kind, number(totals[kind])) for kind, css in colours.items() if totals[kind]]
    rest = sum(count for kind, count in totals.items() if kind not in colours)
    if rest:
        keys.append(Key(OTHER, _("other kinds"), number(rest)))
    return keys
