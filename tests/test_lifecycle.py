"""The life of a stream: on every backend, in and out of transactions, and over HTTP."""

import asyncio
import logging
import os
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission
from django.db import connections, transaction

from events.backends.database import rows
from events.exceptions import InvalidEvent, InvalidTransition, KeyConflict, StreamClosed
from events.testing import ManualClock
from events.types import Status

from .support.databases import DATABASES
from .support.http_client import API

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

# RACES=10000 lets a last event and the end of its stream meet so often.
RACES = int(os.environ.get("RACES", "60"))

ENDS = {
    "complete": ("stream.completed", "completed"),
    "fail": ("stream.failed", "failed"),
    "stop": ("stream.stopped", "stopped"),
}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["default", "postgres", "mariadb", "memory", "redis"])
def log(request, make_log, clock):
    if request.param == "memory":
        bound = 4 * max(RACES, 1000)
        return make_log(BACKEND="memory", TTL=None, MAX_ENTRIES=bound, OPTIONS={"clock": clock})
    if request.param == "redis":
        return make_log("postgres", BACKEND="redis", OPTIONS={"clock": clock})
    return make_log(request.param, OPTIONS={"clock": clock})


@pytest.fixture
def atomic(log):
    """A transaction on the log's own database."""
    return lambda: transaction.atomic(using=getattr(log.backend, "alias", "default"))


@pytest.fixture
def run(log):
    return log.stream("run-42")


def story(log):
    """What the log tells: kinds, with their payloads where there is something in them."""
    return [
        (entry.kind, entry.payload) if entry.payload else entry.kind for entry in log.read().entries
    ]


class TestSteps:
    def test_a_whole_life(self, log, run):
        """B54: each step is an event, with the status that it tells of."""
        assert run.status is None
        assert run.open().kind == "stream.opened"
        assert run.status == Status.RUNNING
        run.emit("n")
        assert run.wait().seq == 3
        assert run.status == Status.WAITING
        run.resume()
        assert run.complete({"n": 1}).seq == 5
        assert run.status == Status.COMPLETED
        assert story(log) == [
            "stream.opened", "n", "stream.waiting", "stream.resumed", ("stream.completed", {"n": 1}),
        ]  # fmt: skip
        info = run.info()
        assert (info.seq, info.first_position, info.last_position) == (5, 1, 5)
        assert info.opened_at <= info.closed_at == info.last_event_at

    @pytest.mark.parametrize("verb", ENDS)
    def test_ends(self, log, run, verb):
        """B55: once, and for good; B56: nothing comes after it."""
        kind, status = ENDS[verb]
        run.open()
        assert getattr(run, verb)().kind == kind
        assert getattr(run, verb)() is None
        assert run.status == status
        with pytest.raises(StreamClosed):
            run.emit("n")
        for other in ENDS.keys() - {verb}:
            with pytest.raises(InvalidTransition, match=status):
                getattr(run, other)()
        for other in ("open", "wait", "resume"):
            with pytest.raises(InvalidTransition):
                getattr(run, other)()
        assert len(log.read().entries) == 2
        assert log.info().head == 2

    def test_repeating_adds_nothing(self, log, run):
        """B55"""
        run.open()
        assert run.open() is None
        assert run.resume() is None
        run.wait()
        assert run.wait() is None
        with pytest.raises(InvalidTransition):
            run.open()
        assert story(log) == ["stream.opened", "stream.waiting"]
        assert log.info().head == 2

    def test_one_that_was_only_emitted_to(self, log, run):
        """It has no status; it may be opened, or ended as it is."""
        run.emit("n")
        for verb in ("wait", "resume"):
            with pytest.raises(InvalidTransition, match="not open"):
                getattr(run, verb)()
        run.open()
        other = log.stream("other")
        other.emit("n")
        other.stop("enough")
        assert other.status == "stopped"
        assert story(log)[-1] == ("stream.stopped", {"reason": "enough"})

    def test_one_that_is_not_there(self, log, run):
        for verb in ("wait", "resume"):
            with pytest.raises(InvalidTransition):
                getattr(run, verb)()
        assert log.info().head == 0
        assert run.info() is None

    def test_its_kinds_are_its_own(self, log, run):
        """B54: nobody else can say so."""
        for kind in ("stream.opened", "stream.completed", "stream.deleted", "stream.other"):
            with pytest.raises(InvalidEvent, match="reserved"):
                run.emit(kind)

    @pytest.mark.parametrize("timeout", [0, -1, "300", True, float("nan"), float("inf")])
    def test_a_timeout_that_is_none(self, run, timeout):
        with pytest.raises(ValueError, match="idle_timeout"):
            run.open(timeout)

    async def test_asynchronous_twins(self, make_log):
        log = make_log(BACKEND="memory", TTL=None)
        run = log.stream("s")
        await run.aopen(idle_timeout=None)
        await run.aemit("n")
        await run.await_()
        await run.aresume()
        assert await run.astatus() == "running"
        await run.acomplete()
        assert (await run.ainfo()).seq == 5

    def test_a_retry_of_an_event_before_the_end(self, log):
        """B30, B56: the same key answers with the first entry, also when the stream has ended."""
        run = log.stream("s")
        run.open()
        first = run.emit("n", {"a": 1}, key="k")
        run.complete()
        assert run.emit("n", {"a": 1}, key="k") == first
        with pytest.raises(KeyConflict):
            run.emit("n", {"a": 2}, key="k")
        with pytest.raises(StreamClosed):
            run.emit("n", {"a": 1}, key="new")
        assert run.info().seq == 3


