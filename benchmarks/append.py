"""Appending to a log, against plain ORM inserts into a table with the same columns and indexes.

    python benchmarks/append.py [--quick] [--json FILE] [--postgres URL]
    python benchmarks/append.py --backend redis …          a log on Redis: see benchmarks/redis_log.py

The log's side takes a lock, numbers the entries without holes and keeps a `seq` for every
stream; the rival's side just inserts. Both commit every call, durably.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness, inside
from benchmarks.harness import DISPLAY, Report, Result

KIND = "turn.started"
PAYLOAD = {"n": 1, "user": "ada", "text": "a short sentence", "tags": ["a", "b"], "ok": True}
# Kept: that safety costs next to nothing against an ORM insert, and less than it on SQLite,
# where an append is four statements and the insert is one.
TARGETS = {"postgres": 1.0, "sqlite": 0.8}
MANY = 1000
TASKS = (1, 10, 100, 500)


def measure(report: Report, quick: bool) -> None:
    for alias in harness.aliases():
        if alias == "mariadb":
            inside.measure(report, alias, quick)
            continue
        harness.analyze(alias)
        for stream in ("", "run-42"):
            one(report, alias, stream, quick)
        for stream in ("", "run-42"):
            many(report, alias, stream, quick)
        steps(report, alias, quick)
        inside.measure(report, alias, quick)
        together(report, alias, quick)


def creators(alias: str) -> tuple[Callable[[str], Any], Callable[[str], Any]]:
    """`create()` on the rival with a JSONField and on the one with text."""
    from benchmarks.rival import Plain, Rival, plain_values, values

    rival, plain = Rival.objects.using(alias), Plain.objects.using(alias)
    return (
        lambda stream: rival.create(**values(KIND, PAYLOAD, stream)),
        lambda stream: plain.create(**plain_values(KIND, PAYLOAD, stream)),
    )


def one(report: Report, alias: str, stream: str, quick: bool) -> None:
    """One client, one event a call, autocommit."""
    from events import emit

    create, create_plain = creators(alias)
    # Turns of a few milliseconds: shorter than most of what else goes on in a machine.
    count, rounds = (10, 31) if quick else (10, 301)
    ours, rival, plain = harness.alternate(
        [
            lambda: emit(KIND, PAYLOAD, stream=stream, log=alias),
            lambda: create(stream),
            lambda: create_plain(stream),
        ],
        rounds,
        count,
    )
    where = f"{DISPLAY[alias]}: emit{' in a stream' if stream else ''}"
    add(report, f"{where} vs create(), JSONField", ours, rival, count, TARGETS[alias])
    add(report, f"{where} vs create(), text", ours, plain, count, TARGETS[alias])


def many(report: Report, alias: str, stream: str, quick: bool) -> None:
    """A thousand in one call. Building items and instances counts, as it would for a caller."""
    from benchmarks.rival import Plain, Rival, plain_values, values
    from events import emit_many

    event = {"kind": KIND, "payload": PAYLOAD, "stream": stream}
    several = range(MANY)
    ours, rival, plain = harness.alternate(
        [
            lambda: emit_many([dict(event) for _ in several], log=alias),
            lambda: Rival.objects.using(alias).bulk_create(
                [Rival(**values(KIND, PAYLOAD, stream)) for _ in several]
            ),
            lambda: Plain.objects.using(alias).bulk_create(
                [Plain(**plain_values(KIND, PAYLOAD, stream)) for _ in several]
            ),
        ],
        7 if quick else 31,
    )
    where = f"{DISPLAY[alias]}: emit_many{' in a stream' if stream else ''}"
    add(report, f"{where} vs bulk_create, JSONField", ours, rival, MANY, 2.0)
    add(report, f"{where} vs bulk_create, text", ours, plain, MANY, 2.0)


def steps(report: Report, alias: str, quick: bool) -> None:
    """A step in a stream's life against an event in a stream; and an event in a stream that lives
    against one in a stream that does not."""
    from events import emit, logs

    log = logs[alias]
    alive = log.stream("alive")
    alive.open(idle_timeout=60)
    log.stream("living").open()
    resumed = True

    def step() -> None:
        nonlocal resumed
        (alive.wait if resumed else alive.resume)()
        resumed = not resumed

    count, rounds = (10, 31) if quick else (10, 301)
    ours, living, plain = harness.alternate(
        [
            step,
            lambda: emit(KIND, {}, stream="living", log=alias),
            lambda: emit(KIND, {}, stream="plain", log=alias),
        ],
        rounds,
        count,
    )
    for name, times in (("a step in a stream's life", ours), ("an emit in an open one", living)):
        ratio = 1 / harness.times_as_fast(times, plain)
        report.add(
            Result(
                f"{DISPLAY[alias]}: {name} vs an emit in a stream, time",
                harness.rate(times, count),
                harness.rate(plain, count),
                ratio,
                1.2,
                at_most=True,
            )
        )


def add(
    report: Report,
    name: str,
    ours: list[float],
    rival: list[float],
    count: int,
    target: float | None,
) -> None:
    ratio = harness.times_as_fast(ours, rival)
    report.add(Result(name, harness.rate(ours, count), harness.rate(rival, count), ratio, target))


def together(report: Report, alias: str, quick: bool) -> None:
    """`aemit` from many tasks of one event loop, against the same from one."""
    rates = asyncio.run(rounds_of_tasks(alias, *((0.2, 3) if quick else (0.5, 9))))
    alone = rates[0]
    for tasks, found in zip(TASKS[1:], rates[1:], strict=True):
        ratio = median(one / other for one, other in zip(found, alone, strict=True))
        target = 8.0 if (alias, tasks) == ("postgres", 100) else None
        name = f"{DISPLAY[alias]}: aemit, {tasks} tasks vs 1 task"
        ours, rival = (f"{median(some):,.0f}/s" for some in (found, alone))
        report.add(Result(name, ours, rival, ratio, target))


async def rounds_of_tasks(alias: str, seconds: float, rounds: int) -> list[list[float]]:
    """Events a second, for each number of tasks and round."""
    rates: list[list[float]] = [[] for _ in TASKS]
    await emit_for(alias, 1, 0.1)
    for _ in range(rounds):
        for found, tasks in zip(rates, TASKS, strict=True):
            found.append(await emit_for(alias, tasks, seconds))
    return rates


async def emit_for(alias: str, tasks: int, seconds: float) -> float:
    """Have so many tasks emit, each one event after another; events a second."""
    from events import aemit

    began = time.perf_counter()

    async def emitter() -> int:
        count = 0
        while time.perf_counter() - began < seconds:
            await aemit(KIND, PAYLOAD, log=alias)
            count += 1
        return count

    counts = await asyncio.gather(*(emitter() for _ in range(tasks)))
    return sum(counts) / (time.perf_counter() - began)


if __name__ == "__main__":
    if "--backend" in sys.argv and sys.argv[sys.argv.index("--backend") + 1 :][:1] == ["redis"]:
        from benchmarks import redis_log

        redis_log.main()
        sys.exit()
    harness.main("Appending, against plain ORM inserts.", measure, with_mariadb=True)
