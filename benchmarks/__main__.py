"""All benchmarks, one after another, as a page and a picture.

    python -m benchmarks [--quick] [--parts append,read] [--into docs/benchmarks]

Each part runs as a process of its own and can be run by itself (`python -m benchmarks.append`).
With `--parts`, the other parts of an earlier page stay as they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine, page

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "append": "Appending, beside plain ORM inserts",
    "held": "Appending beside a transaction that stays open",
    "redis_log": "A log on Redis, beside a bare XADD and one in PostgreSQL",
    "read": "Reading and exporting, beside a serializer",
    "last": "The newest entries of a long log, beside a page",
    "prune": "Pruning, and what a writer notices of it",
    "handlers": "Handlers, beside a loop by hand",
    "webhooks": "Webhooks to many endpoints, of which some are dead",
    "durable": "Durable streams, beside a native POST and the reference server",
    "fanout": "Live: events to many browsers, and their return",
    "fanout.pieces": "Live: what sending at once buys",
    "admin": "The admin on a long log, beside a short one",
}


def options() -> argparse.Namespace:
    made = argparse.ArgumentParser(description="Run all benchmarks and write down what they say.")
    made.add_argument("--quick", action="store_true", help="small sizes; the ratios are rough")
    made.add_argument(
        "--parts",
        type=lambda text: text.split(","),
        default=list(PARTS),
        metavar="A,B",
        help=f"only these: {', '.join(PARTS)}",
    )
    made.add_argument("--only", choices=["postgres", "sqlite"], help="on this database alone")
    made.add_argument("--postgres", metavar="URL", help="a server for a scratch database")
    made.add_argument(
        "--into",
        type=Path,
        default=ROOT / "build" / "benchmarks",
        metavar="FOLDER",
        help="where the page and the picture go (%(default)s)",
    )
    chosen = made.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        made.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def run(part: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """What one part found; its table goes to the terminal meanwhile."""
    print(f"\n{PARTS[part]} (python -m benchmarks.{part})\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-m", f"benchmarks.{part}", "--json", str(file)]
        command += ["--quick"] if chosen.quick else []
        for name in ("only", "postgres"):
            if value := getattr(chosen, name):
                command += [f"--{name}", value]
        if part == "fanout":
            command += ["--svg", str(chosen.into / "fanout.svg")]
        subprocess.run(command, cwd=ROOT, check=True)
        found: dict[str, Any] = json.loads(file.read_text())
    return found | {"title": PARTS[part], "command": f"python -m benchmarks.{part}"}


def main() -> None:
    chosen = options()
    chosen.into.mkdir(parents=True, exist_ok=True)
    for part in chosen.parts:
        # After each, so that an interruption costs no more than one.
        page.write(chosen.into, run(part, chosen), machine.description(), PARTS.values())
    print(f"\n{chosen.into}: results.md and its picture", flush=True)


if __name__ == "__main__":
    main()
