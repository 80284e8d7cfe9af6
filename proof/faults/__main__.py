"""Let everything fail that can, and judge what the processes saw.

    python -m proof.faults [--seconds 210] [--seed s] [--round processes] [--keep FOLDER]

The seconds are those in which faults strike, shared among the rounds. The seed repeats what is
drawn (which faults, in which order, what writers do), if not how the machine times it.
"""

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.support.postgres_server import binaries

from .checker import check, report
from .excerpt import excerpt
from .rounds import ROUNDS, SHORT
from .stores import Stores
from .world import World


def main():
    known = {one.name: one for one in (*ROUNDS, SHORT)}
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=210)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--round", action="append", choices=known, help="only this one; repeatable")
    parser.add_argument("--keep", type=Path, help="where the histories go (default: nowhere)")
    options = parser.parse_args()
    chosen = [known[name] for name in options.round or [one.name for one in ROUNDS]]
    if lacking := list(missing(chosen)):
        sys.exit(f"This cannot be run here without {' and '.join(lacking)}.")
    # Whoever ends this ends all that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    folder = options.keep or Path(tempfile.mkdtemp(prefix="faults-"))
    print(f"seed {options.seed}, histories in {folder}", flush=True)
    with Stores() as stores:
        broken = [
            one.name
            for one in chosen
            if not holds(one, options.seed, options.seconds / len(chosen), folder, stores)
        ]
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")
    if not options.keep:
        shutil.rmtree(folder)


def missing(rounds):
    """What the rounds need and this machine has not. Half a run must not look like a whole one."""
    if binaries() is None and any(one.database == "postgres" for one in rounds):
        yield "the programs of a PostgreSQL server (initdb, postgres)"
    if shutil.which("redis-server") is None and any(one.layer or one.on_redis for one in rounds):
        yield "redis-server"


def holds(round, seed, seconds, folder, stores):
    """Run a round, and tell of it."""
    began = time.monotonic()
    try:
        history = run(round, seed, seconds, folder, stores)
    except Exception:
        trouble = f"the harness itself failed:\n{traceback.format_exc()}"
    else:
        print(f"{round.name:10} {time.monotonic() - began:4.0f} s: {summary(history)}", flush=True)
        broken = check(history)
        trouble = report(broken)
        if broken:
            first = next(iter(broken.values()))[0]
            trouble += f"\n\n{excerpt(folder / round.name, history, first)}"
    if trouble:
        again = f"make faults ARGS='--round \"{round.name}\" --seed {seed} --seconds {seconds:.0f}'"
        print(f"\nBROKEN in {folder / round.name}\n{trouble}\n\nAgain: {again}\n", flush=True)
    return not trouble


def run(round, seed, seconds, folder, stores):
    """The history of a round."""
    own = folder / round.name
    own.mkdir(parents=True)
    with World(round, seed, own, stores) as world:
        world.suffer(seconds)
        return world.settle()


def summary(history):
    """How much there was to judge."""
    outcomes = Counter(op.outcome for op in history.ops)
    strikes = Counter(
        mark.what.partition(":")[0] for mark in history.marks if mark.what.endswith(": strikes")
    )
    ops = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    faults = ", ".join(f"{name} {count}" for name, count in sorted(strikes.items()))
    arrivals = sum(len(one.entries) for one in history.arrivals)
    return f"{history.head} entries; ops {ops}; {arrivals} deliveries; {faults}"


if __name__ == "__main__":
    main()
