"""Everything that goes wrong at once, and again: see `proof/simulation`."""

import os
import subprocess
import sys

import pytest

from .simulation.report import excerpt
from .simulation.run import run

SEEDS = 300
PORTION = 30
# One with a bit of everything in it.
BUSY = 7


@pytest.mark.parametrize("first", range(0, SEEDS, PORTION))
def test_whatever_goes_wrong_every_reader_gets_what_is_its(first):
    """B7, B12, B13, B31, B32, B34, B35, B38, B48, B61, B63: `make simulate` runs many more."""
    for seed in range(first, first + PORTION):
        outcome = run(seed)
        assert outcome.failure is None, excerpt(outcome)


def test_a_seed_is_one_run():
    """What failed once fails again."""
    assert run(BUSY).trace == run(BUSY).trace
    assert run(BUSY).trace != run(BUSY + 1).trace


def test_a_seed_is_the_same_run_elsewhere():
    """In another process, whose hashes are others, and printed as somebody reads it."""
    code = f"from proof.simulation import __main__ as m; print(m.excerpt(m.run({BUSY}), None))"
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONHASHSEED": hashes,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert "follower" in printed[0]
