"""Ratios with a target as an SVG: to the right of the line is better than the rival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from math import log10
from typing import Any

from benchmarks.fanout.picture import STYLE

WIDTH, MARGIN, LABEL, VALUE = 980, 28, 470, 130
ROW, BAR, HEAD, TITLE = 24, 14, 74, 34
# Ratios that the picture has room for; what is beyond ends at its edge.
LEAST, MOST = 1 / 4, 400

MORE = """
    .line { stroke: #8c959f; stroke-width: 1; }
    .target { stroke: #d1242f; stroke-width: 2; }
    .missed { fill: #bc4c00; }
"""


def draw(parts: dict[str, Any]) -> str:
    drawn: list[str] = []
    y = HEAD
    for part in parts.values():
        results = [one for one in part["results"] if one["target"] is not None]
        if not results:
            continue
        drawn.append(text("title", MARGIN, y + 18, part["title"]))
        y += TITLE
        drawn.extend(of_result(one, y + ROW * row) for row, one in enumerate(results))
        y += ROW * len(results) + 12
    one = MARGIN + LABEL + across(1)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" \
viewBox="0 0 {WIDTH} {y}" role="img" aria-labelledby="name told">
  <title id="name">How many times as fast as its rival</title>
  <desc id="told">{escape("; ".join(told(parts.values())))}</desc>
  <style>{STYLE}{MORE}  </style>
  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{y - 1}" rx="8"/>
  {text("head", MARGIN, 36, "How many times as fast as its rival").strip()}
  {text("quiet", MARGIN, 56, "on a logarithmic scale; grey: the rival, red: what we aim at").strip()}
  <line class="line" x1="{one:.1f}" x2="{one:.1f}" y1="{HEAD}" y2="{y - 8}"/>
{"".join(drawn)}</svg>
"""


def told(parts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        for one in part["results"]:
            if one["target"] is not None:
                yield f"{one['name']} {better(one, one['ratio']):.2f}"


def better(result: dict[str, Any], ratio: float) -> float:
    """More is better, also where the ratio is one of times."""
    return 1 / ratio if result["at_most"] and ratio else ratio


def of_result(result: dict[str, Any], y: int) -> str:
    ratio, target = (better(result, result[name]) for name in ("ratio", "target"))
    left, one = MARGIN + LABEL, across(1)
    start, end = sorted((one, across(ratio)))
    aim = left + across(target)
    kind = "bar ours" if result["met"] else "missed"
    return (
        text("quiet", MARGIN, y + BAR - 2, result["name"])
        + f'  <rect class="{kind}" x="{left + start:.1f}" y="{y}" width="{max(end - start, 1):.1f}"'
        f' height="{BAR}" rx="2"/>\n'
        f'  <line class="target" x1="{aim:.1f}" x2="{aim:.1f}" y1="{y - 2}" y2="{y + BAR + 2}"/>\n'
        + text("number", WIDTH - VALUE, y + BAR - 2, f"× {ratio:.2f}")
    )


def across(ratio: float) -> float:
    """How far from the left a ratio is."""
    room = WIDTH - 2 * MARGIN - LABEL - VALUE
    return room * log10(min(max(ratio, LEAST), MOST) / LEAST) / log10(MOST / LEAST)


def text(kind: str, x: float, y: float, said: str) -> str:
    return f'  <text class="{kind}" x="{x}" y="{y}">{escape(said)}</text>\n'
