"""Reading a page, near the start and at the end of a long log, against the ORM.

    python benchmarks/read.py [--quick] [--json FILE] [--postgres URL]

The rival is the least that a view could do: `values()` of a page, and `json.dumps` of that. It
learns neither where the log ends nor what retention took, and it is let off checking anything.
What the same page costs over HTTP is measured against a DRF view; see `over_http.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness, over_http
from benchmarks.harness import DISPLAY, Report, Result

LIMIT = 100
NAMES = ("position", "kind", "stream", "seq", "timestamp", "payload")


def measure(report: Report, quick: bool) -> None:
    deep = 50_000 if quick else 1_000_000
    for alias in harness.aliases():
        from benchmarks.filling import fill_log, fill_rival

        fill_log(alias, deep + 2 * LIMIT)
        fill_rival(alias, deep + 2 * LIMIT)
        rounds = 101 if quick else 401
        depth(report, alias, deep, rounds)
        against_orm(report, alias, deep, rounds)
        filters(report, alias, deep, rounds)
        over_http.measure(report, alias, deep + 2 * LIMIT, rounds // 2)


def pages(alias: str, since: int) -> Callable[[], object]:
    from events import logs

    return lambda: logs[alias].read(since, limit=LIMIT)


def values(alias: str, since: int) -> Callable[[], object]:
    from benchmarks.rival import LOG, Rival

    rows = Rival.objects.using(alias).filter(log_id=LOG)
    return lambda: json.dumps(
        list(rows.filter(position__gt=since).order_by("position").values(*NAMES)[:LIMIT])
    )


def depth(report: Report, alias: str, deep: int, rounds: int) -> None:
    """A page costs the same at any depth."""
    first, last = harness.alternate([pages(alias, 1), pages(alias, deep)], rounds, 2)
    add(report, f"{DISPLAY[alias]}: read at {deep:,} vs at 1", last, first, 1.3, 2)


def against_orm(report: Report, alias: str, deep: int, rounds: int) -> None:
    for since in (1, deep):
        ours, rival = harness.alternate([pages(alias, since), values(alias, since)], rounds, 2)
        name = f"{DISPLAY[alias]}: read at {since:,} vs values() + json.dumps"
        add(report, name, ours, rival, 1.0, 2)


def filters(report: Report, alias: str, deep: int, rounds: int) -> None:
    """Filtered pages from the start of the log, against a page without a filter."""
    from events import logs

    log = logs[alias]
    plain = pages(alias, 1)
    cases: dict[str, Callable[[], object]] = {
        "of one stream": lambda: log.read(1, limit=LIMIT, stream="run-42"),
        "of a stream that is not there": lambda: log.read(1, limit=LIMIT, stream="none"),
        "of a common kind": lambda: log.read(1, limit=LIMIT, kind="turn.*"),
        "of a kind that is not there": lambda: log.read(1, limit=LIMIT, kind="none.such"),
        "a probe": lambda: log.read(1, limit=0),
        "info()": log.info,
    }
    for name, case in cases.items():
        ours, rival = harness.alternate([case, plain], rounds // 5)
        add(report, f"{DISPLAY[alias]}: read {name} vs read", ours, rival, None)


def add(
    report: Report,
    name: str,
    ours: list[float],
    rival: list[float],
    target: float | None,
    repeat: int = 1,
) -> None:
    """The ratio is of time, so less is better."""
    ratio = 1 / harness.times_as_fast(ours, rival)
    typical = [harness.milliseconds(median(some) / repeat) for some in (ours, rival)]
    report.add(Result(name, *typical, ratio, target, at_most=True))


if __name__ == "__main__":
    harness.main("Reading a page of a long log, against the ORM.", measure)
