"""What sending at once buys: ours with it, and with a piece of it switched off.

    python -m benchmarks.fanout.pieces [--quick] [--json FILE]

*At once* is sending on behalf of a task that waits, instead of waking it. *Past the middleware* is
the server's own `send` instead of the one that Channels' session middleware wraps. What is sent at
once over SSE passes Django's generators, so that there the two are one.

Each event is on its own, the next when every client has it; the figure is the server's processor
time for a delivery. A piece is worth its lines if it saves at least 15 % of that.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import harness
from benchmarks.fanout.arena import Arena, Camp, each
from benchmarks.fanout.crowd import hall
from benchmarks.fanout.server import OUR_SSE, OURS, Contender, Door, migrate

SERVERS = ("uvicorn", "daphne")
PIECES = {
    "WebSocket": (OURS, {"eager": "at once", "raw": "past the middleware", "eager+raw": "both"}),
    "SSE": (OUR_SSE, {"eager+raw": "at once, past Django"}),
}
WORTH = 1 / 0.85


def run(report: harness.Report) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = f"sqlite:///{folder}/events.sqlite3"
        migrate(database)
        for server in SERVERS:
            for transport in PIECES:
                with ExitStack() as turns:
                    arena = Arena(report, turns.enter_context(hall()), folder, turns)
                    compare(arena, server, transport, database)


def compare(arena: Arena, server: str, transport: str, database: str) -> None:
    door, pieces = PIECES[transport]
    whole, *others = (admitted(arena, server, door, piece, database) for piece in ("", *pieces))
    quick = arena.report.options.quick
    for clients, count, rounds in ((100, 3, 3),) if quick else ((500, 10, 7), (2000, 5, 5)):
        names = [whole, *others]
        arena.grow(names, clients)
        arena.compete(names, partial(Camp.paced, count=3), 1)
        cpu = {
            name: each(turns, "cpu")
            for name, turns in arena.compete(
                names, partial(Camp.paced, count=count), rounds
            ).items()
        }
        for name, piece in zip(others, pieces.values(), strict=True):
            if whole in cpu and name in cpu:
                arena.report.add(
                    harness.Result(
                        f"{transport} on {server}, {clients:,}: {piece} vs without, CPU",
                        *(f"{median(cpu[one]) * 1e6:.1f} µs" for one in (whole, name)),
                        harness.times_as_fast(cpu[whole], cpu[name]),
                        round(WORTH, 2),
                    )
                )


def admitted(arena: Arena, server: str, door: Door, without: str, database: str) -> str:
    log = f"without-{without.replace('+', '-')}"
    contender = Contender(log, log, "ours", server, door, {"FANOUT_WITHOUT": without})
    arena.admit(contender, {"FANOUT_DATABASE": database})
    return log


def options() -> argparse.Namespace:
    return harness.parser("What sending at once buys, with it and without.").parse_args()


def main() -> None:
    report = harness.Report(options())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    run(report)
    report.finish()


if __name__ == "__main__":
    main()
