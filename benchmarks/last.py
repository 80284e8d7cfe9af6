"""The newest fifty entries of a long log, against a page of fifty of the same.

    python -m benchmarks.last [--quick] [--json FILE] [--postgres URL]

A page is read from the middle of the log. What is not there costs the most: a set of streams has no
index, so that both look at 20 × MAX_PAGE_SIZE positions before they give up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.harness import DISPLAY, Report, Result

LAST = 50
STREAMS: dict[str, str | list[str] | None] = {
    "everything": None,
    "a stream": "run-42",
    "a prefix": "run-4*",
    "a rare prefix": "run-42*",
    "32 streams": [f"run-{n}" for n in range(100, 132)],
    "a stream that is not there": "none",
    "a prefix that is not there": "none*",
}


def measure(report: Report, quick: bool) -> None:
    count = 50_000 if quick else 1_000_000
    for alias in harness.aliases():
        from benchmarks.filling import fill_log

        fill_log(alias, count)
        for name, stream in STREAMS.items():
            cases = [newest(alias, stream), page(alias, count // 2, stream)]
            ours, rival = harness.alternate(cases, 51 if quick else 101)
            ratio = 1 / harness.times_as_fast(ours, rival)
            typical = [harness.milliseconds(median(some)) for some in (ours, rival)]
            name = f"{DISPLAY[alias]}: the last {LAST} of {name} vs a page of it"
            report.add(Result(name, *typical, ratio, 5, at_most=True))


def newest(alias: str, stream: str | list[str] | None) -> Callable[[], object]:
    from events import logs

    return lambda: logs[alias].read(last=LAST, stream=stream)


def page(alias: str, since: int, stream: str | list[str] | None) -> Callable[[], object]:
    from events import logs

    return lambda: logs[alias].read(since, limit=LAST, stream=stream)


if __name__ == "__main__":
    harness.main("The newest entries of a long log.", measure)
