"""Servers, writers and readers at work while everything around them fails: a short run.

`make faults` does it for longer, a round for each kind of fault. FAULTS_SEED repeats the dice.
"""

import os
import re
import secrets
import shutil

import pytest

from tests.support.postgres_server import binaries
from tests.support.servers import by_hand

from .faults.excerpt import excerpt
from .faults.kill_points import DELIVERING, HANDLING, NOTICES, POINTS, RELAYING, found
from .faults.record import Recorder
from .faults.rounds import ROUNDS, SHORT
from .histories import good_history

SEED = os.environ.get("FAULTS_SEED") or secrets.token_hex(4)


@pytest.mark.skipif(binaries() is None, reason="PostgreSQL's server is not installed")
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_everything_fails_in_turn(tmp_path):
    """B7, B15, B26, B28-B38, B51-B57, B60, B66: and every client sees all of it, once, in order.

    By the command, which has to start where no test has prepared anything.
    """
    options = ["--round", SHORT.name, "--seconds", "0", "--seed", SEED, "--keep", str(tmp_path)]
    done = by_hand("proof.faults", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    struck = set(re.findall(r"(\w+) \d+(?:,|$)", done.stdout, re.M))
    assert {one.__name__ for one in SHORT.nemeses} <= struck, done.stdout


@pytest.mark.parametrize("points", [POINTS, NOTICES, RELAYING, HANDLING, DELIVERING])
def test_every_point_where_a_process_dies_is_there(points):
    """A point that is not there any more would kill nobody, and nobody would notice."""
    for path, attribute, when in points.values():
        assert callable(getattr(found(path), attribute))
        assert when in ("before", "after")


def test_what_is_broken_is_shown_with_its_lines(tmp_path):
    """The lines about the events and positions that a finding names, in the order of time."""
    history = good_history()
    recorder = Recorder(tmp_path / "writer-1.jsonl")
    for one in (*history.pages, *history.ops):
        recorder.write(one)
    recorder.close()
    lines = excerpt(tmp_path, history, "b is at [2, 4]").splitlines()
    assert ['"two"' in line for line in lines][:1] == [True]
    assert all('"b"' in line or '"d"' in line for line in lines)
    assert not any('"a"' in line for line in lines)


def test_every_nemesis_says_what_it_does():
    """`make faults` names it, and the reader wants to know."""
    for nemesis in {one for chosen in ROUNDS for one in chosen.nemeses}:
        assert nemesis.__doc__
