"""Sequencing off the caller's path: what the thread may change is when, and nothing else."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections, transaction

from events import hints
from events.backends.database import hook, lock, sequencer
from events.backends.database.ledger import BATCH, Ledger
from events.live.tail import follow
from events.models import Event, Outbox
from events.threads import own_connection

from .contract import in_threads
from .support.connections import next_batch
from .support.servers import ROOT
from .support.sites import scratch_site
from .test_sequencer import elsewhere, holder, kinds

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["postgres", "mariadb"])
def alias(request):
    return request.param


@pytest.fixture
def log(make_log, alias):
    log = make_log(alias)
    log.append("zero")
    return log


@pytest.fixture
def background(monkeypatch):
    """Threads as in production; they end, with their connections, before the database does."""
    monkeypatch.setattr(sequencer, "in_test_environment", lambda: False)
    yield
    for thread in list(sequencer._sequencers.values()):
        thread.stop()
    sequencer._sequencers.clear()


@pytest.fixture
def asleep(background, monkeypatch):
    """The thread never comes to its work: as if the process had died after its commit."""
    monkeypatch.setattr(sequencer.Sequencer, "_run", lambda thread: None)


def commit(log, alias, *kinds_, **fields):
    with transaction.atomic(using=alias):
        for kind in kinds_ or ["n"]:
            log.append(kind, **fields)


def stored(log, alias):
    """The positions that are stored. Not a read, which would sequence what waits."""
    events = Event.objects.using(alias).filter(log__name=log.name).order_by("position")
    return list(events.values_list("position", flat=True))


def waiting(log, alias):
    return Outbox.objects.using(alias).filter(log=log.name).count()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class TestThread:
    def test_the_commit_does_not_wait_for_the_head(self, log, alias, background):
        """B27: somebody has the head, and the caller goes on; afterwards the event has its place."""
        with elsewhere(holder(log, alias)):
            began = time.monotonic()
            commit(log, alias)
            assert time.monotonic() - began < 1
            assert stored(log, alias) == [1]
        until(lambda: stored(log, alias) == [1, 2])

    def test_a_hint_follows(self, log, alias, background, monkeypatch):
        """B31: within 50 ms on an idle machine, with a head that has the event."""
        told = threading.Event()
        monkeypatch.setattr(hints, "_listeners", [lambda name, head: head == 2 and told.set()])
        commit(log, alias)
        assert told.wait(5)

    def test_many_at_once_are_sequenced_once_and_in_order(self, log, alias, background):
        """B22, B26: by several threads, of which each is in the order of its emits."""

        def work(number):
            for n in range(20):
                commit(log, alias, payload={"id": [number, n]}, stream=f"s{number % 2}")

        in_threads(4, work)
        until(lambda: not waiting(log, alias))
        entries = log.read(1).entries
        assert [entry.position for entry in entries] == list(range(2, 82))
        for number in range(4):
            own = [e.payload["id"][1] for e in entries if e.payload["id"][0] == number]
            assert own == list(range(20))
        for name in ("s0", "s1"):
            assert [e.seq for e in entries if e.stream == name] == list(range(1, 41))

    def test_a_batch_is_one_transaction(self, log, alias, background, monkeypatch):
        """B26: what fails before the head is saved has neither entries nor rows taken."""
        save, failures, failed = Ledger.save, [3], threading.Event()

        def fail(ledger):
            if failures[0]:
                failures[0] -= 1
                if failures[0] == 0:
                    failed.set()
                raise OperationalError("the server is gone")
            save(ledger)

        monkeypatch.setattr(Ledger, "save", fail)
        monkeypatch.setattr(sequencer, "PAUSE", 0.2)
        commit(log, alias, "a", "b", "c")
        assert failed.wait(10)
        assert (stored(log, alias), waiting(log, alias)) == ([1], 3)
        until(lambda: stored(log, alias) == [1, 2, 3, 4])
        assert waiting(log, alias) == 0
        assert kinds(log) == ["zero", "a", "b", "c"]

    def test_a_lost_connection_is_made_again(self, log, alias, background):
        """B26: the database was started anew, and nothing is lost."""
        commit(log, alias)
        until(lambda: stored(log, alias) == [1, 2])
        with connections[alias].cursor() as cursor:
            cut_off_others(cursor, alias)
        commit(log, alias)
        until(lambda: stored(log, alias) == [1, 2, 3])

    def test_logs_take_turns(self, make_log, alias, background, monkeypatch):
        """B34: a log with very much to sequence does not keep the others waiting."""
        monkeypatch.setattr(sequencer, "TURN", 0.0)
        long, short = make_log(alias), make_log(alias)
        with elsewhere(holder(long, alias)) if long.append("zero") else None:
            commit(long, alias)
            commit(short, alias)
            until(lambda: stored(short, alias) == [1])
            assert stored(long, alias) == [1]
        until(lambda: stored(long, alias) == [1, 2])

    def test_its_connection_is_beside_the_pool(self, settings):
        """B27: a pool is small and the whole site's."""
        connections.settings["default"]["OPTIONS"]["pool"] = True
        try:
            assert "pool" not in own_connection("default").settings_dict["OPTIONS"]
            assert connections.settings["default"]["OPTIONS"]["pool"]
        finally:
            del connections.settings["default"]["OPTIONS"]["pool"]


