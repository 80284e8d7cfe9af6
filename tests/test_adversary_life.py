"""What an attack on streams with a life, on tracking and on eager sending has found."""

import threading
import time

import pytest
from django.db import connections

from events.exceptions import InvalidTransition, KeyConflict, StreamClosed

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(params=["default", "postgres", "mariadb", "memory"])
def log(request, make_log):
    if request.param == "memory":
        return make_log(BACKEND="memory", TTL=None)
    return make_log(request.param)


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
