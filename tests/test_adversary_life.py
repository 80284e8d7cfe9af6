"""What an attack on streams with a life, on tracking and on eager sending has found."""

import threading
import time

import pytest
from django.db import InterfaceError, OperationalError, connections, transaction

from events.exceptions import InvalidTransition, KeyConflict, LogBusy, StreamClosed
from events.management.commands.reconcile_streams import Command

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(params=["default", "postgres", "mariadb", "memory"])
def log(request, make_log):
    if request.param == "memory":
        return make_log(BACKEND="memory", TTL=None)
    return make_log(request.param)


@pytest.fixture(params=["default", "postgres", "mariadb"])
def alias(request):
    """A savepoint by hand is a database's: a memory log does not hear of it."""
    return request.param


@pytest.fixture
def stored(alias, make_log):
    return make_log(alias)


def kinds(log):
    return [entry.kind for entry in log.read().entries]


class TestRetries:
    def test_of_an_event_before_the_end(self, log):
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


class TestRaces:
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
        assert kinds(log)[-1] == "stream.deleted"


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


class TestTransactionsByHand:
    def test_a_beginning_that_is_taken_back(self, stored, alias):
        """B29: by a savepoint without `atomic()`, of which no hook hears."""
        run = stored.stream("s")
        with transaction.atomic(using=alias):
            savepoint = connections[alias].savepoint()
            run.open()
            connections[alias].savepoint_rollback(savepoint)
            assert run.open() is not None
        assert kinds(stored) == ["stream.opened"]
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
        assert kinds(stored) == ["stream.opened", "n", "stream.failed"]

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
        assert kinds(stored) == [
            "stream.opened", "stream.waiting", "stream.resumed", "stream.completed",
        ]  # fmt: skip


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, LogBusy])
def test_a_watchdog_does_not_give_up(make_log, monkeypatch, caplog, error):
    """B60: whatever a driver calls it that the database is away."""
    log = make_log("default")

    def fail():
        raise error("The connection is closed.")

    monkeypatch.setattr(log.backend, "fail_idle", fail)
    Command().try_to_reconcile(log, {"verbosity": 0})
    assert "trying again" in caplog.text
