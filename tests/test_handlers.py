"""Handlers: each entry acted upon once, in order, whatever fails."""

import asyncio
import time

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from events import emit
from events.exceptions import LogBusy
from events.handlers import handler, handlers, registry, runner, shard, turn
from events.handlers.models import Held, Shard
from events.handlers.shard import ShardWork
from events.models import Event, Log
from events.testing import ManualClock

from .support.acting.models import Effect
from .support.databases import DATABASES, skip_unless

SOME = ("default",)


@pytest.fixture(params=DATABASES)
def alias(request):
    skip_unless(request.param)
    return request.param


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def log(make_log, alias, clock):
    return make_log(alias, OPTIONS={"clock": clock})


@pytest.fixture
def register(log):
    """Register a function as a handler of this test's log, until its end."""
    before = list(registry._decorated)
    registry._decorated.clear()

    def register(function, kind=None, name="h", **options):
        options = {"log": log.name, "since": "earliest", **options}
        handler(kind, name=name, **options)(function)
        return handlers[name]

    yield register
    registry._decorated[:] = before


class Recorder:
    """A function that notes what it was given, and fails for the positions that it is told."""

    def __init__(self, alias=None):
        self.seen = []
        self.bad = set()
        self.alias = alias

    def __call__(self, given):
        entries = given if isinstance(given, list) else [given]
        for entry in entries:
            if self.alias:
                Effect.objects.using(self.alias).create(
                    handler="h", position=entry.position, stream=entry.stream,
                    seq=entry.seq or 0, process=0,
                )  # fmt: skip
            if entry.position in self.bad:
                raise ValueError(f"bad {entry.position}")
        self.seen.append(
            [e.position for e in entries] if isinstance(given, list) else given.position
        )


@pytest.fixture
def record():
    return Recorder()


def cut(alias):
    """Have the server end the connection that asks for it."""
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        else:
            cursor.execute("KILL CONNECTION_ID()")


def effects(alias):
    return list(Effect.objects.using(alias).order_by("pk").values_list("position", flat=True))


pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


