"""The results as a page: a table for each part, and a picture of the ratios."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import ratios

MET = {True: "yes", False: "**no**", None: ""}


def write(folder: Path, document: dict[str, Any]) -> None:
    (folder / "ratios.svg").write_text(ratios.draw(document["parts"]))
    (folder / "results.md").write_text("\n".join(lines(document)))


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield "# Results\n"
    yield "Written by `python -m benchmarks`; what is compared, and how, is in the scripts.\n"
    yield "![How many times as fast as its rival each is](ratios.svg)\n"
    for part in document["parts"].values():
        yield from of_part(part)
    yield "## Measured on\n"
    yield from (f"- {name}: {value}" for name, value in document["machine"].items())
    yield ""


def of_part(part: dict[str, Any]) -> Iterator[str]:
    quick = " --quick" if part["quick"] else ""
    yield f"## {part['title']}\n"
    yield f"`{part['command']}{quick}`\n"
    if part["command"].endswith("fanout"):
        yield "![Deliveries a second](fanout.svg)\n"
    yield from (f"Skipped: {what}\n" for what in part["skipped"])
    yield "| | ours | rival | ratio | target | met |"
    yield "|---|---|---|---|---|---|"
    for result in part["results"]:
        yield row(result)
    yield ""


def row(result: dict[str, Any]) -> str:
    sign = "≤" if result["at_most"] else "≥"
    target = "" if result["target"] is None else f"{sign} {result['target']:g}"
    ratio = "" if result["ratio"] is None else f"{result['ratio']:.2f}"
    name = result["name"] + (f"<br><small>{result['note']}</small>" if result["note"] else "")
    cells = [name, result["ours"], result["rival"], ratio, target, MET[result["met"]]]
    return f"| {' | '.join(cells)} |"
