"""The results as a page: a table for each part, under the heading that it had the last time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MET = {True: "yes", False: "**no**", None: ""}
TOP = """# Results

Written by `python -m benchmarks`; what is compared, and how, is in the scripts. A row says what its
two columns are: *first vs second*. Where there is no *vs*, there is no second.
"""
MACHINE = "Measured on"


def write(
    folder: Path, part: dict[str, Any], machine: dict[str, str], order: Iterable[str]
) -> None:
    """Put this part in the place of what the page said of it; the other parts stay."""
    file = folder / "results.md"
    said = sections(file.read_text()) if file.exists() else {}
    said[part["title"]] = "\n".join(of_part(part))
    said[MACHINE] = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    titles = [title for title in (*order, MACHINE) if title in said]
    file.write_text(TOP + "".join(f"\n## {title}\n\n{said[title].strip()}\n" for title in titles))


def sections(text: str) -> dict[str, str]:
    _, *parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def of_part(part: dict[str, Any]) -> Iterator[str]:
    yield f"`{part['command']}{' --quick' if part['quick'] else ''}`\n"
    if part["command"].endswith("fanout"):
        yield "![Deliveries a second](fanout.svg)\n"
    yield from (f"Skipped: {what}\n" for what in part["skipped"])
    yield "| | first | second | ratio | target | met |"
    yield "|---|---|---|---|---|---|"
    yield from map(row, part["results"])


def row(result: dict[str, Any]) -> str:
    sign = "≤" if result["at_most"] else "≥"
    target = "" if result["target"] is None else f"{sign} {result['target']:g}"
    ratio = "" if result["ratio"] is None else f"{result['ratio']:.2f}"
    name = result["name"] + (f"<br><small>{result['note']}</small>" if result["note"] else "")
    cells = [name, result["ours"], result["rival"], ratio, target, MET[result["met"]]]
    return f"| {' | '.join(cells)} |"
