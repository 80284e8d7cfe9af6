"""Handlers beside the loop that one would write by hand, and what a worker costs that waits.

    python -m benchmarks.handlers [--quick] [--json FILE] [--postgres URL]

Both go over the same entries, and both commit a cursor with what they do, which is nothing. The
loop by hand parses each payload, as whoever writes one would; a handler's is parsed when it is read.
So there is a second pair that reads every payload, and a third in which the loop hands on the rows
as the driver gives them. The loop by hand knows neither shards, nor retries, nor a second process.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.filling import fill_log
from benchmarks.harness import DISPLAY, Report, Result, milliseconds, percentile, times_as_fast

FORK = multiprocessing.get_context("fork")
APPS = ["events.handlers"]
IDLE = 20
# Of the loop's speed; seconds from commit to call; share of a core; connections.
BATCHES, SINGLE, DELAY, IDLE_CPU, IDLE_CONNECTIONS = 0.6, 0.8, 0.03, 0.01, 2
NEXT = (
    "SELECT position, kind, stream, seq, timestamp, payload, idempotency_key FROM events_event "
    "WHERE log_id = %s AND position > %s ORDER BY position LIMIT %s"
)


def measure(report: Report, quick: bool) -> None:
    for alias in harness.aliases():
        count = 20_000 if quick else 100_000
        fill_log(alias, count)
        rounds = 3 if quick else 9
        against_a_loop(report, alias, 500, count, rounds, BATCHES)
        against_a_loop(report, alias, 500, count, rounds, BATCHES, reads=True)
        against_a_loop(report, alias, 500, count, rounds, BATCHES, parses=False)
        against_a_loop(report, alias, 1, count // 50, rounds, SINGLE)
        if alias == "postgres":
            from_commit_to_call(report, alias, 3.0 if quick else 20.0)
            waiting(report, alias, 5.0 if quick else 20.0)


def against_a_loop(
    report: Report,
    alias: str,
    batch: int,
    count: int,
    rounds: int,
    target: float,
    *,
    reads: bool = False,
    parses: bool = True,
) -> None:
    from events.handlers import handler, handlers

    more = " that reads payloads" if reads else "" if parses else " that parses nothing"
    name = f"{alias}-{batch}{more.replace(' ', '-')}"
    handler(name=name, log=alias, since="earliest", batch=batch)(read if reads else nothing)
    ours = handlers[name]

    def handled() -> None:
        ours.run_once()

    with cursor_table(alias, parses) as loop:
        seconds: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            # The last `count` entries, each time.
            head = ours.status().head
            ours.replay(head - count)
            works = [(0, handled), (1, lambda since=head - count: loop(since, batch))]
            for which, work in works if number % 2 else reversed(works):
                took = harness.timed(work)
                if number:
                    seconds[which].append(took)
    rates = (f"{count / median(some):,.0f}/s" for some in seconds)
    who, loop_by_hand = (
        ("a handler" + more, "a loop by hand") if parses else ("a handler", "a loop" + more)
    )
    what = f"{DISPLAY[alias]}: {who}, batch={batch}, vs {loop_by_hand}"
    report.add(Result(what, *rates, times_as_fast(*seconds), target))


def nothing(entries: Any) -> None:
    pass


def read(entries: Any) -> None:
    for entry in entries:
        entry.payload  # noqa: B018  (that is the work)


@contextmanager
def cursor_table(alias: str, parses: bool) -> Iterator[Callable[[int, int], None]]:
    """What a project writes by hand, at its fastest: the next rows by a statement of its own, with
    their payloads; the work; the cursor, in the same transaction."""
    from django.db import connections, transaction

    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_cursor (id INTEGER PRIMARY KEY, place BIGINT NOT NULL)")
        cursor.execute("INSERT INTO bench_cursor VALUES (1, 0)")
        cursor.execute("SELECT id FROM events_log WHERE name = %s", [alias])
        log = cursor.fetchone()[0]
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""

    def step(batch: int) -> bool:
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            cursor.execute(f"SELECT place FROM bench_cursor WHERE id = 1{lock}")
            cursor.execute(NEXT, [log, cursor.fetchone()[0], batch])
            rows = cursor.fetchall()
            if rows:
                if parses:
                    rows = [(*row[:5], json.loads(row[5]), row[6]) for row in rows]
                nothing(rows)
                cursor.execute("UPDATE bench_cursor SET place = %s WHERE id = 1", [rows[-1][0]])
            return bool(rows)

    def loop(since: int, batch: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE bench_cursor SET place = %s WHERE id = 1", [since])
        while step(batch):
            pass

    try:
        yield loop
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE bench_cursor")


def from_commit_to_call(report: Report, alias: str, seconds: float) -> None:
    """Another process emits 20 a second; a worker's process notes when its handler is called."""
    from events import emit

    with worker(alias, ["noting"]) as line:
        time.sleep(1.0)
        committed = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            emit("bench.tick", {"n": len(committed)}, log=alias)
            committed.append(time.time())
            time.sleep(0.05)
        time.sleep(1.0)
        line.send("stop")
        called = line.recv()["called"]
    delays = [called[n] - at for n, at in enumerate(committed) if n in called]
    name = f"{DISPLAY[alias]}: from an emit elsewhere to the call, 20 a second, median, vs what was wanted"
    report.add(
        Result(
            name,
            milliseconds(median(delays)),
            milliseconds(DELAY),
            median(delays) / DELAY,
            1.0,
            at_most=True,
            note=f"p99 {milliseconds(percentile(delays, 0.99))}; {len(delays)} of {len(committed)}",
        )
    )


