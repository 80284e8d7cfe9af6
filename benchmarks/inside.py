"""Inside a transaction, as most of a Django site writes: a row of the host's and an event, against
the same row and a row of the rival's; and, for eight processes, each of these outside of a
transaction.

Writers are processes of their own, each with one or more threads. After a round it is measured how
long the last event waits for its position: sequencing that does not keep up would be no gain.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

from benchmarks.harness import DISPLAY, Report, Result

KIND = "order.paid"
PAYLOAD = {"n": 1, "user": "ada", "text": "a short sentence", "tags": ["a", "b"], "ok": True}
# Seconds that the last event may wait for its position, after as much writing as there can be.
MOST_BACKLOG = 1.0
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Shape:
    processes: int
    threads: int
    events: int

    def __str__(self) -> str:
        writers = (
            f"{self.processes} processes, "
            if self.processes > 1
            else f"{self.threads} threads, "
            if self.threads > 1
            else ""
        )
        where = f"{self.events} in a transaction" if self.events else "one at a time in none"
        return writers + where


ONE, TEN = Shape(1, 1, 1), Shape(1, 1, 10)
PROCESSES, THREADS = Shape(8, 1, 1), Shape(1, 8, 1)
DIRECT = Shape(8, 1, 0)
SHAPES = {
    "postgres": {ONE: 0.6, TEN: 0.8, PROCESSES: 0.6, THREADS: 0.75, DIRECT: 0.67},
    "mariadb": {ONE: 0.5, TEN: None, PROCESSES: None, THREADS: None},
    "sqlite": {ONE: None, TEN: None},
}


def measure(report: Report, alias: str, quick: bool) -> None:
    seconds, rounds = (0.3, 3) if quick else (1.0, 9)
    for shape, target in SHAPES[alias].items():
        ours, rival, backlog = run(alias, shape, seconds, rounds)
        ratio = median(one / other for one, other in zip(ours, rival, strict=True))
        name = f"{DISPLAY[alias]}: {shape}, emit vs create()"
        rates = (f"{median(some) / seconds:,.0f}/s" for some in (ours, rival))
        report.add(Result(name, *rates, ratio, target))
        if backlog is not None and shape.events:
            name = f"{DISPLAY[alias]}: {shape}, the longest backlog in seconds"
            report.add(Result(name, f"{backlog:.2f} s", "", backlog, MOST_BACKLOG, at_most=True))


def run(
    alias: str, shape: Shape, seconds: float, rounds: int
) -> tuple[list[int], list[int], float | None]:
    """Transactions in each round, with emits and with creates, and the longest backlog."""
    counts: dict[str, list[int]] = {"emit": [], "create": []}
    backlogs = []
    order = ["emit", "create"]
    with ExitStack() as stack:
        lines = [stack.enter_context(writer(alias, shape)) for _ in range(shape.processes)]
        for number in range(-1, rounds):
            for what in order:
                for line in lines:
                    line.send((what, 0.1 if number < 0 else seconds))
                total = sum(line.recv() for line in lines)
                if what == "emit" and alias != "sqlite":
                    backlogs.append(drained(alias))
                if number >= 0:
                    counts[what].append(total)
            order.reverse()
    return counts["emit"], counts["create"], max(backlogs, default=None)


def drained(alias: str) -> float:
    """Seconds until the outbox is empty. Looked at from outside: a read of the log would help."""
    from events.models import Outbox

    began = time.perf_counter()
    while Outbox.objects.using(alias).exists():
        time.sleep(0.002)
    return time.perf_counter() - began


@contextmanager
def writer(alias: str, shape: Shape) -> Iterator[Connection]:
    from django.db import connections

    connections.close_all()
    line, end = FORK.Pipe()
    process = FORK.Process(target=work, args=(alias, shape, end), daemon=True)
    process.start()
    try:
        yield line
    finally:
        line.send(None)
        process.join()


def work(alias: str, shape: Shape, line: Connection) -> None:
    """A writer's process: writes for as long as it is told, and says how many transactions."""
    works = works_of(alias, shape.events)
    while order := line.recv():
        what, seconds = order
        found: list[int] = []
        threads = [
            threading.Thread(target=repeat, args=(works[what], seconds, found))
            for _ in range(shape.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        line.send(sum(found))


def repeat(work: Callable[[], None], seconds: float, found: list[int]) -> None:
    from django.db import connections

    work()  # with a connection
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        work()
        count += 1
    found.append(count)
    connections.close_all()


def works_of(alias: str, events: int) -> dict[str, Callable[[], None]]:
    from django.db import transaction

    from benchmarks.rival import Host, Rival, values
    from events import emit

    hosts, rival = Host.objects.using(alias), Rival.objects.using(alias)
    if not events:
        return {
            "emit": lambda: emit(KIND, PAYLOAD, log=alias),
            "create": lambda: rival.create(**values(KIND, PAYLOAD)),
        }

    def emits() -> None:
        with transaction.atomic(using=alias):
            hosts.create(name="ada", amount=7)
            for _ in range(events):
                emit(KIND, PAYLOAD, log=alias)

    def creates() -> None:
        with transaction.atomic(using=alias):
            hosts.create(name="ada", amount=7)
            for _ in range(events):
                rival.create(**values(KIND, PAYLOAD))

    return {"emit": emits, "create": creates}