class TestOnce:
    def test_each_entry_is_given_once_in_order(self, log, register, record):
        log.append_many([("a", {"n": n}) for n in range(5)])
        h = register(record)
        h.run_once()
        h.run_once()
        assert record.seen == [1, 2, 3, 4, 5]
        assert (h.status().cursor, h.status().lag) == (5, 0)

    def test_the_kinds_that_it_asked_for(self, log, register, record):
        log.append_many([("a.x",), ("b",), ("a.y",), ("c",)])
        h = register(record, ["a.*", "c"])
        h.run_once()
        assert record.seen == [1, 3, 4]
        assert h.status().cursor == 4

    def test_a_batch_is_a_list_and_never_empty(self, log, register, record):
        log.append_many([("a",)] * 5 + [("b",)])
        h = register(record, "a", batch=2)
        h.run_once()
        assert record.seen == [[1, 2], [3, 4], [5]]
        assert h.status().lag == 0

    def test_latest_begins_at_the_head_of_the_first_run(self, log, register, record):
        """Neither status() nor pause() is a first run."""
        log.append("a")
        h = register(record, since="latest")
        assert h.status().lag == 0
        h.pause()
        h.run_once()
        log.append("a")
        h.resume()
        h.run_once()
        assert record.seen == []
        log.append("a")
        h.run_once()
        assert record.seen == [3]

    def test_effects_and_cursor_are_one_transaction(self, log, alias, register, record):
        """What a function has written before it raised is undone."""
        log.append_many([("a",)] * 3)
        record.alias, record.bad = alias, {2}
        h = register(record)
        h.run_once()
        assert effects(alias) == [1, 3]
        assert h.status().held == 1

    def test_what_it_emits_has_its_cause_and_trace(self, log, register):
        from events import context

        with context(trace="t-1", actor="7"):
            log.append("a")
        h = register(lambda entry: log.append("b", {"of": entry.position}), "a")
        h.run_once()
        entry = log.read(1).entries[0]
        assert (entry.kind, entry.context) == ("b", {"cause": 1, "trace": "t-1"})

    def test_its_cursor_passes_what_it_has_emitted(self, log, register):
        """But not what it wants itself: that is for the next time."""

        def act(entry):
            log.append("b", {"of": entry.position})
            if entry.position == 1:
                log.append("a")

        log.append_many([("a",), ("a",)])
        h = register(act, "a")
        h.run_once()
        assert (h.status().cursor, h.status().head) == (2, 5)
        h.run_once()
        assert h.status().lag == 0

    def test_an_async_function_works_in_the_transaction(self, log, alias, register):
        async def act(entry):
            await Effect.objects.using(alias).acreate(
                handler="h", position=entry.position, stream="", seq=0, process=0
            )
            if entry.position == 2:
                raise ValueError("no")

        log.append_many([("a",)] * 3)
        register(act).run_once()
        assert effects(alias) == [1, 3]

    def test_an_async_function_that_is_cancelled_has_failed(self, log, register):
        async def act(entry):
            raise asyncio.CancelledError

        log.append("a")
        h = register(act)
        h.run_once()
        assert [held.error for held in h.held()] == ["RuntimeError: the handler was cancelled"]

    def test_a_swallowed_error_of_the_database_counts_as_raised(self, log, alias, register):
        def act(entry):
            try:
                with transaction.atomic(using=alias, savepoint=False):
                    Effect.objects.using(alias).create(
                        pk=1, position=1, handler="", stream="", seq=0, process=0
                    )
                    Effect.objects.using(alias).create(
                        pk=1, position=1, handler="", stream="", seq=0, process=0
                    )
            except IntegrityError:
                pass

        log.append("a")
        h = register(act)
        h.run_once()
        assert h.status().held == 1
        assert effects(alias) == []

    @pytest.mark.parametrize("alias", ["postgres"], indirect=True)
    def test_what_fails_at_its_commit_counts_as_raised(self, log, alias, register):
        """As a deferred constraint does."""

        def act(entry):
            with connections[alias].cursor() as cursor:
                cursor.execute("INSERT INTO deferred VALUES (1)")
                if entry.position == 2:
                    cursor.execute("INSERT INTO deferred VALUES (1)")

        log.append_many([("a",)] * 3)
        with connections[alias].cursor() as cursor:
            cursor.execute("CREATE TABLE deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        try:
            h = register(act)
            h.run_once()
            assert [held.position for held in h.held()] == [2, 3]
            assert h.status().cursor == 3
            assert "IntegrityError" in h.status().last_error
        finally:
            with connections[alias].cursor() as cursor:
                cursor.execute("DROP TABLE deferred")

    def test_what_fails_after_its_commit_is_done(self, log, alias, register, caplog):
        """A function of on_commit() raises: the entry is done, and the log says so."""

        def after():
            raise ValueError("too late")

        def act(entry):
            transaction.on_commit(after, using=alias)

        log.append_many([("a",)] * 2)
        h = register(act)
        h.run_once()
        status = h.status()
        assert (status.cursor, status.held, status.last_error) == (2, 0, "")
        assert "too late" in caplog.text

    @pytest.mark.parametrize("atomic", [True, False])
    @pytest.mark.parametrize("alias", ["postgres", "mariadb"], indirect=True)
    def test_a_lost_connection_is_no_attempt(self, log, alias, register, atomic):
        seen = []

        def act(entry):
            seen.append(entry.position)
            if len(seen) == 1:
                cut(alias)

        log.append_many([("a",)] * 2)
        h = register(act, atomic=atomic)
        h.run_once()
        assert seen == [1, 1, 2]
        assert (h.status().cursor, h.held()) == (2, [])

    @pytest.mark.parametrize("atomic", [True, False])
    @pytest.mark.parametrize("alias", ["postgres", "mariadb"], indirect=True)
    def test_one_that_loses_the_connection_each_time_is_held(
        self, log, alias, register, clock, atomic
    ):
        """As any other that fails, after a few times that are no attempts. The count of these is
        stored: the process that tries it next may be another."""
        seen = []

        def act(entry):
            seen.append(entry.position)
            if entry.position == 1:
                cut(alias)

        log.append_many([{"kind": "a", "stream": s} for s in ("x", "y", "x")])
        h = register(act, atomic=atomic, retry=(10,))
        h.run_once()
        assert seen == [1] * (shard.LOSSES + 1) + [2]
        assert [(held.position, held.attempts, held.behind) for held in h.held()] == [(1, 1, 1)]
        assert h.status().cursor == 3
        clock.advance(10)
        h.run_once()
        assert seen[-2:] == [2, 1]
        assert [(held.attempts, held.parked) for held in h.held()] == [(2, True)]

    @pytest.mark.parametrize("alias", ["postgres"], indirect=True)
    def test_a_session_that_forgets_its_statements(self, log, alias, register, record):
        """As behind a pooler: the lock's is not known any more in the transaction, which that breaks."""

        def act(entry):
            record(entry)
            if entry.position in (10, 20):
                with connections[alias].cursor() as cursor:
                    cursor.execute("DEALLOCATE ALL")

        statements = []

        def spy(execute, sql, params, many, context):
            statements.append(sql.split(None, 1)[0])
            return execute(sql, params, many, context)

        log.append_many([("a",)] * 30)
        h = register(act)
        with connections[alias].execute_wrapper(spy):
            h.run_once()
        assert record.seen == list(range(1, 31))
        assert (h.status().cursor, h.held()) == (30, [])
        # The sixth was the first to be prepared, and the eleventh was not known.
        assert statements.count("EXECUTE") >= 6

    @pytest.mark.parametrize("alias", ["postgres"], indirect=True)
    def test_of_a_batch_only_the_one_that_loses_the_connection_is_held(self, log, alias, register):
        def act(entries):
            if any(entry.position == 3 for entry in entries):
                cut(alias)

        log.append_many([("a",)] * 5)
        h = register(act, batch=10)
        h.run_once()
        assert [held.position for held in h.held()] == [3]
        assert h.status().lag == 0

    @pytest.mark.parametrize("alias", ["mariadb"], indirect=True)
    def test_a_deadlock_that_is_swallowed_undoes_all(self, log, alias, register):
        """On MariaDB the whole transaction is gone then, and what follows it would be half of it."""

        def act(entry):
            Effect.objects.using(alias).create(handler="h", position=1, stream="", seq=0, process=0)
            with connections[alias].cursor() as cursor:
                # As the server does it to the victim of a deadlock.
                cursor.execute("ROLLBACK")
            Effect.objects.using(alias).create(handler="h", position=2, stream="", seq=0, process=0)

        log.append("a")
        h = register(act)
        h.run_once()
        assert effects(alias) == []
        assert h.status().held == 1

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_process_leaves_it_undone(self, log, register, error):
        def act(entry):
            raise error

        log.append("a")
        h = register(act)
        with pytest.raises(error):
            h.run_once()
        assert (h.status().lag, h.held()) == (1, [])

    def test_without_a_transaction_the_cursor_moves_after_the_function(self, log, alias, register):
        inside = []

        def act(entry):
            inside.append(connections[alias].in_atomic_block)
            if entry.position == 2:
                raise ValueError("no")

        log.append_many([("a",)] * 3)
        h = register(act, atomic=False)
        h.run_once()
        assert inside == [False] * 3
        assert (h.status().cursor, h.status().held) == (3, 1)
        assert Shard.objects.using(alias).get().lease_until is None

    def test_one_that_another_took_over_moves_nothing(self, log, alias, register, monkeypatch):
        """The token is checked when the cursor moves."""
        seen = []

        def act(entry):
            seen.append(entry.position)
            if len(seen) == 1:
                Shard.objects.using(alias).update(
                    token=5, lease_until=timezone.now() + timezone.timedelta(hours=1)
                )
                Shard.objects.using(alias).update(cursor=1)

        log.append_many([("a",)] * 2)
        h = register(act, atomic=False)
        monkeypatch.setattr(turn, "PATIENCE", 0)
        h.run_once()
        assert seen == [1]
        assert h.status().cursor == 1

    def test_what_waits_behind_one_that_is_dropped_meanwhile_goes_on(self, log, register):
        """The function runs without the lock, and the entries that wait are copied after it."""
        seen = []

        def act(entry):
            seen.append(entry.position)
            if entry.position == 1:
                raise ValueError("no")
            if entry.position == 3:
                h.drop(1)

        log.append_many([{"kind": "a", "stream": stream} for stream in "xxyx"])
        h = register(act, atomic=False)
        h.run_once()
        h.run_once()
        assert seen == [1, 3, 2, 4]
        assert (h.status().cursor, h.held(), Held.objects.using(log.backend.alias).count()) == (
            4,
            [],
            0,
        )


class TestHeld:
    def test_what_follows_in_its_stream_waits_and_the_rest_goes_on(
        self, log, register, record, clock
    ):
        log.append_many([{"kind": "a", "stream": s} for s in ("x", "y", "x", "y", "x")])
        record.bad = {1}
        h = register(record, retry=(10, 60))
        h.run_once()
        assert record.seen == [2, 4]
        [held] = h.held()
        assert (held.position, held.stream, held.attempts, held.parked, held.behind) == (
            1,
            "x",
            1,
            False,
            2,
        )
        assert held.error == "ValueError: bad 1"
        assert held.next_attempt_at.timestamp() == clock.now + 10
        assert (h.status().cursor, h.status().lag) == (5, 0)
        record.bad = set()
        h.run_once()
        assert record.seen == [2, 4]
        clock.advance(10)
        log.append("a", stream="x")
        h.run_once()
        assert record.seen == [2, 4, 1, 3, 5, 6]
        assert h.held() == []
        assert not Held.objects.using(log.backend.alias).exists()

    def test_after_the_last_retry_it_is_parked(self, log, register, record, clock, caplog):
        log.append_many([{"kind": "a", "stream": "x"}] * 2)
        record.bad = {1}
        h = register(record, retry=(10, 60))
        for seconds in (0, 10, 59, 1, 10_000):
            clock.advance(seconds)
            h.run_once()
        [held] = h.held()
        assert (held.attempts, held.parked, held.next_attempt_at) == (3, True, None)
        status = h.status()
        assert (status.held, status.parked, status.state) == (0, 1, "running")
        assert [r.levelname for r in caplog.records if "'h'" in r.message] == [
            "WARNING",
            "WARNING",
            "ERROR",
        ]
        assert record.seen == []
        h.retry(1)
        assert h.held()[0].attempts == 0
        record.bad = set()
        h.run_once()
        assert record.seen == [1, 2]

    def test_a_batch_that_fails_is_tried_one_by_one(self, log, register, record):
        log.append_many([("a",)] * 5)
        record.bad = {3}
        h = register(record, batch=10)
        h.run_once()
        assert record.seen == [[1], [2], [4], [5]]
        assert [held.position for held in h.held()] == [3]

    def test_what_waits_is_given_in_batches(self, log, register, record, clock):
        log.append_many([{"kind": "a", "stream": "x"}] * 8)
        record.bad = {1, 5}
        h = register(record, batch=3)
        h.run_once()
        assert record.seen == []
        assert h.held()[0].behind == 7
        record.bad = {5}
        clock.advance(10)
        h.run_once()
        assert record.seen == [[1], [2, 3, 4]]
        assert [(held.position, held.behind) for held in h.held()] == [(5, 3)]

    def test_drop_lets_the_others_go_on(self, log, register, record):
        log.append_many([{"kind": "a", "stream": "x"}] * 3)
        record.bad = {1}
        h = register(record)
        h.run_once()
        h.drop(1)
        h.run_once()
        assert record.seen == [2, 3]
        with pytest.raises(LookupError):
            h.drop(1)

    def test_an_entry_in_no_stream_holds_nobody(self, log, register, record):
        log.append_many([("a",)] * 3)
        record.bad = {1, 2}
        h = register(record)
        h.run_once()
        assert record.seen == [3]
        assert [(held.position, held.behind) for held in h.held()] == [(1, 0), (2, 0)]

    @pytest.mark.parametrize("again", [False, True])
    def test_what_another_has_done_meanwhile_is_not_held(
        self, log, register, record, clock, monkeypatch, again
    ):
        """Between the end of the transaction that failed and the one that holds, the lock is free.
        So it is after a retry that failed."""
        log.append_many([{"kind": "a", "stream": "x"}] * 2)
        record.bad = {1}
        h = register(record)
        if again:
            h.run_once()
            clock.advance(10)
        failed = ShardWork.failed

        def overtaken(*failure):
            monkeypatch.undo()
            record.bad = set()
            h.run_once()
            failed(*failure)

        monkeypatch.setattr(ShardWork, "failed", overtaken)
        h.run_once()
        assert record.seen == [1, 2]
        assert (h.held(), h.status().cursor) == ([], 2)

    def test_retention_does_not_take_it(self, log, register, record, clock):
        log.append_many([{"kind": "a", "stream": "x", "payload": {"n": n}} for n in range(3)])
        record.bad = {1}
        h = register(record)
        h.run_once()
        log.clear()
        record.bad = set()
        clock.advance(10)
        h.run_once()
        assert record.seen == [1, 2, 3]
        assert h.status().state == "running"

    def test_a_deleted_stream_frees_its_entries(self, log, register, record, clock):
        log.append_many([{"kind": "a", "stream": "x"}] * 3)
        record.bad = {1}
        h = register(record, "a")
        h.run_once()
        log.stream("x").delete()
        log.append("a", stream="x")
        assert h.held() == []
        h.run_once()
        assert record.seen == [5]

    def test_replay_forgets_what_is_held_after(self, log, register, record, clock):
        log.append_many([{"kind": "a", "stream": s} for s in ("x", "y", "x", "y")])
        record.bad = {1, 4}
        h = register(record)
        h.run_once()
        assert record.seen == [2, 3] or record.seen == [2]
        record.bad = set()
        h.replay(1)
        assert [held.position for held in h.held()] == [1]
        h.run_once()
        assert record.seen == [2, 2, 4]
        clock.advance(10)
        h.run_once()
        assert record.seen == [2, 2, 4, 1, 3]
        h.replay("earliest")
        assert h.held() == []

    def test_a_slow_batch_is_tried_one_by_one_in_the_turns_that_follow(
        self, log, register, record, monkeypatch
    ):
        """A worker's turn ends after each attempt here; the culprit is held all the same."""
        log.append_many([("a",)] * 5)
        record.bad = {3}
        monkeypatch.setattr(runner, "TURN", 0.01)

        def slowly(entries):
            time.sleep(0.02)
            record(entries)

        h = register(slowly, batch=5)
        worker = runner.Runner(["h"], 1)
        try:
            for _ in range(8):
                worker.refresh()
                for task in worker.standing.tasks.values():
                    worker.standing.newest[log.name].look()
                    worker.work(task)
        finally:
            worker.hearing.close()
        assert [one.position for one in h.held()] == [3]
        assert record.seen == [[1], [2], [4], [5]]

    @pytest.mark.parametrize("column", ["payload", "context"])
    def test_one_that_was_damaged_keeps_no_other_stream_waiting(
        self, log, alias, register, clock, column
    ):
        """No page sees damage in the middle of a text: the entry is held, tried again and parked as
        any other, and those behind it and elsewhere are not kept by it."""
        seen = []
        h = register(lambda entry: seen.append((entry.position, entry.payload)), retry=(5,))
        log.append_many([{"kind": "a", "payload": {}, "stream": "s"}] * 3)
        rows = Event.objects.using(alias).filter(log__name=log.name, position__gte=2)
        rows.update(**{column: '{"n":oops}'})
        h.run_once()
        clock.advance(6)
        log.append("a", stream="elsewhere")
        h.run_once()
        assert [position for position, _ in seen] == [1, 4]
        [held] = h.held()
        assert (held.position, held.parked, held.behind) == (2, True, 1)
        h.drop(2)
        h.run_once()
        assert [one.position for one in h.held()] == [3]

    def test_what_the_database_undoes_each_time_is_tried_less_and_less_often(
        self, log, register, monkeypatch, caplog
    ):
        """It is no attempt and holds nothing; but whoever looks for why the lag grows finds it."""
        monkeypatch.setattr(runner, "TURN", 0.01)
        seen, broken = [], True

        def act(entry):
            seen.append(entry.position)
            if broken:
                raise LogBusy("somebody else holds the log")

        log.append_many([("a",)] * 2)
        h = register(act)
        worker = runner.Runner(["h"], 1)
        pauses = []
        try:
            worker.refresh()
            [task] = worker.standing.tasks.values()
            for _ in range(runner.TOLD + 1):
                worker.work(task)
                pauses.append(task.not_before - time.monotonic())
            assert (seen, h.held()) == ([1] * len(pauses), [])
            assert pauses[0] <= runner.AGAIN < pauses[3] < pauses[-1] <= runner.SELDOM
            [told] = [record for record in caplog.records if record.levelname == "ERROR"]
            assert "'h': the database undoes every attempt" in told.message
            monkeypatch.setattr(runner, "TURN", 1.0)
            broken = False
            worker.work(task)
        finally:
            worker.hearing.close()
        assert (seen[-2:], h.status().lag, task.undone) == ([1, 2], 0, 0)


class TestLoss:
    def test_a_gap_stops_it(self, log, register, record, caplog):
        log.append_many([("a",)] * 5)
        h = register(record)
        h.replay(1)
        log.prune(max_entries=2)
        h.run_once()
        status = h.status()
        assert (status.state, record.seen) == ("stopped", [])
        assert status.reason.startswith("pruned")
        assert [r.levelname for r in caplog.records if "'h'" in r.message] == ["ERROR"]
        h.resume()
        h.run_once()
        assert (h.status().state, record.seen) == ("running", [4, 5])

    def test_or_is_skipped(self, log, register, record, caplog):
        log.append_many([("a",)] * 5)
        h = register(record, on_gap="skip")
        h.replay(1)
        log.prune(max_entries=2)
        h.run_once()
        assert record.seen == [4, 5]
        assert [r.levelname for r in caplog.records if "'h'" in r.message] == ["WARNING"]

    def test_another_epoch_stops_it(self, log, register, record):
        log.append_many([("a",)] * 2)
        h = register(record)
        h.run_once()
        log.renew_epoch()
        log.append("a")
        h.run_once()
        assert h.status().reason.startswith("epoch")
        h.replay(2)
        h.run_once()
        assert (h.status().state, record.seen) == ("running", [1, 2, 3])

    @pytest.mark.parametrize("on_gap", ["stop", "skip"])
    def test_after_a_restore_it_goes_on_where_it_was(self, log, register, record, clock, on_gap):
        """Its cursor was restored together with the log, and what is held as well."""
        log.append_many([("a",)] * 3)
        record.bad = {2}
        h = register(record, on_gap=on_gap)
        h.run_once()
        log.renew_epoch()
        h.run_once()
        assert h.status().state == ("stopped" if on_gap == "stop" else "running")
        log.append("a")
        h.run_once()
        if on_gap == "stop":
            assert record.seen == [1, 3]
            h.resume()
            h.run_once()
        assert record.seen == [1, 3, 4]
        assert [held.position for held in h.held()] == [2]

    def test_of_a_log_that_was_made_anew_it_does_all(self, log, alias, register, record):
        """Its cursor is then beyond the head, and what it held were other entries."""
        log.append_many([("a",)] * 3)
        record.bad = {3}
        h = register(record, on_gap="skip")
        h.run_once()
        record.bad = set()
        Event.objects.using(alias).all().delete()
        Log.objects.using(alias).filter(name=log.name).delete()
        log.append("a")
        h.run_once()
        assert record.seen == [1, 2, 1]
        assert h.held() == []

    def test_what_cannot_be_read_is_passed_once_for_all_shards(
        self, log, alias, register, record, caplog
    ):
        """Also by those that had not come to it, and with all that is like it up to the head."""
        streams = [{"kind": "a", "stream": f"s{n}"} for n in range(8)]
        log.append_many(streams * 2)
        h = register(record, shards=4)
        for position in (5, 12):
            Event.objects.using(alias).filter(position=position).update(payload="{")
        h.run_once()
        assert h.status().reason.startswith("unreadable")
        assert len(record.seen) < 14
        h.resume()
        h.run_once()
        assert sorted(record.seen) == sorted(set(range(1, 17)) - {5, 12})
        assert (h.status().state, h.status().lag) == ("running", 0)
        log.append("a")
        Event.objects.using(alias).filter(position=17).update(payload="{")
        h.run_once()
        assert h.status().state == "stopped"

    def test_what_the_ttl_hides_is_read(self, make_log, alias, register, record, clock):
        log = make_log(alias, TTL=60, OPTIONS={"clock": clock})
        log.append_many([("a",)] * 3)
        clock.advance(100)
        h = register(record, log=log.name)
        assert log.read().entries == []
        h.run_once()
        assert record.seen == [1, 2, 3]

    def test_keep_unhandled(self, make_log, alias, register, record, clock, caplog):
        log = make_log(alias, KEEP_UNHANDLED=True, OPTIONS={"clock": clock})
        log.append_many([{"kind": "a", "stream": s} for s in ("x", "y", "x", "y")])
        record.bad = {1}
        assert log.prune(max_entries=4) == 0
        h = register(record, log=log.name)
        # It has not begun, and will at the earliest.
        assert log.prune(max_entries=1) == 0
        assert "'h'" in caplog.text
        h.run_once()
        assert log.prune(max_entries=1) == 2
        assert log.info().floor == 2
        h.pause()
        assert log.prune(max_entries=1) == 1


class TestShards:
    @pytest.mark.parametrize(("old", "new"), [(1, 4), (4, 2), (3, 1)])
    def test_their_number_changes(self, log, register, record, old, new):
        """Nothing is lost or done twice, and what is held stays so."""
        streams = [f"s{n}" for n in range(9)]
        log.append_many([{"kind": "a", "stream": s} for s in streams * 3])
        record.bad = {2}
        register(record, shards=old).run_once()
        log.append_many([{"kind": "a", "stream": s} for s in streams * 3])
        rows = Shard.objects.using(log.backend.alias)
        assert rows.count() == old
        # The first one is ahead of the others.
        ahead = turn.work_on(handlers["h"].spec, rows.get(number=0))
        turn.run_shard(ahead, 0.0)
        assert set(rows.values_list("cursor", flat=True)) == ({54} if old == 1 else {27, 54})
        h = register(record, shards=new)
        h.run_once()
        h.run_once()
        assert rows.count() == new
        assert set(rows.values_list("of", "cursor")) == {(new, 54)}
        assert sorted(record.seen) == sorted(set(range(1, 55)) - {2, 11, 20, 29, 38, 47})
        record.bad = set()
        h.retry()
        h.run_once()
        assert record.seen[-6:] == [2, 11, 20, 29, 38, 47]
        assert h.status().shards == new

    @pytest.mark.parametrize("first", [0, 1])
    def test_their_number_changes_across_a_change_of_epoch(self, log, register, record, first):
        """Also when one of the old shards has come to the new epoch, and the other has not."""
        streams = [{"kind": "a", "stream": f"s{n}"} for n in range(9)]
        log.append_many(streams)
        register(record, shards=2, on_gap="skip").run_once()
        log.renew_epoch()
        rows = Shard.objects.using(log.backend.alias)
        turn.work_on(handlers["h"].spec, rows.get(number=first)).step()
        assert rows.values("epoch").distinct().count() == 2
        h = register(record, shards=4, on_gap="skip")
        log.append_many(streams)
        h.run_once()
        assert set(rows.values_list("of", "cursor")) == {(4, 18)}
        assert sorted(record.seen) == list(range(1, 19))


@pytest.mark.django_db
def test_the_kit_raises(settings):
    """`run_handlers` works in the test's own transaction."""
    from events.testing import run_handlers

    before = list(registry._decorated)
    registry._decorated.clear()
    try:
        seen = []

        @handler("a", name="kit")
        def act(entry):
            seen.append(entry.position)
            if entry.payload.get("bad"):
                raise ValueError("no")

        first = emit("a").position
        run_handlers("kit")
        assert seen == [first]
        emit("a", {"bad": True})
        with pytest.raises(ValueError, match="no"):
            run_handlers()
        assert handlers["kit"].status().held == 0
    finally:
        registry._decorated[:] = before