def waiting(report: Report, alias: str, seconds: float) -> None:
    """A worker that has nothing to do for twenty handlers. This process has a connection of its own
    to tell others of what it has emitted, which is there before the worker."""
    before = connected(alias)
    with worker(alias, [f"idle-{number}" for number in range(IDLE)]) as line:
        time.sleep(2.0)
        line.send("begin")
        time.sleep(seconds)
        connections = connected(alias) - before
        line.send("stop")
        share = line.recv()["cpu"] / seconds
    name = f"{DISPLAY[alias]}: a worker with {IDLE} handlers that waits, share of a core vs what was wanted"
    report.add(Result(name, f"{share:.2%}", f"{IDLE_CPU:.0%}", share / IDLE_CPU, 1.0, at_most=True))
    name = f"{DISPLAY[alias]}: its connections vs what was wanted"
    report.add(
        Result(name, str(connections), str(IDLE_CONNECTIONS), connections / 2, 1.0, at_most=True)
    )


def connected(alias: str) -> int:
    """Connections to the database other than our own."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            # And no autovacuum, which is there after so many inserts.
            "AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def worker(alias: str, names: list[str]) -> Iterator[Connection]:
    """`manage.py run_handlers` in a process of its own."""
    from django.db import connections

    connections.close_all()
    line, end = FORK.Pipe()
    process = FORK.Process(target=run_worker, args=(alias, names, end), daemon=True)
    with harness.stopping(process):
        yield line


def run_worker(alias: str, names: list[str], line: Connection) -> None:
    from events.handlers import handler
    from events.handlers.runner import Runner

    called: dict[int, float] = {}

    def note(entry: Any) -> None:
        called[entry.payload["n"]] = time.time()

    for name in names:
        handler("bench.tick", name=name, log=alias)(note)
    runner = Runner(names, 4)
    thread = threading.Thread(target=runner.run)
    thread.start()
    began = used()
    while line.recv() != "stop":
        began = used()
    cpu = used() - began
    runner.stop()
    runner.news.set()
    thread.join()
    line.send({"called": called, "cpu": cpu})


def used() -> float:
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    harness.main("Handlers beside a loop by hand.", measure, apps=APPS)