class TestContext:
    def test_it_completes(self, log, run):
        with log.stream("run-42") as opened:
            opened.emit("n")
        assert story(log) == ["stream.opened", "n", "stream.completed"]

    def test_it_fails(self, log, run):
        """And the error goes on."""
        with pytest.raises(KeyError):
            with run:
                raise KeyError("bo\0om\ud800")
        assert run.status == "failed"
        assert story(log)[-1][1]["reason"].startswith("KeyError")

    def test_a_very_long_error(self, log, run):
        with pytest.raises(ValueError, match="x"):
            with run:
                raise ValueError("x" * 10**6)
        assert len(story(log)[-1][1]["reason"]) == 500

    def test_one_that_ended_by_itself(self, log, run):
        """Nothing is added, and nothing is wrong."""
        with run:
            run.fail("seen inside")
        assert story(log)[-1] == ("stream.failed", {"reason": "seen inside"})

    def test_one_that_is_stopped(self, log, run):
        """A worker that does not look is told by its next event; that is what it gets."""
        with pytest.raises(StreamClosed):
            with run:
                log.stream("run-42").stop("enough")
                run.emit("n")
        assert run.status == "stopped"

    async def test_asynchronously(self, make_log):
        log = make_log(BACKEND="memory", TTL=None)
        async with log.stream("good") as run:
            await run.aemit("n")
        with pytest.raises(ZeroDivisionError):
            async with log.stream("bad"):
                1 / 0  # noqa: B018
        assert (log.stream("good").status, log.stream("bad").status) == ("completed", "failed")

    async def test_a_task_that_is_cancelled_while_it_opens(self, make_log, monkeypatch):
        """The thread opens the stream all the same; it must not be left running."""
        log = make_log(BACKEND="memory", TTL=None)
        opening, go_on = threading.Event(), threading.Event()
        step = type(log.backend).step

        def slowly(backend, item):
            if item.kind == "stream.opened":
                opening.set()
                go_on.wait(10)
            return step(backend, item)

        monkeypatch.setattr(type(log.backend), "step", slowly)

        async def work():
            async with log.stream("s"):
                pytest.fail("it was cancelled before")

        task = asyncio.ensure_future(work())
        await asyncio.to_thread(opening.wait, 10)
        task.cancel()
        go_on.set()
        await asyncio.gather(task, return_exceptions=True)
        assert log.stream("s").status == "failed"

    async def test_a_task_that_is_cancelled(self, make_log):
        """It has failed, whatever a cancellation otherwise interrupts."""
        log = make_log(BACKEND="memory", TTL=None)

        async def work():
            async with log.stream("s"):
                await asyncio.sleep(60)

        task = asyncio.ensure_future(work())
        while log.stream("s").status is None:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert log.stream("s").status == "failed"


