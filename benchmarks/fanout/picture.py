"""The results as an SVG: bars on a panel for each measurement, readable in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, MARGIN = 860, 28
LABEL, VALUE = 190, 200  # beside a bar: who, and how much
ROW, BAR = 26, 16
HEAD, TITLE, GAP = 74, 30, 20


@dataclass(frozen=True)
class Bar:
    label: str
    deliveries: float  # a second
    cpu: float  # microseconds a delivery
    ours: bool


@dataclass(frozen=True)
class Panel:
    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        return TITLE + ROW * len(self.bars) + GAP


Panels = list[Panel]

STYLE = """
    svg { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
    .paper { fill: #ffffff; stroke: #d8dee4; }
    text { fill: #1f2328; }
    .quiet { fill: #59636e; }
    .number { font-variant-numeric: tabular-nums; }
    .head { font-size: 18px; font-weight: 600; }
    .title { font-size: 14px; font-weight: 600; }
    .ours { font-weight: 600; }
    .track { fill: #eff2f5; }
    .bar { fill: #8c959f; }
    .bar.ours { fill: #0969da; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; stroke: #3d444d; }
      text { fill: #f0f6fc; }
      .quiet { fill: #9198a1; }
      .track { fill: #1c2129; }
      .bar { fill: #656c76; }
      .bar.ours { fill: #4493f8; }
    }
"""


def draw(panels: Sequence[Panel]) -> str:
    """The picture. Each panel has a scale of its own, from nothing to its longest bar."""
    parts: list[str] = []
    y = HEAD
    for panel in panels:
        parts.append(of_panel(panel, y))
        y += panel.height
    height = y + 4
    told = "; ".join(
        f"{panel.title}: " + ", ".join(f"{bar.label} {told_of(bar)}" for bar in panel.bars)
        for panel in panels
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" \
viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="name told">
  <title id="name">Deliveries a second</title>
  <desc id="told">{escape(told)}</desc>
  <style>{STYLE}  </style>
  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>
  <text class="head" x="{MARGIN}" y="36">Deliveries a second</text>
  <text class="quiet" x="{MARGIN}" y="56">and microseconds of the server's processor for each; \
one server process, more is better</text>
{"".join(parts)}</svg>
"""


def of_panel(panel: Panel, y: int) -> str:
    longest = max((bar.deliveries for bar in panel.bars), default=1.0)
    title = panel.title[:1].upper() + panel.title[1:]
    rows = "".join(
        of_bar(bar, y + TITLE + ROW * index, bar.deliveries / longest)
        for index, bar in enumerate(panel.bars)
    )
    return f'  <text class="title" x="{MARGIN}" y="{y + 18}">{escape(title)}</text>\n{rows}'


def of_bar(bar: Bar, y: int, share: float) -> str:
    left, room = MARGIN + LABEL, WIDTH - 2 * MARGIN - LABEL - VALUE
    line = y + BAR - 3
    ours = " ours" if bar.ours else ""
    return f"""  <text class="{ours.strip() or "quiet"}" x="{MARGIN}" y="{line}">{escape(bar.label)}</text>
  <rect class="track" x="{left}" y="{y}" width="{room}" height="{BAR}" rx="3"/>
  <rect class="bar{ours}" x="{left}" y="{y}" width="{max(share * room, 2):.1f}" height="{BAR}" rx="3"/>
  <text class="number{ours}" x="{left + room + 12}" y="{line}">{told_of(bar)}</text>
"""


def told_of(bar: Bar) -> str:
    return f"{bar.deliveries:,.0f}/s · {bar.cpu:.1f} µs"
