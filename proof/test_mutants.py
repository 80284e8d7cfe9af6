"""The table of mutants does not rot: each still applies to the source as it is."""

import re
from pathlib import Path

import pytest

from tests.support.postgres_server import binaries
from tests.support.servers import by_hand

from .faults.rounds import ROUNDS
from .mutants.__main__ import main
from .mutants.table import MUTANTS

ROOT = Path(__file__).resolve().parent.parent
# Its check is among the quickest.
CHEAP = "epoch ignored"
named = pytest.mark.parametrize("mutant", MUTANTS, ids=[one.name for one in MUTANTS])


@named
def test_it_applies(mutant):
    """Its old texts are in the source, once each, and what comes of it is Python, where that was."""
    for path, old, new in mutant.changes:
        text = (ROOT / path).read_text()
        assert text.count(old) == 1
        if path.endswith(".py"):
            compile(text.replace(old, new), path, "exec")


@named
def test_its_check_is_there(mutant):
    """The test that has to catch it exists under that name."""
    path, *names = mutant.caught_by.split("::")
    text = (ROOT / path).read_text()
    for name in names:
        bare = re.escape(name.partition("[")[0])
        assert re.search(rf"(def|class) {bare}\b", text)


def test_no_two_have_the_same_name():
    assert len({one.name for one in MUTANTS}) == len(MUTANTS)


def test_the_documentation_names_what_there_is():
    """Promise by promise: rounds, mutants and tests under their names; and every round is described."""
    page = (ROOT / "docs/proof.md").read_text()
    [rows] = re.findall(r"^## Promise by promise$(.*?)^## ", page, re.M | re.S)
    table = re.findall(r"^\|(.*)\|(.*)\|(.*)\|$", rows, re.M)[2:]
    assert len(table) > 10
    rounds = {one.name for one in ROUNDS}
    assert rounds == set(re.findall(r"^\| `([a-z ]+)` \|", page, re.M))
    for promise, proofs, mutants in table:
        assert set(re.findall(r"`(.+?)`", mutants)) <= {one.name for one in MUTANTS}, promise
        for name in re.findall(r"`(.+?)`", proofs):
            is_command = name.startswith(("make ", "python -m "))
            assert is_command or name in rounds or (ROOT / name).exists(), name


def test_a_name_that_no_mutant_has(capsys):
    """It is a mistake of whoever asks, and nothing is said to be as it should be."""
    assert main(["floor", "no such thing"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "There is no mutant 'no such thing' in proof/mutants/."
    ]


@pytest.mark.skipif(binaries() is None, reason="PostgreSQL's server is not installed")
def test_the_command_judges():
    """It starts where no test has prepared anything, finds the check passing, and then failing."""
    done = by_hand("proof.mutants", CHEAP)
    assert done.stdout.endswith("2 of 2 as they should be\n"), done.stdout + done.stderr