def cut_off_others(cursor, alias):
    if alias == "postgres":
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return
    cursor.execute(
        "SELECT id FROM information_schema.processlist "
        "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    )
    for (number,) in cursor.fetchall():
        cursor.execute(f"KILL {number}")


class TestPromises:
    def test_a_read_drains(self, log, alias, asleep):
        """B26: what is committed is seen, whether the thread has come to it or not."""
        commit(log, alias)
        assert kinds(log) == ["zero", "n"]

    @pytest.mark.parametrize("verb", ["append", "append_many"])
    def test_a_direct_emit_drains(self, log, alias, asleep, verb):
        """B28: what was committed before it began comes before it."""
        commit(log, alias, "committed")
        log.append("direct") if verb == "append" else log.append_many([("direct", {})])
        assert [event.kind for event in Event.objects.using(alias).order_by("position")] == [
            "zero",
            "committed",
            "direct",
        ]

    def test_reconciling_takes_what_a_dead_process_left(self, log, alias, asleep):
        """B26"""
        commit(log, alias)
        log.reconcile()
        assert stored(log, alias) == [1, 2]

    def test_a_step_is_sequenced_at_once(self, log, alias, asleep):
        """B55: the checks of the next transaction read the stream's status."""
        with transaction.atomic(using=alias):
            log.append("n", stream="run")
            log.stream("run").open()
            log.append("m", stream="run")
        assert stored(log, alias) == [1, 2, 3, 4]
        with transaction.atomic(using=alias):
            log.stream("run").wait()
        assert stored(log, alias) == [1, 2, 3, 4, 5]

    def test_a_step_that_is_taken_back_leaves_the_rest_to_the_thread(self, log, alias, asleep):
        """B55"""
        with transaction.atomic(using=alias):
            log.append("n")
            with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
                log.stream("run").open()
                raise ZeroDivisionError
        assert (stored(log, alias), waiting(log, alias)) == ([1], 1)

    def test_a_repeated_key_is_answered_with_a_receipt(self, log, alias, asleep):
        """B30: until its first event has a position."""
        commit(log, alias, key="k")
        with transaction.atomic(using=alias):
            assert log.append("n", key="k").position is None
        assert log.append("n", key="k").position == 2

    def test_a_read_in_a_transaction_waits_for_the_thread(self, log, alias, background):
        """B27: it may not sequence, but what was committed before it is there all the same."""
        for n in range(5):
            commit(log, alias)
            with transaction.atomic(using=alias):
                assert len(kinds(log)) == n + 2


class TestInline:
    def test_where_it_is_asked_for(self, make_log, alias, asleep):
        """B26: a commit then returns with the positions given."""
        log = make_log(alias, OPTIONS={"sequence": "inline"})
        commit(log, alias)
        assert stored(log, alias) == [1]

    def test_in_a_test_environment(self, log, alias):
        """B68: there is no thread, whose connection would outlive the database."""
        commit(log, alias)
        assert stored(log, alias) == [1, 2]
        assert not sequencer._sequencers

    def test_for_a_command_that_ends_with_its_work(self, log, alias, asleep, monkeypatch):
        monkeypatch.setattr(sequencer, "_inline", False)
        log.backend.sequence_inline()
        commit(log, alias)
        assert stored(log, alias) == [1, 2]

    @pytest.mark.parametrize(
        ("options", "inline"), [({}, True), ({"enable-threads": b"true"}, False)]
    )
    def test_under_uwsgi_without_threads(self, log, alias, asleep, monkeypatch, options, inline):
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
        sequencer.has_threads.cache_clear()
        try:
            commit(log, alias)
            assert (stored(log, alias) == [1, 2]) is inline
        finally:
            sequencer.has_threads.cache_clear()

    def test_when_the_thread_is_behind(self, log, alias, asleep, monkeypatch):
        """B34: those who write have to help, so that a backlog ends."""
        commit(log, alias)
        assert waiting(log, alias) == 1
        monkeypatch.setattr(sequencer, "BEHIND", -1)
        commit(log, alias)
        assert stored(log, alias) == [1, 2, 3]

    def test_where_no_thread_can_be_started(self, log, alias, background, monkeypatch):
        """B33: the interpreter is ending."""

        def refuse(thread):
            raise RuntimeError("can't start new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        commit(log, alias)
        assert stored(log, alias) == [1, 2]


class TestProcesses:
    def test_a_fork_after_the_thread_has_started(self, log, alias, background):
        """B35: the child gets a thread of its own, flushes before it ends, and harms no connection
        of the parent's."""
        commit(log, alias)
        until(lambda: stored(log, alias) == [1, 2])
        connections.close_all()
        child = FORK.Process(target=commit, args=(log, alias, "a", "b"))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert stored(log, alias) == [1, 2, 3, 4]
        commit(log, alias)
        until(lambda: stored(log, alias) == [1, 2, 3, 4, 5])

    def test_a_child_of_billiard_flushes_too(self, log, alias, background):
        """B35: such are Celery's workers."""
        billiard = pytest.importorskip("billiard", reason="billiard (Celery) is not installed")
        connections.close_all()
        child = billiard.get_context("fork").Process(target=commit, args=(log, alias, "a", "b"))
        child.start()
        child.join(20)
        assert stored(log, alias) == [1, 2, 3]

    def test_a_process_that_ends_flushes(self, tmp_path):
        """B35: its last transaction has its positions, without anybody who reads."""
        code = (
            "from django.db import transaction; from events import emit\n"
            "with transaction.atomic():\n    [emit('n') for _ in range(3)]"
        )
        look = "from events.models import *; print(Outbox.objects.count(), Event.objects.count())"
        with scratch_site("postgres", tmp_path) as site:
            command = [sys.executable, "manage.py", "shell", "-v0", "-c"]
            shared = {"cwd": ROOT, "env": site.environment, "check": True}
            subprocess.run([*command, code], **shared)
            found = subprocess.run([*command, look], **shared, capture_output=True, text=True)
        assert found.stdout.split()[-2:] == ["0", "3"]

    @pytest.mark.parametrize("point", ["hook", "ring", "turn", "locked", "taken", "save", "hint"])
    def test_a_kill_at_any_step(self, log, alias, background, point):
        """B26: after the commit nothing is lost or doubled, whenever the process dies."""
        connections.close_all()
        child = FORK.Process(target=commit_and_die, args=(log, alias, point))
        child.start()
        child.join(20)
        assert child.exitcode == -signal.SIGKILL
        commit(log, alias, "after")
        assert kinds(log) == ["zero", "a", "b", "after"]


def commit_and_die(log, alias, point):
    owner, name = {
        "hook": (hook.Hook, "__call__"),
        "ring": (sequencer.Sequencer, "_start"),
        "turn": (sequencer.Sequencer, "_serve"),
        "locked": (Ledger, "sequence"),
        "taken": (Ledger, "save"),
        "save": (lock.LedgerLock, "_standing"),
        "hint": (hints, "send"),
    }[point]
    original, left = getattr(owner, name), [2 if point == "save" else 1]

    def die(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, die)
    commit(log, alias, "a", "b")
    time.sleep(20)


@contextmanager
def backlog(log, alias, count, monkeypatch):
    """So much committed, and not sequenced, that a reader's patience ends before it is."""
    with transaction.atomic(using=alias):
        log.append_many([("n", {"n": n}) for n in range(count)])
    monkeypatch.setattr("events.backends.database.backend.READER_PATIENCE", 0)
    yield


class TestLargeTransactions:
    def test_a_read_answers_with_a_prefix(self, log, alias, asleep, monkeypatch, get):
        """B34: and with a `next`, until it has had what was there when it first looked."""
        with backlog(log, alias, 2 * BATCH + 10, monkeypatch):
            found = log.backend.read(log.query(limit=10))
            assert (found.state.head, found.caught_up) == (1 + BATCH, False)
            answer = get(since=1 + BATCH, limit=10).json()
            assert answer["next"] is not None
            assert log.info().head == 11 + 2 * BATCH
        assert log.backend.read(log.query(limit=1000, since=500)).caught_up is True

    async def test_nobody_is_live_meanwhile(self, make_log, monkeypatch):
        """B34: a follower gets the prefix, and is told that it has caught up when it has."""
        log = make_log("postgres", OPTIONS={"lock_timeout": 0.2})
        await sync_to_async(log.append)("zero")
        with monkeypatch.context() as patch:
            patch.setattr(hook.Hook, "__call__", lambda hook: None)
            await sync_to_async(commit)(log, "postgres")
        held = elsewhere(holder(log, "postgres"))
        await sync_to_async(held.__enter__)()
        try:
            async with follow(log.backend, log.query()) as tail:
                first = [await next_batch(tail, 5), await next_batch(tail, 5)]
                assert [entry.row.kind for batch in first for entry in batch.entries] == ["zero"]
                assert await next_batch(tail, 0.7) is None
                assert not tail.live
                await sync_to_async(held.__exit__)(None, None, None)
                then = [await next_batch(tail, 5), await next_batch(tail, 5)]
                assert [entry.row.kind for entry in then[0].entries] == ["n"]
                assert then[1].live
        finally:
            await sync_to_async(connections.close_all)()
