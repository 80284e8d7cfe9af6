"""python -m proof.simulation SEED, or --seeds COUNT [--first SEED]: run them, and tell what fails."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from . import by_itself  # noqa: F401
from .report import excerpt
from .run import run

# Seeds that a process is given at a time.
PORTION = 25


def failures_of(seeds):
    """What failed of these, as text: an exception with a traceback may not travel."""
    outcomes = map(run, seeds)
    return [(one.seed, excerpt(one)) for one in outcomes if one.failure is not None]


def simulate(first, count, jobs):
    """All seeds, in their order; those that failed."""
    portions = [
        range(start, min(start + PORTION, first + count))
        for start in range(first, first + count, PORTION)
    ]
    began, failed, done = time.monotonic(), [], 0
    with ProcessPoolExecutor(jobs) as pool:
        for portion, failures in zip(portions, pool.map(failures_of, portions), strict=True):
            done += len(portion)
            for seed, text in failures:
                print(f"\n{text}", flush=True)
                failed.append(seed)
            if sys.stderr.isatty():
                print(f"\r{done}/{count}", end="", file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"{done} seeds from {first} in {seconds:.0f} s; failed: {failed or 'none'}")
    return failed


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="run this one, and show all of it")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()
    if options.seed is None:
        sys.exit(bool(simulate(options.first, options.seeds, options.jobs)))
    outcome = run(options.seed)
    print(excerpt(outcome, lines=None))
    sys.exit(outcome.failure is not None)


if __name__ == "__main__":
    main()
