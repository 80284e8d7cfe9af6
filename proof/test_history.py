"""Many processes write, read, prune and die; afterwards a checker judges the whole history.

Each test is over in seconds. HISTORY_SECONDS=60 lets the mixed ones go on for that long, and
HISTORY_SEED repeats the dice of a run, if not its timing.
"""

import os
import secrets
import signal
from contextlib import ExitStack

import pytest
from django.conf import settings

from tests.support.databases import DATABASES, skip_unless

from .faults.checker import check, report
from .faults.record import FAIL, OK, UNKNOWN
from .faults.scratch import scratch_database
from .faults.team import PATIENCE, Team

SECONDS = float(os.environ.get("HISTORY_SECONDS", "0"))
SEED = os.environ.get("HISTORY_SEED") or secrets.token_hex(4)

# SQLite lets one process write at a time, and the others wait their turn by sleeping.
WRITERS = {"default": 4, "postgres": 12, "mariadb": 12}

# Longer than the two seconds after which a connection that idles with the head locked is cut off,
# and than any emit should take.
SITS = 2.5

everywhere = pytest.mark.parametrize("alias", DATABASES)
# SQLite has one writer: it waits for the others' transactions, whatever we do.
with_many_writers = pytest.mark.parametrize("alias", ["postgres", "mariadb"])


@pytest.fixture(scope="module")
def url_of(tmp_path_factory):
    """Databases of this module's own, each made when it is first asked for."""
    urls = {}
    with ExitStack() as databases:

        def url_of(alias):
            skip_unless(alias)
            if alias not in urls:
                server, folder = settings.URLS.get(alias), tmp_path_factory.mktemp(alias)
                urls[alias] = databases.enter_context(scratch_database(server, folder))
            return urls[alias]

        yield url_of


@pytest.fixture
def team(alias, url_of, tmp_path):
    url = url_of(alias)
    print(f"HISTORY_SEED={SEED}, history in {tmp_path}")
    with Team(url, tmp_path, SEED, log=f"log-{secrets.token_hex(4)}") as team:
        yield team


def assert_holds(history):
    broken = check(history)
    assert not broken, f"HISTORY_SEED={SEED}\n{report(broken)}"


def outcomes(history):
    return {event.outcome for op in history.ops for event in op.events}


@everywhere
def test_many_writers_and_readers(team, alias):
    """Whatever many processes emit is read by all, once and in order (B7, B14, B22, B26-B30, B53)."""
    writers = team.start("writer", WRITERS[alias], ops=20, seconds=SECONDS)
    readers = team.start("reader", 2)
    team.go(*writers, *readers)
    team.run_to_end(*writers, seconds=SECONDS + PATIENCE)
    team.stop(*readers)
    history = team.history()
    assert_holds(history)
    assert UNKNOWN not in outcomes(history)
    assert {op.error.partition("(")[0] for op in history.ops} <= {"", "KeyConflict"}
    assert team.complaints() == []


