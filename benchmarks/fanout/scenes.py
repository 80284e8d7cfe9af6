"""What is measured, one scene after another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import monotonic
from typing import Literal, NamedTuple

from benchmarks import harness
from benchmarks.fanout.arena import Arena, Camp, Turn, delays, each, typical
from benchmarks.fanout.crowd import Broken, Crowd
from benchmarks.fanout.picture import Bar, Panel, Panels
from benchmarks.fanout.server import OURS, ROOT, Contender, Server
from benchmarks.harness import Result, milliseconds

PACE = 0.05
MISSED = 1000
# Of what passes between processes: seconds at the median and at the 99th percentile.
NO_LIMITS: Mapping[float, float] = {}
LIMITS = {"Redis": {0.5: 0.1}, "PostgreSQL": {0.5: 0.02, 0.99: 0.15}}
SUBSCRIBED = re.compile(rb'"type": ?"subscribed"')


class Pair(NamedTuple):
    """Ours, the rival, and by how much we want to be ahead: in a burst, and paced."""

    ours: str
    rival: str
    versus: str
    burst: float | None = None
    paced: float | None = None


PAIRS = [
    Pair("daphne", "group-daphne", "vs group_send", 5.0, 4.0),
    Pair("uvicorn", "group-uvicorn", "vs group_send", 12.0, 10.0),
    Pair("uvicorn", "bare", "vs a bare loop", None, 0.6),
    Pair("uvicorn", "group-redis", "vs group_send, Redis"),
    Pair("sse", "eventstream", "vs django-eventstream", 4.0, 4.0),
]
SERVER = {"daphne": "daphne", "uvicorn": "uvicorn", "sse": "SSE"}


@dataclass
class Plan:
    """Sizes: clients at first and at last, events, rounds, and clients that return at once."""

    clients: list[int]
    burst: int
    paced: int
    rounds: int
    steady: int
    returning: int


def fan_out(arena: Arena, plan: Plan, panels: Panels) -> None:
    """Bursts and single events to all clients of every contender."""
    for index, clients in enumerate(plan.clients):
        names = [name for name in arena.camps if index == 0 or few_enough(name)]
        arena.grow(names, clients)
        if index == 0:
            memory(arena)
        # A first few, of which no account is taken.
        arena.compete(names, partial(Camp.paced, count=2), 1)
        # As many deliveries to many clients as to few. With 40 events to 2,000 the in-memory layer
        # begins to lose some: what has waited in it for a minute is thrown away.
        count = max(plan.burst * plan.clients[0] // clients, 2)
        burst = arena.compete(names, partial(Camp.burst, count=count), plan.rounds)
        tell(arena, panels, f"burst of {count}", "burst", clients, burst)
        paced = arena.compete(names, partial(Camp.paced, count=plan.paced), plan.rounds)
        tell(arena, panels, "paced", "paced", clients, paced)
        if index == 0:
            latency(arena, plan)
    for camp in arena.camps.values():
        if camp.faults:
            tell_faults(arena, camp)
        camp.crowd.leave()
        camp.server.stop()
    arena.camps.clear()


def tell_faults(arena: Arena, camp: Camp) -> None:
    count = len(camp.crowd.clients) * (camp.next - 1)
    said = ", ".join(f"{number:,} {what}" for what, number in camp.faults.items())
    print(f"{camp.contender.title}: of some {count:,} deliveries {said}", file=arena.report.out)


def few_enough(name: str) -> bool:
    """Is this one asked to serve the large number? django-eventstream has a thread a client."""
    return name not in ("sse", "eventstream", "group-redis")


Way = Literal["burst", "paced"]
Turns = dict[str, list[Turn]]


def tell(arena: Arena, panels: Panels, name: str, way: Way, clients: int, turns: Turns) -> None:
    for pair in PAIRS:
        if pair.ours in turns and pair.rival in turns:
            compare(arena, pair, f"{name} to {clients:,}", getattr(pair, way), turns)
    panels.append(panel(arena, f"{name}, {clients:,} clients", turns))


def compare(arena: Arena, pair: Pair, what: str, target: float | None, turns: Turns) -> None:
    """As wall time, and as processor time of the server."""
    name = f"{SERVER[pair.ours]}: {what} {pair.versus}"
    ours, rival = (each(turns[one], "seconds") for one in (pair.ours, pair.rival))
    shown = f"{1 / median(ours):,.0f}/s", f"{1 / median(rival):,.0f}/s"
    arena.report.add(Result(name, *shown, harness.times_as_fast(ours, rival), target))
    ours, rival = (each(turns[one], "cpu") for one in (pair.ours, pair.rival))
    shown = f"{median(ours) * 1e6:.1f} µs", f"{median(rival) * 1e6:.1f} µs"
    arena.report.add(Result(f"{name}, CPU", *shown, harness.times_as_fast(ours, rival), target))


def panel(arena: Arena, title: str, turns: Turns) -> Panel:
    bars = [
        Bar(
            arena.camps[name].contender.title,
            1 / typical(some, "seconds"),
            typical(some, "cpu") * 1e6,
            ours=name in SERVER,
        )
        for name, some in turns.items()
    ]
    return Panel(title, bars)


def memory(arena: Arena) -> None:
    for pair in PAIRS:
        if pair.ours in arena.camps and pair.rival in arena.camps:
            ours, rival = (arena.camps[name].memory / 1024 for name in (pair.ours, pair.rival))
            name = f"{SERVER[pair.ours]}: memory of an idle client {pair.versus}"
            arena.report.add(Result(name, f"{ours:.0f} KiB", f"{rival:.0f} KiB", rival / ours))


# Latency


def latency(arena: Arena, plan: Plan) -> None:
    """At a pace that everybody can keep up with."""
    bare = arena.camps.get("bare")
    for name in SERVER:
        camp = arena.camps.get(name)
        if camp is None:
            continue
        called, returned = camp.steady(plan.steady, PACE)
        reference = bare.steady(plan.steady, PACE)[0] if bare else None
        what = f"{SERVER[name]}: emit to {len(camp.crowd.clients):,} sockets, {1 / PACE:.0f}/s"
        tell_delays(arena, what, called, returned, reference)


def tell_delays(
    arena: Arena,
    what: str,
    called: list[float],
    returned: list[float],
    reference: list[float] | None = None,
    limits: Mapping[float, float] = NO_LIMITS,
) -> None:
    """The commit is in these times; the note says what they are without it."""
    for part in (0.5, 0.99):
        ours = harness.percentile(called, part)
        rival = milliseconds(harness.percentile(reference, part)) if reference else ""
        bound = limits.get(part)
        versus = " vs a bare loop" if reference else "" if bound is None else " vs a bound"
        arena.report.add(
            Result(
                f"{what}, p{part * 100:.0f}{versus}",
                milliseconds(ours),
                rival or ("" if bound is None else milliseconds(bound)),
                None if bound is None else ours / bound,
                None if bound is None else 1.0,
                at_most=True,
                note=f"{milliseconds(harness.percentile(returned, part))} after emit returned",
            )
        )


def over(redis: str) -> dict[str, str]:
    """An environment with a layer over Redis, apart from that of other runs."""
    return {"FANOUT_REDIS": redis, "FANOUT_PREFIX": f"fanout-{os.getpid()}"}


def two_processes(
    arena: Arena, plan: Plan, database: str, redis: str = "", cut: bool = False
) -> None:
    """Two servers and an emitter that is neither, with polling so seldom that it cannot help; over
    Redis, or over PostgreSQL, which may `cut` off who listens, every now and then."""
    via = "Redis" if redis else "PostgreSQL, cut off again and again" if cut else "PostgreSQL"
    both = Contender(f"both{len(via)}", f"two servers over {via}", "ours", "uvicorn", OURS)
    hints = over(redis) if redis else {}
    environment = {"FANOUT_DATABASE": database, "FANOUT_POLL": "5", **hints}
    try:
        with ExitStack() as stack:
            servers = []
            for _ in range(2):
                servers.append(Server(both, arena.folder, environment))
                stack.callback(servers[-1].stop)
            crowds = [Crowd(arena.hall, server.port, both.door) for server in servers]
            for crowd in crowds:
                stack.callback(crowd.leave)
                crowd.grow(plan.clients[0] // 2, both.path)
            arena.hall.rest(1)
            if cut:
                stack.enter_context(cut_off(database))
            called, returned = emit_elsewhere(crowds, servers[0].environment, plan.steady)
    except Broken as error:
        return arena.report.skip(both.title, str(error))
    what = f"two servers, {via}, another process emits to {plan.clients[0]:,}"
    tell_delays(arena, what, called, returned, limits=NO_LIMITS if cut else LIMITS[via])


@contextmanager
def cut_off(database: str) -> Iterator[None]:
    """End every connection that listens, each two seconds."""
    import psycopg

    over = threading.Event()

    def cut() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            while not over.wait(2):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
                    "'LISTEN %' AND datname = current_database()"
                )

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def emit_elsewhere(
    crowds: list[Crowd], environment: dict[str, str], count: int
) -> tuple[list[float], list[float]]:
    command = [sys.executable, "-m", "benchmarks.fanout.emitter", "1", str(count), str(PACE)]
    for crowd in crowds:
        crowd.expect(count)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        for crowd in crowds:
            crowd.wait()
        output, _ = process.communicate(timeout=60)
    return delays(crowds, 1, json.loads(output))


# Coming back


def replay(arena: Arena, plan: Plan, database: str) -> None:
    """All clients come back at once, to a server that went on and to one that was restarted."""
    for server in ("uvicorn", "daphne"):
        contender = Contender(
            f"replay-{server}",
            f"replay on {server}",
            "ours",
            server,
            replace(OURS, ready=SUBSCRIBED),
        )
        try:
            for restarted in (False, True):
                return_at_once(arena, plan, contender, database, restarted)
        except Broken as error:
            arena.report.skip(contender.title, str(error))


def return_at_once(
    arena: Arena, plan: Plan, contender: Contender, database: str, restarted: bool
) -> None:
    with ExitStack() as stack:
        server = Server(contender, arena.folder, {"FANOUT_DATABASE": database})
        stack.callback(server.stop)
        stayed = Crowd(arena.hall, server.port, contender.door)
        stack.callback(stayed.leave)
        if not restarted:
            # Somebody stayed, so that the server has gone on reading.
            stayed.grow(1, contender.path)
            stayed.expect(MISSED)
            server.order(1, MISSED)
            stayed.wait()
            server.answer()
        crowd = Crowd(arena.hall, server.port, contender.door)
        stack.callback(crowd.leave)
        crowd.keep = False
        statements, cpu, began = server.statements(), server.cpu(), monotonic()
        crowd.expect(MISSED, plan.returning)
        crowd.grow(plan.returning, contender.path.replace("latest", "0"))
        crowd.wait()
        seconds, cpu = monotonic() - began, server.cpu() - cpu
        statements = server.statements() - statements
        if crowd.counted != MISSED * plan.returning:
            raise Broken(f"{crowd.counted:,} of {MISSED * plan.returning:,} events came")
    how = "after a restart" if restarted else "from a server that went on"
    arena.report.add(
        Result(
            f"{contender.server}: {plan.returning:,} clients replay {MISSED:,} {how}",
            f"{seconds:.2f} s",
            "",
            note=f"{statements} statements, {cpu:.2f} s of the server's processor, "
            f"{MISSED * plan.returning / seconds:,.0f} entries a second",
        )
    )