class TestInTransactions:
    def test_a_whole_life(self, log, run, atomic):
        """B54: all of it, or nothing."""
        with atomic():
            assert run.open().position is None
            run.emit("n")
            run.wait()
            assert run.wait() is None
            run.resume()
            run.complete()
            with pytest.raises(StreamClosed):
                run.emit("n")
            with pytest.raises(InvalidTransition):
                run.fail("too late")
        assert story(log) == [
            "stream.opened", "n", "stream.waiting", "stream.resumed", "stream.completed",
        ]  # fmt: skip
        assert run.status == "completed"
        assert [entry.seq for entry in log.read().entries] == [1, 2, 3, 4, 5]

    def test_rolled_back(self, log, run, atomic):
        """B26, B29: and a savepoint takes its own steps along."""
        with pytest.raises(ZeroDivisionError):
            with atomic():
                run.open()
                1 / 0  # noqa: B018
        assert run.info() is None
        with atomic():
            run.open()
            with pytest.raises(ZeroDivisionError):
                with atomic():
                    run.complete()
                    1 / 0  # noqa: B018
            run.emit("n")
        assert story(log) == ["stream.opened", "n"]
        assert run.status == "running"

    def test_a_stream_that_is_opened_there(self, log, run, atomic, clock):
        """B57: its timeout comes along."""
        with atomic():
            run.open(idle_timeout=10)
        clock.advance(11)
        assert log.reconcile() == ["run-42"]

    def test_one_that_lost_the_race(self, log, run, atomic, caplog):
        """An error in the log: committed is committed, but the stream has ended otherwise."""
        run.open()
        if log.backend.__class__.__name__ == "DatabaseBackend" and (
            log.backend.connection.vendor == "sqlite"
        ):
            pytest.skip("There is one writer.")
        with caplog.at_level(logging.WARNING, "events"):
            with atomic():
                run.emit("late")
                run.complete()
                in_thread(run.fail, "first")
        assert run.status == "failed"
        assert story(log) == ["stream.opened", ("stream.failed", {"reason": "first"}), "late"]
        assert [r.levelname for r in caplog.records if r.levelno == logging.ERROR] == ["ERROR"]
        assert any("late" in r.message or "after that" in r.message for r in caplog.records)
        assert [entry.seq for entry in log.read().entries] == [1, 2, 3]


def in_thread(function, *arguments):
    """As another session would."""
    errors = []

    def work():
        try:
            function(*arguments)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


class TestTransactionsByHand:
    """A savepoint by hand is a database's: a memory log does not hear of it."""

    @pytest.fixture(params=DATABASES)
    def alias(self, request):
        return request.param

    @pytest.fixture
    def stored(self, alias, make_log):
        return make_log(alias)

    def test_a_beginning_that_is_taken_back(self, stored, alias):
        """B29: by a savepoint without `atomic()`, of which no hook hears."""
        run = stored.stream("s")
        with transaction.atomic(using=alias):
            savepoint = connections[alias].savepoint()
            run.open()
            connections[alias].savepoint_rollback(savepoint)
            assert run.open() is not None
        assert [entry.kind for entry in stored.read().entries] == ["stream.opened"]
        assert run.status == "running"

    def test_an_end_that_is_taken_back(self, stored, alias):
        """B29: it ends otherwise, and nothing in between is refused."""
        run = stored.stream("s")
        run.open()
        with transaction.atomic(using=alias):
            savepoint = connections[alias].savepoint()
            run.complete()
            connections[alias].savepoint_rollback(savepoint)
            run.emit("n")
            run.fail("x")
        assert [entry.kind for entry in stored.read().entries] == [
            "stream.opened",
            "n",
            "stream.failed",
        ]

    def test_without_autocommit(self, stored, alias):
        """B54: a whole life, where no hook can be registered."""
        run = stored.stream("s")
        connection = connections[alias]
        connection.set_autocommit(False)
        try:
            run.open()
            run.wait()
            run.resume()
            run.complete()
            with pytest.raises(StreamClosed):
                run.emit("n")
            connection.commit()
        finally:
            connection.rollback()
            connection.set_autocommit(True)
        assert [entry.kind for entry in stored.read().entries] == [
            "stream.opened", "stream.waiting", "stream.resumed", "stream.completed",
        ]  # fmt: skip