@everywhere
def test_pruning_beside_writers(team, alias):
    """While old entries go, nobody is shown a hole or told a wrong loss (B7, B12, B15, B19)."""
    writers = team.start("writer", WRITERS[alias] // 2, ops=15, seconds=SECONDS, keys=False)
    readers, pruners = team.start("reader"), team.start("prunes", 2)
    team.go(*writers, *readers, *pruners)
    team.run_to_end(*writers, seconds=SECONDS + PATIENCE)
    team.stop(*pruners)
    team.stop(*readers)
    history = team.history()
    assert_holds(history)
    assert history.floor > 0
    assert UNKNOWN not in outcomes(history)


@everywhere
def test_writers_that_are_killed(team, alias):
    """SIGKILL at any moment loses nothing acknowledged and leaves nothing half done (B26)."""
    doomed = team.start("writer", WRITERS[alias] // 2, dies_within=1.5 + SECONDS)
    others = team.start("writer", 1, ops=20, seconds=SECONDS)
    readers = team.start("reader")
    team.go(*doomed, *others, *readers)
    for writer in doomed:
        assert writer.end(SECONDS + PATIENCE) == -signal.SIGKILL, writer.complaint()
    team.run_to_end(*others, seconds=SECONDS + PATIENCE)
    team.stop(*readers)
    history = team.history()
    assert_holds(history)
    assert OK in outcomes(history)


@everywhere
def test_a_writer_killed_after_its_commit(team):
    """What was committed is read by the next who looks, hook or no hook (B26)."""
    [writer], readers = team.start("dies_after_commit"), team.start("reader")
    team.go(writer)
    assert writer.end() == -signal.SIGKILL
    team.go(*readers)
    team.stop(*readers)
    history = team.history()
    assert_holds(history)
    assert history.head == 6


@everywhere
def test_who_comes_after_a_writer_killed_after_its_commit(team):
    """Whoever emits next comes after what was committed, and sees to it itself (B28)."""
    [writer] = team.start("dies_after_commit")
    others, readers = team.start("writer", ops=1, shapes=["direct"]), team.start("reader")
    team.go(writer)
    assert writer.end() == -signal.SIGKILL
    team.go(*others)
    team.run_to_end(*others)
    team.go(*readers)
    team.stop(*readers)
    assert_holds(team.history())


@everywhere
def test_a_writer_that_takes_a_savepoint_back(team):
    """What it emits after that has its place when the commit returns, before anybody asks (B29)."""
    writers, readers = team.start("takes_back"), team.start("reader", inside=True)
    team.go(*writers)
    team.run_to_end(*writers)
    team.go(*readers)
    team.stop(*readers)
    assert_holds(team.history())


@everywhere
@pytest.mark.parametrize("role", ["dies_before_commit", "dies_in_the_ledger"])
def test_a_writer_killed_before_its_commit(team, role):
    """Nothing of it is seen, and the next event gets the position that it would have had (B26)."""
    [writer] = team.start(role)
    others, readers = team.start("writer", 1, ops=3, keys=False), team.start("reader")
    team.go(writer)
    assert writer.end() == -signal.SIGKILL
    team.go(*others, *readers)
    team.run_to_end(*others)
    team.stop(*readers)
    assert_holds(team.history())


def history_beside(team, stopped, writers):
    """What others write and read while one stands still, and what comes when it goes on."""
    others, readers = team.start("writer", writers, ops=5), team.start("reader")
    team.go(stopped)
    stopped.wait_until_it_stands_still()
    team.go(*others, *readers)
    team.run_to_end(*others)
    stopped.wake()
    team.run_to_end(stopped)
    team.stop(*readers)
    history = team.history()
    assert_holds(history)
    return history


@with_many_writers
@pytest.mark.parametrize("before", ["entries", "head"])
def test_a_writer_that_stops_with_the_head_locked(team, before):
    """The others wait no longer than the lock timeout and lose nothing; nor does it (B26)."""
    [stopped] = team.start("stops", before=before)
    history = history_beside(team, stopped, writers=3)
    waited = [op.end - op.start for op in history.ops if not op.id.startswith("stops")]
    assert 0.5 < max(waited) < 5
    assert {op.error.partition("(")[0] for op in history.ops} <= {"", "KeyConflict"}


@with_many_writers
@pytest.mark.parametrize("before", ["turn", "head"])
def test_a_process_that_stops_while_its_thread_sequences(team, before):
    """What it has committed is seen by whoever reads, once, also when it goes on (B26, B28)."""
    [stopped] = team.start("stops_in_the_background", before=before)
    history = history_beside(team, stopped, writers=2)
    assert max(op.end - op.start for op in history.ops if op.id.startswith("writer")) < 5
    [op] = [op for op in history.ops if op.id.startswith("stops")]
    assert op.outcome == OK
    assert all(event.uid in history.places for event in op.events)


@with_many_writers
def test_an_open_transaction_delays_nobody(team):
    """Others emit at once, also with the same keys, and it is not cut off itself (B27, B30)."""
    [sitting] = team.start("sits", seconds=SITS)
    others, readers = team.start("writer", 2, ops=10), team.start("reader")
    team.go(sitting)
    sitting.hear("sitting")
    team.go(*others, *readers)
    team.run_to_end(*others)
    team.stop(sitting)
    team.stop(*readers)
    history = team.history()
    assert_holds(history)
    assert FAIL not in {op.outcome for op in history.ops if op.id.startswith("sits")}
    assert max(op.end - op.start for op in history.ops if op.id.startswith("writer")) < SITS


@pytest.mark.parametrize("alias", ["postgres"])
def test_connections_that_are_cut(team):
    """Losing its connection at any moment, a writer loses nothing acknowledged (B26)."""
    writers = team.start("writer", 6, ops=20, seconds=SECONDS)
    readers, terminators = team.start("reader"), team.start("terminates")
    team.go(*writers, *readers, *terminators)
    team.run_to_end(*writers, seconds=SECONDS + PATIENCE)
    team.stop(*terminators)
    team.stop(*readers)
    assert_holds(team.history())
