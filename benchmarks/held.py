"""Emitting while somebody else's transaction stays open, on PostgreSQL.

    python -m benchmarks.held [--quick] [--json FILE] [--postgres URL]

Every append makes a new version of the log's row. While any transaction is open that was there
before, the old versions cannot be cleared away, and finding the newest means walking past them.
This measures how much that costs after so many appends, and that it ends with the transaction.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.harness import Report, Result, milliseconds

ALIAS = "postgres"
TURNS, PER_TURN = 60, 5


def measure(report: Report, quick: bool) -> None:
    if ALIAS not in harness.aliases():
        return report.skip("emit beside an open transaction", "it is about PostgreSQL")
    for stream in ("", "run-42"):
        beside(report, stream, (1_000, 2_000) if quick else (5_000, 20_000, 50_000))


def beside(report: Report, stream: str, marks: tuple[int, ...]) -> None:
    from benchmarks.rival import Rival, values
    from events import emit

    def emits() -> object:
        return emit("turn.started", {"n": 1}, stream=stream, log=ALIAS)

    def creates() -> object:
        return Rival.objects.using(ALIAS).create(**values("turn.started", {"n": 1}, stream))

    where = f"PostgreSQL: emit{' in a stream' if stream else ''}"
    alone = compare(report, f"{where} vs create(), no transaction open", emits, creates)
    with open_transaction():
        done = TURNS * PER_TURN
        for mark in marks:
            for _ in range(mark - done):
                emits()
            name = f"{where} vs create(), one open for {mark:,} emits"
            compare(report, name, emits, creates, alone)
            done = mark + TURNS * PER_TURN
    compare(report, f"{where} vs create(), when it has ended", emits, creates, alone)
    for _ in range(1000):
        emits()
    compare(report, f"{where} vs create(), 1,000 emits later", emits, creates, alone)


def compare(
    report: Report,
    name: str,
    emits: Callable[[], object],
    creates: Callable[[], object],
    alone: float | None = None,
) -> float:
    """Emits and inserts in turn; the median time of an emit, and how it compares with `alone`."""
    ours, rival = harness.alternate([emits, creates], TURNS, PER_TURN)
    took = median(ours) / PER_TURN
    note = "" if alone is None else f"{took / alone:.1f} × what an emit took before it was opened"
    shown = milliseconds(took), milliseconds(median(rival) / PER_TURN)
    report.add(Result(name, *shown, harness.times_as_fast(ours, rival), note=note))
    return took


@contextmanager
def open_transaction() -> Iterator[None]:
    """A transaction with an id of its own, on another connection, doing nothing."""
    from django.db import connections

    other = connections[ALIAS].copy("other")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_current_xact_id()")
            yield
            cursor.execute("ROLLBACK")
    finally:
        other.close()


if __name__ == "__main__":
    harness.main("Emitting beside an open transaction.", measure)
