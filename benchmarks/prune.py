"""Pruning half of a long log in another process, and what a writer notices of it.

    python benchmarks/prune.py [--quick] [--json FILE] [--postgres URL]

The writer emits at a steady pace, first alone, then beside the prune, then alone again.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.harness import DISPLAY, Report, Result, milliseconds, percentile

PACE = 0.005  # seconds from one emit to the next
TARGETS = {"sqlite": 3.0, "postgres": 2.0}


def measure(report: Report, quick: bool) -> None:
    count = 50_000 if quick else 400_000
    for alias in harness.aliases():
        from benchmarks.filling import fill_log

        fill_log(alias, count)
        beside_a_prune(report, alias, count // 2, 3.0 if quick else 20.0)


def beside_a_prune(report: Report, alias: str, keep: int, seconds: float) -> None:
    emit_for(alias, 1.0)
    before = emit_for(alias, seconds)
    during, pruned, took = emit_beside(alias, keep)
    after = emit_for(alias, seconds)
    name = f"{DISPLAY[alias]}: p99 of emit beside a prune of {pruned:,} vs alone"
    p99 = [percentile(some, 0.99) for some in (during, before, after)]
    report.add(
        Result(
            name,
            milliseconds(p99[0]),
            milliseconds(p99[1]),
            p99[0] / p99[1],
            TARGETS[alias],
            at_most=True,
            note=(
                f"{took:.1f} s; median {milliseconds(percentile(during, 0.5))}, alone "
                f"{milliseconds(percentile(before, 0.5))}; longest {milliseconds(max(during))}, "
                f"alone {milliseconds(max(before))}; p99 afterwards {milliseconds(p99[2])}"
            ),
        )
    )


def emit_for(alias: str, seconds: float) -> list[float]:
    until = time.perf_counter() + seconds
    return emit_while(alias, lambda: time.perf_counter() < until)


def emit_beside(alias: str, keep: int) -> tuple[list[float], int, float]:
    """Emit for as long as another process prunes: latencies, entries pruned, seconds it took."""
    from django.conf import settings

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=prune, args=(theirs, settings.DATABASES, alias, keep))
    with harness.stopping(process):
        theirs.close()
        ours.recv()  # the child has started, and waits for the word
        began = time.perf_counter()
        ours.send("prune")
        latencies = emit_while(alias, lambda: not ours.poll())
        return latencies, ours.recv(), time.perf_counter() - began


def prune(pipe: Any, databases: harness.Databases, alias: str, keep: int) -> None:
    """In the child: prune when told to, and send how many entries went."""
    databases.pop("default", None)
    harness.configure(databases)
    from events import logs

    logs[alias].info()
    pipe.send("ready")
    pipe.recv()
    pipe.send(logs[alias].prune(max_entries=keep))


def emit_while(alias: str, going: Callable[[], bool]) -> list[float]:
    """Seconds that each emit took, one every `PACE`; the pace starts anew after a slow one."""
    from events import emit

    latencies = []
    while going():
        began = time.perf_counter()
        emit("turn.started", {"n": 1}, stream="run-42", log=alias)
        took = time.perf_counter() - began
        latencies.append(took)
        time.sleep(max(0.0, PACE - took))
    return latencies


if __name__ == "__main__":
    harness.main("What a writer notices of a prune.", measure)