class TestWatchdog:
    def test_silence(self, log, run, clock):
        """B57, B60: longer than the timeout, and with nobody watching."""
        run.open(idle_timeout=60)
        run.emit("n")
        clock.advance(60)
        assert log.reconcile() == []
        clock.advance(0.001)
        assert log.reconcile() == ["run-42"]
        assert log.reconcile() == []
        assert story(log)[-1] == ("stream.failed", {"reason": "idle_timeout"})
        assert run.status == "failed"

    def test_any_event_resets_it(self, log, run, clock):
        """B58"""
        run.open(idle_timeout=60)
        for _ in range(5):
            clock.advance(50)
            run.emit("n")
            assert log.reconcile() == []

    @pytest.mark.parametrize("alias", DATABASES)
    def test_an_event_between_look_and_lock(self, alias, make_log, clock, monkeypatch):
        """B57, B58: what seemed silent is looked at again when the head is locked."""
        log = make_log(alias, OPTIONS={"clock": clock})
        run, idle = log.stream("run-42"), rows.idle_streams
        run.open(idle_timeout=60)
        clock.advance(61)

        def look(*arguments):
            found = idle(*arguments)
            run.emit("n")
            return found

        monkeypatch.setattr(rows, "idle_streams", look)
        assert log.reconcile() == []
        assert run.status == "running"

    def test_waiting_suspends_it(self, log, run, clock):
        """B58: and it starts afresh afterwards."""
        run.open(idle_timeout=60)
        run.wait()
        clock.advance(1000)
        assert log.reconcile() == []
        run.resume()
        clock.advance(59)
        assert log.reconcile() == []
        clock.advance(2)
        assert log.reconcile() == ["run-42"]

    def test_never(self, log, run, clock):
        """B59; and what was only emitted to is nobody's business."""
        run.open(idle_timeout=None)
        log.append("n", stream="other")
        clock.advance(10**7)
        assert log.reconcile() == []

    def test_the_logs_own(self, make_log, clock):
        """B57, B59: where the stream says nothing."""
        log = make_log(BACKEND="memory", TTL=None, IDLE_TIMEOUT=5, OPTIONS={"clock": clock})
        log.stream("s").open()
        clock.advance(6)
        assert log.reconcile() == ["s"]
        log = make_log(BACKEND="memory", TTL=None, IDLE_TIMEOUT=None, OPTIONS={"clock": clock})
        log.stream("s").open()
        clock.advance(10**7)
        assert log.reconcile() == []

    def test_two_watchdogs(self, log, clock):
        """B57: one event."""
        for n in range(20):
            log.stream(f"s{n}").open(idle_timeout=1)
        clock.advance(2)
        failed = []
        lock = threading.Lock()

        def watch():
            found = log.reconcile()
            with lock:
                failed.extend(found)

        threads = [threading.Thread(target=in_thread, args=(watch,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(failed) == sorted(f"s{n}" for n in range(20))
        kinds = [entry.kind for entry in log.read().entries]
        assert kinds.count("stream.failed") == 20


def until_somebody_waits_for_the_lock(cursor):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        if cursor.fetchone()[0]:
            return
    raise AssertionError("nobody waits")


class TestRaces:
    def test_a_last_event_against_the_end(self, log):
        """B56: it is before the end, or refused; never lost, and never after."""
        stored = {}

        def emit(name):
            try:
                stored[name] = log.append("last", stream=name).position
            except StreamClosed:
                stored[name] = None

        def all_of(function, names):
            def work():
                try:
                    for name in names:
                        start.wait()
                        function(name)
                finally:
                    connections.close_all()

            return threading.Thread(target=work)

        names = [f"s{n}" for n in range(RACES)]
        for name in names:
            log.stream(name).open()
        start = threading.Barrier(2)
        threads = [all_of(emit, names), all_of(lambda name: log.stream(name).complete(), names)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in names:
            kinds = [entry.kind for entry in log.stream(name).read().entries]
            expected = ["last"] if stored[name] else []
            assert kinds == ["stream.opened", *expected, "stream.completed"]

    @pytest.mark.parametrize("verb", ["wait", "resume"])
    def test_a_step_in_a_stream_that_is_deleted_meanwhile(self, make_log, verb):
        """B54: what waits for the lock finds no stream behind it, and makes none."""
        log = make_log("postgres")
        run = log.stream("s")
        run.open()
        if verb == "resume":
            run.wait()
        answers = []

        def step():
            try:
                answers.append(getattr(run, verb)())
            except InvalidTransition as error:
                answers.append(error)
            finally:
                connections.close_all()

        late = threading.Thread(target=step)

        def delete(ledger):
            ledger.delete_stream("s")
            late.start()
            until_somebody_waits_for_the_lock(ledger.cursor)

        log.backend.lock.run(delete)
        late.join()
        assert isinstance(answers[0], InvalidTransition)
        assert run.info() is None
        assert log.read().entries[-1].kind == "stream.deleted"


class TestOverHTTP:
    """B54, B65"""

    @pytest.fixture
    def log(self, make_log, clock):
        return make_log(BACKEND="memory", TTL=None, OPTIONS={"clock": clock})

    @pytest.fixture
    def act(self, post):
        def act(action, name="run-42", body="{}"):
            return post(body, f"streams/{name}/{action}/")

        return act

    def test_a_whole_life(self, log, act, get):
        for action, status in [
            ("open", "running"), ("wait", "waiting"), ("resume", "running"), ("complete", "completed"),
        ]:  # fmt: skip
            answer = act(action)
            assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert answer.json() == get("streams/run-42/").json()
        assert act("complete").status_code == 200
        assert act("fail").status_code == 409
        assert act("open").status_code == 409
        assert log.info().head == 4
        assert [one["stream"] for one in get("streams/", status="completed").json()["results"]] == [
            "run-42"
        ]

    def test_what_can_be_said(self, log, act, clock):
        act("open", "a", '{"idle_timeout": 5}')
        act("complete", "a", '{"payload": {"n": 1}}')
        act("open", "b", '{"idle_timeout": null}')
        act("stop", "b", '{"reason": "enough"}')
        act("open", "c", '{"idle_timeout": 5}')
        assert ("stream.completed", {"n": 1}) in story(log)
        assert ("stream.stopped", {"reason": "enough"}) in story(log)
        clock.advance(6)
        assert log.reconcile() == ["c"]

    @pytest.mark.parametrize(
        ("action", "body"),
        [
            ("open", '{"idle_timeout": 0}'), ("open", '{"idle_timeout": "5"}'), ("open", "[]"),
            ("open", '{"idle_timeout": true}'), ("open", '{"reason": "x"}'), ("wait", '{"n": 1}'),
            ("stop", '{"reason": 1}'), ("fail", '{"reason": "\\u0000"}'), ("open", "{"),
            ("complete", '{"payload": [1]}'), ("complete", '{"payload": {"n": 1e999}}'),
        ],
    )  # fmt: skip
    def test_what_cannot(self, log, act, action, body):
        log.append("n", stream="run-42")
        assert act(action, body=body).status_code == 400
        assert log.info().head == 1

    def test_what_is_not_there(self, log, act, get):
        assert act("complete").status_code == 404
        assert act("dance").status_code == 404
        assert act("open", "a b").status_code == 404
        log.append("n", stream="run-42")
        assert get("streams/run-42/open/").status_code == 405

    def test_who_may(self, log, act, client, user):
        """B67: who may read but not emit is told so; who may do neither finds nothing."""
        act("open")
        user.user_permissions.set(Permission.objects.filter(codename="view_event"))
        assert act("stop").status_code == 403
        user.user_permissions.clear()
        assert act("stop").status_code == act("stop", "nobody").status_code == 404
        client.logout()
        assert client.post(f"{API}streams/run-42/stop/").status_code in (401, 403)
        assert log.stream("run-42").status == "running"

    async def test_a_follower_is_told_once(self, log):
        """B48: the end comes after the last event."""
        run = log.stream("run-42")
        await sync_to_async(run.open)()
        kinds = []
        async for entry in run.tail():
            kinds.append(entry.kind)
            if len(kinds) == 1:
                await run.aemit("n")
                await run.acomplete()
        assert kinds == ["stream.opened", "n", "stream.completed"]
