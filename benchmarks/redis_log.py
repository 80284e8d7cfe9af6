"""A log on Redis, against a bare XADD on the same server and a log in PostgreSQL.

    python benchmarks/append.py --backend redis [--quick] [--json FILE] [--postgres URL]

The server is the run's own, with an append-only file that is flushed every second. A bare XADD takes
an id of the server's, and knows of no keys, streams or terms.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.append import KIND, PAYLOAD, emit_for
from benchmarks.harness import Report, Result

FORK = multiprocessing.get_context("fork")
PROCESSES = 16
# The targets of the ratios, each named for what the log is compared with.
XADD_ONE, XADD_MANY, POSTGRES_MANY, POSTGRES_TASKS, DEPTH = 0.6, 0.5, 4.0, 1.3, 1.3


@contextmanager
def server() -> Iterator[int]:
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *options],
            stdout=subprocess.DEVNULL,
        )
        try:
            client = client_of(port)
            while not answers(client):
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()
            process.wait()


def client_of(port: int) -> Any:
    import redis

    return redis.Redis(port=port)


def answers(client: Any) -> bool:
    import redis

    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def works(port: int) -> dict[str, Callable[[], object]]:
    from events import emit

    bare = client_of(port)
    return {
        "XADD": lambda: bare.xadd("bare", {"kind": KIND, "payload": json.dumps(PAYLOAD)}),
        "redis": lambda: emit(KIND, PAYLOAD, log="redis"),
        "redis, using": lambda: emit(KIND, PAYLOAD, log="using"),
        "redis, in a stream": lambda: emit(KIND, PAYLOAD, stream="run-42", log="redis"),
        "postgres": lambda: emit(KIND, PAYLOAD, log="postgres"),
    }


def measure(report: Report, port: int, quick: bool) -> None:
    one(report, port, quick)
    many(report, port, quick)
    together(report, quick)
    depth(report, port, quick)


def one(report: Report, port: int, quick: bool) -> None:
    """One client, one event a call."""
    found = works(port)
    count, rounds = (20, 31) if quick else (20, 151)
    seconds = dict(zip(found, harness.alternate([*found.values()], rounds, count), strict=True))
    compare(report, "emit vs XADD", seconds, "redis", "XADD", count, XADD_ONE)
    compare(report, "emit in a stream vs XADD", seconds, "redis, in a stream", "XADD", count, None)
    compare(
        report, "emit, using: PostgreSQL vs None", seconds, "redis, using", "redis", count, None
    )
    compare(report, "emit vs PostgreSQL", seconds, "redis", "postgres", count, None)


def compare(
    report: Report,
    name: str,
    seconds: dict[str, list[float]],
    ours: str,
    rival: str,
    count: int,
    target: float | None,
) -> None:
    first, second = seconds[ours], seconds[rival]
    ratio = harness.times_as_fast(first, second)
    rates = harness.rate(first, count), harness.rate(second, count)
    report.add(Result(f"Redis: {name}", *rates, ratio, target))


def many(report: Report, port: int, quick: bool) -> None:
    """Processes that emit, each one event after another."""
    from django.db import connections

    connections.close_all()
    seconds, rounds = (0.4, 3) if quick else (1.0, 7)
    kinds = ("redis", "XADD", "postgres")
    lines = [FORK.Pipe() for _ in range(PROCESSES)]
    processes = [FORK.Process(target=work, args=(port, end), daemon=True) for _, end in lines]
    for process in processes:
        process.start()
    counts: dict[str, list[int]] = {kind: [] for kind in kinds}
    for number in range(-1, rounds):
        for kind in kinds if number % 2 else reversed(kinds):
            for line, _ in lines:
                line.send((kind, 0.1 if number < 0 else seconds))
            total = sum(line.recv() for line, _ in lines)
            if number >= 0:
                counts[kind].append(total)
    for line, _ in lines:
        line.send(None)
    for process in processes:
        process.join()
    for rival, target in (("XADD", XADD_MANY), ("postgres", POSTGRES_MANY)):
        pairs = zip(counts["redis"], counts[rival], strict=True)
        ratio = median(ours / theirs for ours, theirs in pairs)
        rates = (f"{median(counts[kind]) / seconds:,.0f}/s" for kind in ("redis", rival))
        shown = {"postgres": "PostgreSQL"}.get(rival, rival)
        report.add(Result(f"Redis: emit, {PROCESSES} processes vs {shown}", *rates, ratio, target))


def work(port: int, line: Any) -> None:
    found = works(port)
    while order := line.recv():
        kind, seconds = order
        emit_one, count = found[kind], 0
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            emit_one()
            count += 1
        line.send(count)


def together(report: Report, quick: bool) -> None:
    """`aemit` from a hundred tasks of one event loop."""
    seconds, rounds = (0.3, 3) if quick else (0.5, 7)

    async def rounds_of(alias: str) -> list[float]:
        await emit_for(alias, 100, 0.1)
        return [await emit_for(alias, 100, seconds) for _ in range(rounds)]

    ours, theirs = (asyncio.run(rounds_of(alias)) for alias in ("redis", "postgres"))
    ratio = median(ours) / median(theirs)
    rates = (f"{median(some):,.0f}/s" for some in (ours, theirs))
    report.add(Result("Redis: aemit, 100 tasks vs PostgreSQL", *rates, ratio, POSTGRES_TASKS))


def depth(report: Report, port: int, quick: bool) -> None:
    """A page of 100 near the head of a long log, against one near its beginning; and its memory."""
    from events import logs

    log, size = logs["long"], 100_000 if quick else 1_000_000
    event = {"kind": KIND, "payload": PAYLOAD}
    for _ in range(size // 10_000):
        log.append_many([event] * 10_000)
    deep, shallow = harness.alternate(
        [lambda: log.read(size - 200, 100), lambda: log.read(100, 100)], 101, 5
    )
    ratio = 1 / harness.times_as_fast(deep, shallow)
    shown = (harness.milliseconds(median(some) / 5) for some in (deep, shallow))
    report.add(
        Result(f"Redis: a page of 100 at {size:,} vs at 100, time", *shown, ratio, DEPTH, True)
    )
    client = client_of(port)
    bare = {"kind": KIND, "payload": json.dumps(PAYLOAD)}
    pipe = client.pipeline(transaction=False)
    for _ in range(10_000):
        pipe.xadd("small", bare)
    pipe.execute()
    entry = used(client, "events:{long}:*") / size
    rival = client.memory_usage("small", samples=0) / 10_000
    shown = (f"{entry:.0f} bytes", f"{rival:.0f} bytes")
    report.add(Result("Redis: memory of an entry vs XADD's", *shown, entry / rival))


def used(client: Any, pattern: str) -> int:
    return sum(client.memory_usage(key, samples=0) for key in client.scan_iter(pattern))


def main() -> None:
    sys.argv = [one for one in sys.argv if one not in ("--backend", "redis")] + [
        "--only",
        "postgres",
    ]
    if shutil.which("redis-server") is None:
        why = "redis-server is not installed"
        return harness.main("", lambda report, quick: report.skip("Redis", why))
    with server() as port:
        url = f"redis://127.0.0.1:{port}/0"
        options = {"url": url, "using": None}
        redis = {"BACKEND": "redis", "OPTIONS": options}
        events = {
            "postgres": {"OPTIONS": {"using": "postgres"}},
            "redis": redis,
            "long": redis,
            "using": {"BACKEND": "redis", "OPTIONS": {**options, "using": "postgres"}},
        }
        harness.main(
            "Appending to a log on Redis.",
            lambda report, quick: measure(report, port, quick),
            events=events,
        )


if __name__ == "__main__":
    main()
