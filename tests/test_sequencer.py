"""The rules of the sequencer. Each was learnt from a failure, and each test fails without it."""

import logging
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
from django.db import OperationalError, connections, transaction

from events.backends.database import backend as database_backend
from events.backends.database import hook, lock, transactions
from events.backends.database.backend import DatabaseBackend
from events.backends.database.dialects import dialect_of
from events.backends.database.ledger import BATCH, Ledger
from events.exceptions import EventsError, LogBusy, StreamClosed
from events.models import Deletion, Event, Log, Outbox, Stream
from events.testing import ManualClock
from events.types import to_micros

from .contract import in_threads

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(params=["postgres", "mariadb"])
def alias(request):
    """The databases with an outbox."""
    return request.param


@pytest.fixture(params=["default", "postgres", "mariadb"])
def any_alias(request):
    return request.param


@pytest.fixture
def log(make_log, alias):
    return make_log(alias)


@pytest.fixture
def unhooked(monkeypatch):
    """Processes die right after their commit: no hook ever runs."""
    monkeypatch.setattr(hook.Hook, "__call__", lambda hook: None)


@contextmanager
def elsewhere(work):
    """Another thread in the middle of a transaction: `work(hold)` calls `hold()` to stay there."""
    reached, release, errors = threading.Event(), threading.Event(), []

    def hold():
        reached.set()
        assert release.wait(20)

    def run():
        try:
            work(hold)
        except BaseException as error:
            errors.append(error)
        finally:
            reached.set()
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    assert reached.wait(20)
    try:
        yield
    finally:
        release.set()
        thread.join()
    if errors:
        raise errors[0]


def emitter(log, alias, *emits):
    """Work for `elsewhere`: emit inside a transaction, and stay in it."""

    def work(hold):
        with transaction.atomic(using=alias):
            for kind, fields in emits:
                log.append(kind, **fields)
            hold()

    return work


def holder(log, alias):
    """Work for `elsewhere`: hold the log's head."""

    def work(hold):
        with transaction.atomic(using=alias):
            Log.objects.using(alias).select_for_update().get(name=log.name)
            hold()

    return work


def kinds(log):
    return [entry.kind for entry in log.read().entries]


class TestTransactions:
    def test_an_open_transaction_delays_nobody(self, log, alias):
        """B27: it holds neither the head nor a stream nor a key."""
        log.append("first", stream="s")
        with elsewhere(emitter(log, alias, ("late", {"stream": "s", "key": "k"}))):
            began = time.monotonic()
            log.append("direct", stream="s")
            log.append("direct", stream="s", key="k2")
            with transaction.atomic(using=alias):
                log.append("committed", stream="s")
            assert kinds(log) == ["first", "direct", "direct", "committed"]
            assert time.monotonic() - began < 1
        assert [entry.seq for entry in log.read().entries] == [1, 2, 3, 4, 5]
        assert kinds(log)[-1] == "late"

    def test_an_open_transaction_delays_nobody_in_a_new_log(self, log, alias):
        """B27: also when it is the first to use it."""
        with elsewhere(emitter(log, alias, ("late", {}))):
            began = time.monotonic()
            assert log.append("direct").position == 1
            assert time.monotonic() - began < 1

    def test_what_a_dead_process_committed_is_visible(self, log, alias, unhooked):
        """B26: the next read gives it its position."""
        with transaction.atomic(using=alias):
            log.append("n", stream="s")
        assert Outbox.objects.using(alias).filter(log=log.name).count() == 1
        page = log.read()
        assert [(entry.position, entry.seq) for entry in page.entries] == [(1, 1)]
        assert page.head == 1
        assert not Outbox.objects.using(alias).filter(log=log.name).exists()

    def test_what_a_dead_process_committed_comes_first(self, log, alias, unhooked):
        """B28: before an emit that began after that commit, on every path."""
        log.append("zero")
        for n in range(2):
            with transaction.atomic(using=alias):
                log.append("committed")
            log.append("direct") if n else log.append_many([("direct", {})])
        assert kinds(log) == ["zero", "committed", "direct", "committed", "direct"]

    def test_info_counts_what_a_dead_process_committed(self, log, alias, unhooked):
        """B26: a head that leaves it out would be a lie."""
        with transaction.atomic(using=alias):
            log.append("n")
        assert log.info().head == 1

    def test_a_failing_hook_before_ours_loses_nothing(self, log, alias):
        """B26: Django drops the hooks after one that raises."""
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            transaction.on_commit(lambda: 1 / 0, using=alias)
            log.append("n")
        assert kinds(log) == ["n"]

    def test_a_read_inside_a_transaction_does_not_sequence(self, log, alias, unhooked):
        """B27: it would hold the head until that transaction ends."""
        log.append("zero")
        with transaction.atomic(using=alias):
            log.append("committed")

        def work(hold):
            with transaction.atomic(using=alias):
                assert kinds(log) == ["zero"]
                hold()

        with elsewhere(work):
            began = time.monotonic()
            assert log.append("direct").position == 3
            assert time.monotonic() - began < 1

    def test_the_hook_is_one_for_a_run_of_emits(self, log, alias):
        """B26: a thousand emits do not ask a thousand times whether something waits."""
        with transaction.atomic(using=alias):
            for _ in range(5):
                log.append("n")
            assert len(connections[alias].run_on_commit) == 1

    def test_a_failing_hook_of_ours_does_not_fail_the_commit(self, log, alias, monkeypatch, caplog):
        """B33: the caller's data is safe, so the caller is not told otherwise."""
        log.append("zero")

        def fail(*args):
            raise OperationalError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(lock.LedgerLock, "sequence", fail)
            with transaction.atomic(using=alias):
                log.append("n")
        assert "could not sequence" in caplog.text
        assert kinds(log) == ["zero", "n"]

    def test_without_autocommit(self, make_log, any_alias):
        """B26: managed by hand, a transaction is one all the same, also if it begins with an emit."""
        log, alias = make_log(any_alias), any_alias
        log.append("zero")
        transaction.set_autocommit(False, using=alias)
        try:
            assert log.append("n").position is None
            transaction.rollback(using=alias)
            log.append("m")
            transaction.commit(using=alias)
        finally:
            transaction.set_autocommit(True, using=alias)
        assert kinds(log) == ["zero", "m"]

    def test_an_interrupted_beginning_leaves_no_transaction(self, make_log, any_alias, monkeypatch):
        """B26: a signal's exception right after BEGIN (Celery's soft time limit); what is emitted
        next must not land in that transaction, which nobody commits."""
        log = make_log(any_alias)
        log.append("zero")
        dialect = DatabaseBackend(log.settings).dialect
        begin = type(dialect).begin

        def interrupted(self, cursor, lock_timeout):
            begin(self, cursor, lock_timeout)
            raise KeyboardInterrupt

        try:
            with monkeypatch.context() as patch:
                patch.setattr(type(dialect), "begin", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    log.append_many([("a", {}), ("b", {})])
            assert log.append("one").position == 2
        finally:
            connections[any_alias].close()
        assert kinds(log) == ["zero", "one"]

    def test_a_large_list(self, make_log, any_alias):
        """B26: in a transaction as well as outside; MariaDB takes 16 MiB in one statement."""
        log = make_log(any_alias)
        payload = {"text": "x" * 60_000}
        with transaction.atomic(using=any_alias):
            log.append_many([("n", payload)] * 300)
        assert log.info().head == 300

    def test_what_is_committed_is_not_called_a_failure(self, make_log, monkeypatch):
        """B22: a caller who is told so tries again, and it is there twice."""
        log = make_log("mariadb")
        log.append("zero")
        dialect = DatabaseBackend(log.settings).dialect

        def fail(self, cursor):
            raise OperationalError(2013, "Lost connection to server during query")

        with monkeypatch.context() as patch:
            patch.setattr(type(dialect), "after", fail)
            assert log.append("one").position == 2
        assert kinds(log) == ["zero", "one"]
        assert log.append("two").position == 3


class TestKeys:
    def test_two_open_transactions_with_one_key(self, log, alias, caplog):
        """B30: one entry, nobody waits, and an identical second one is dropped."""
        same = {"payload": {"a": 1}, "key": "k"}
        with elsewhere(emitter(log, alias, ("n", same))):
            began = time.monotonic()
            with transaction.atomic(using=alias):
                assert log.append("n", **same).position is None
            assert time.monotonic() - began < 1
        assert kinds(log) == ["n"]
        assert not Outbox.objects.using(alias).filter(log=log.name).exists()
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    def test_a_different_second_one_is_set_aside(self, log, alias, caplog):
        """B30: the first wins, and the loss is an error in the log file."""
        with elsewhere(emitter(log, alias, ("n", {"payload": {"a": 1}, "key": "k"}), ("m", {}))):
            with transaction.atomic(using=alias):
                log.append("n", {"a": 2}, key="k")
        assert [entry.payload for entry in log.read().entries] == [{"a": 2}, {}]
        [refused] = Outbox.objects.using(alias).filter(log=log.name)
        assert "'k' was used before" in refused.refused
        assert [record.levelname for record in caplog.records] == ["ERROR"]


class TestLocking:
    def test_everything_is_sequenced_once(self, log, alias):
        """B22, B26: by many at the same time, each after the lock, none from an older snapshot."""

        def work(number):
            for n in range(12):
                with transaction.atomic(using=alias):
                    log.append("n", {"id": [number, n, 0]}, stream="s")
                    log.append("n", {"id": [number, n, 1]}, stream=f"s{number}")

        in_threads(8, work)
        entries = log.read(limit=1000).entries
        assert [entry.position for entry in entries] == list(range(1, 193))
        assert len({str(entry.payload) for entry in entries}) == 192
        for name in ("s", "s0", "s7"):
            seqs = [entry.seq for entry in entries if entry.stream == name]
            assert seqs == list(range(1, len(seqs) + 1))

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_a_stricter_isolation_level_changes_nothing(self, log, alias, level):
        """B22: our transactions are READ COMMITTED, whatever the host's are."""

        def work(number):
            connection = connections[alias]
            wanted = level.lower()
            if alias == "postgres":
                wanted = psycopg.IsolationLevel[level.replace(" ", "_")]
            options = {**connection.settings_dict["OPTIONS"], "isolation_level": wanted}
            connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
            for n in range(10):
                log.append("n", stream="s") if n % 2 else log.append_many([("n", {}), ("m", {})])
                with transaction.atomic(using=alias):
                    log.append("n", stream="s")

        in_threads(4, work)
        page = log.read(limit=1000)
        assert [entry.position for entry in page.entries] == list(range(1, 101))

    def test_a_batch_under_one_lock_is_bounded(self, log, alias, unhooked, monkeypatch):
        """B34: whoever sequences a long outbox lets others in between."""
        count = BATCH * 2 + 100
        with transaction.atomic(using=alias):
            log.append_many([("n", {"n": n}) for n in range(count)])
        sizes = []
        sequence = Ledger.sequence

        def counted(ledger, after, newest):
            before = ledger.head
            reached = sequence(ledger, after, newest)
            sizes.append(ledger.head - before)
            return reached

        monkeypatch.setattr(Ledger, "sequence", counted)
        log.append("last")
        assert sizes == [BATCH, BATCH, 100]
        assert log.read(count - 1).entries[-1].position == count + 1
        assert [entry.payload["n"] for entry in log.read(limit=1000).entries] == list(range(1000))

    @pytest.mark.parametrize("verb", ["append", "append_many"])
    def test_whoever_waits_too_long_is_told(self, make_log, alias, verb):
        """B27: an error that says so, after the timeout, and nothing is stored."""
        log = make_log(alias, OPTIONS={"lock_timeout": 1})
        log.append("zero")
        with elsewhere(holder(log, alias)):
            began = time.monotonic()
            with pytest.raises(LogBusy, match="could not lock the log within 1 s"):
                log.append("n") if verb == "append" else log.append_many([("n", {})])
            assert 0.9 < time.monotonic() - began < 3
            assert kinds(log) == ["zero"]
        assert log.append("n").position == 2

    @pytest.mark.parametrize("verb", ["append", "step", "append_many"])
    def test_less_than_a_millisecond(self, make_log, alias, verb):
        """B27: is not what 0 is to a database: no end."""
        log = make_log(alias, OPTIONS={"lock_timeout": 0.0004})
        log.append("zero")
        verbs = {
            "append": lambda: log.append("n"),
            "step": log.stream("s").open,
            "append_many": lambda: log.append_many([("n", {})] * 2),
        }
        with elsewhere(holder(log, alias)), pytest.raises(LogBusy):
            verbs[verb]()

    def test_on_sqlite_too(self, make_log):
        """B27: there the whole database has one writer, and its own options say how long to wait."""
        log = make_log("default", OPTIONS={"lock_timeout": 7})
        log.append("zero")

        def work(hold):
            with transaction.atomic():
                Log.objects.update(floor=0)
                hold()

        with connections["default"].cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 50")
            with elsewhere(work), pytest.raises(LogBusy, match="SQLite lets one") as caught:
                log.append("n")
            assert "7 s" not in str(caught.value)
            cursor.execute("PRAGMA busy_timeout = 20000")

    def test_a_read_does_not_fail_over_a_lock(self, make_log, alias, unhooked, caplog):
        """B26: what has its position is a prefix, and that is served, as one."""
        log = make_log(alias, OPTIONS={"lock_timeout": 0.3})
        log.append("zero")
        with transaction.atomic(using=alias):
            log.append("waiting")
        with elsewhere(holder(log, alias)):
            found = log.backend.read(log.query())
            assert [row.kind for row in found.rows] == ["zero"]
            assert not found.caught_up
        assert not caplog.records
        assert kinds(log) == ["zero", "waiting"]
        assert log.backend.read(log.query()).caught_up

    def test_a_stopped_process_loses_the_lock(self, log, alias, monkeypatch):
        """B27: the others go on, and when it wakes up it appends once."""
        log.append("zero")
        stopped, wake = threading.Event(), threading.Event()
        save = Ledger.save

        def stop(ledger):
            if not stopped.is_set():
                stopped.set()
                assert wake.wait(20)
            save(ledger)

        monkeypatch.setattr(Ledger, "save", stop)
        results = []

        def work():
            results.append(log.append_many([("slow", {}), ("slow", {})]))
            connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        assert stopped.wait(20)
        began = time.monotonic()
        assert log.append("quick").position == 2
        assert time.monotonic() - began < 4
        wake.set()
        thread.join()
        assert [entry.position for entry in results[0]] == [3, 4]
        assert kinds(log) == ["zero", "quick", "slow", "slow"]

    @pytest.mark.parametrize("verb", ["append", "append_many"])
    def test_commits_are_synchronous(self, make_log, verb):
        """B26: whatever the host has chosen for its own."""
        log = make_log("postgres")
        log.append("zero")
        seen = []
        connection = connections["postgres"]

        def spy(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if "INSERT INTO events_event" in sql and verb == "append_many":
                with connection.connection.cursor() as cursor:
                    cursor.execute("SHOW synchronous_commit")
                    seen.append(cursor.fetchone()[0])
            return result

        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
        with connection.execute_wrapper(spy):
            log.append("n") if verb == "append" else log.append_many([("n", {}), ("n", {})])
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone()[0] == "off"
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone()[0] == "0"
            cursor.execute("RESET synchronous_commit")
        assert seen == (["on"] if verb == "append_many" else [])

    def test_mariadb_gets_its_session_back(self, make_log):
        """B27: what we set for the session is not left behind."""
        log = make_log("mariadb")
        log.append("zero")
        names = "@@innodb_lock_wait_timeout, @@idle_transaction_timeout"
        with connections["mariadb"].cursor() as cursor:
            cursor.execute(f"SELECT {names}")
            before = cursor.fetchone()
            log.append("n", key="k")
            with pytest.raises(EventsError):
                log.append_many([("m", {}), {"kind": "m", "key": "k"}])
            cursor.execute(f"SELECT {names}")
            assert cursor.fetchone() == before


class _Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.sqlstate = code if isinstance(code, str) else None


class TestRetries:
    @pytest.mark.parametrize("code", ["40001", "40P01", 1213, 1020])
    def test_a_refusal_in_passing_is_tried_again(self, any_alias, make_log, code):
        """B22: from the start."""
        make_log(any_alias)
        connection, tries = connections[any_alias], []

        def work(cursor):
            tries.append(1)
            if len(tries) < 3:
                raise OperationalError("refused") from _Refused(code)
            return "done"

        assert transactions.run(connection, dialect_of(connection), 5, work) == "done"
        assert len(tries) == 3

    def test_another_error_is_not(self, any_alias, make_log):
        make_log(any_alias)
        connection, tries = connections[any_alias], []

        def work(cursor):
            tries.append(1)
            raise OperationalError("broken") from _Refused("XX000")

        with pytest.raises(OperationalError, match="broken"):
            transactions.run(connection, dialect_of(connection), 5, work)
        assert len(tries) == 1

    def test_it_does_not_try_for_ever(self, any_alias, make_log):
        make_log(any_alias)
        connection = connections[any_alias]

        def work(cursor):
            raise OperationalError("refused") from _Refused("40001")

        with pytest.raises(OperationalError):
            transactions.run(connection, dialect_of(connection), 0.05, work)

    def test_outbox_rows_that_vanish_undo_the_batch(self, log, alias, unhooked):
        """B26: somebody else has sequenced them, so we must not."""
        with transaction.atomic(using=alias):
            log.append("n")
        rows = Outbox.objects.using(alias).filter(log=log.name)
        connection = connections[alias]

        def work(cursor):
            from events.backends.database import outbox

            pending = outbox.pending(cursor, log.name, 0, 2**62, 10)
            cursor.execute("DELETE FROM events_outbox WHERE id = %s", [pending[0].id])
            ledger._sequence_or_set_aside(pending)

        log.backend.lock.create_log()
        with pytest.raises(transactions.OutboxChanged):
            with transactions.own_transaction(connection, dialect_of(connection), 5) as cursor:
                ledger = Ledger(cursor, dialect_of(connection), log.name, 1)
                work(cursor)
        assert rows.count() == 1
        assert kinds(log) == ["n"]


@contextmanager
def refusing(alias, kind):
    """A database that will not have events of some kind, as only a database can be."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE events_event ADD CONSTRAINT picky CHECK (kind <> '{kind}')")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE events_event DROP CONSTRAINT picky")


class TestBadRows:
    def test_a_bad_row_does_not_halt_the_log(self, log, alias, caplog):
        """B26: it is set aside with an error, and the others go on."""
        with refusing(alias, "bad.row"):
            with transaction.atomic(using=alias):
                log.append("one", stream="s")
                log.append("bad.row", stream="s")
                log.append("two", stream="s")
            entries = log.read().entries
            assert [(e.kind, e.position, e.seq) for e in entries] == [("one", 1, 1), ("two", 2, 2)]
            log.append("three")
        [aside] = Outbox.objects.using(alias).filter(log=log.name)
        assert (aside.kind, aside.payload) == ("bad.row", {})
        assert "cannot be stored" in aside.refused
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    def test_a_head_behind_its_entries_is_named(self, log, alias):
        """B15: nothing is set aside for it, and renewing the epoch mends it."""
        log.append_many([("n", {})] * 3)
        Log.objects.using(alias).filter(name=log.name).update(head=1)
        with pytest.raises(EventsError, match="renew_epoch"):
            log.append("n")
        with transaction.atomic(using=alias):
            log.append("m")
        assert not Outbox.objects.using(alias).exclude(refused="").exists()
        log.renew_epoch()
        assert kinds(log) == ["n", "n", "n", "m"]
        assert log.append("n").position == 5

    def test_renewing_mends_a_time_that_is_behind(self, make_log, any_alias):
        """B21: a head that was behind its entries was behind their times as well."""
        clock = ManualClock()
        log = make_log(any_alias, OPTIONS={"clock": clock})
        log.append("n")
        before = Log.objects.using(any_alias).filter(name=log.name).values("head", "latest").get()
        clock.advance(100)
        log.append("n")
        Log.objects.using(any_alias).filter(name=log.name).update(**before)
        clock.advance(-50)
        log.renew_epoch()
        log.append("n")
        times = [entry.timestamp for entry in log.read().entries]
        assert len(times) == 3
        assert times == sorted(times)


class TestClosedStreams:
    @pytest.mark.parametrize("key", [None, "k"])
    def test_nothing_is_stored(self, make_log, any_alias, key):
        """B56: no event, no position burnt, no seq used; by any path."""
        log = make_log(any_alias)
        log.append("n", stream="s")
        Stream.objects.using(any_alias).filter(name="s").update(status="completed")
        with pytest.raises(StreamClosed):
            log.append("n", stream="s", key=key)
        with pytest.raises(StreamClosed):
            log.append_many([("n", {}), {"kind": "n", "stream": "s"}])
        assert log.info().head == 1
        assert log.append("n", key=key).position == 2
        assert Stream.objects.using(any_alias).get(name="s").seq == 1

    def test_a_transaction_that_commits_late_is_not_lost(self, log, alias, caplog):
        """B56: its event takes the next seq, and a warning says so."""
        log.append("n", stream="s")
        with elsewhere(emitter(log, alias, ("late", {"stream": "s"}))):
            Stream.objects.using(alias).filter(name="s").update(status="failed")
        assert [(entry.kind, entry.seq) for entry in log.read().entries] == [("n", 1), ("late", 2)]
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    @pytest.mark.parametrize("key", [None, "k"])
    def test_nothing_is_stored_inside_a_transaction_that_began_after_the_end(
        self, make_log, any_alias, key
    ):
        """B56: the emit is refused, and the transaction can go on with another stream."""
        log = make_log(any_alias)
        log.append("n", stream="s")
        Stream.objects.using(any_alias).filter(name="s").update(status="completed")
        with transaction.atomic(using=any_alias):
            with pytest.raises(StreamClosed):
                log.append("n", stream="s", key=key)
            log.append("m", stream="t")
        assert kinds(log) == ["n", "m"]


class TestPositionAt:
    def test_it_is_the_last_before_a_time(self, make_log, any_alias, monkeypatch):
        """B18: whatever holes deleted streams have left, and wherever the floor is."""
        clock = ManualClock()
        log = make_log(any_alias, OPTIONS={"clock": clock})
        start = log.backend.now()
        for n in range(60):
            log.append("n", stream="gone" if n % 7 < 3 else "kept")
            clock.advance(n % 3)
        assert log.backend.position_at(start) == 0
        log.stream("gone").delete()
        log.prune(max_entries=50)
        known = Event.objects.using(any_alias).filter(log__name=log.name)
        times = sorted({to_micros(event.timestamp) for event in known})
        for micros in {*times, *(one + 1 for one in times)}:
            before = [e.position for e in known if to_micros(e.timestamp) < micros]
            assert log.backend.position_at(micros) == max(before, default=log.info().floor)


class TestLettingGo:
    def test_what_a_dead_pruner_left_is_not_served(self, make_log, any_alias, monkeypatch):
        """B12, B15: the floor has moved, so the rows below it are gone; the next one removes them."""
        log = make_log(any_alias)
        log.append_many([("n", {})] * 10)

        def die(*args):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(database_backend.retention, "delete_below", die)
            with pytest.raises(KeyboardInterrupt):
                log.prune(max_entries=3)
        assert Event.objects.using(any_alias).filter(log__name=log.name).count() == 10
        assert [entry.position for entry in log.read().entries] == [8, 9, 10]
        assert log.read(2).gap.lost == 5
        assert log.prune(max_entries=3) == 7
        assert Event.objects.using(any_alias).filter(log__name=log.name).count() == 3

    @pytest.mark.parametrize("look_after", ["prune", "reconcile"])
    def test_what_a_dead_deletion_left_is_removed(
        self, make_log, any_alias, monkeypatch, look_after
    ):
        """B63: the note that it left is found by whoever looks after the log next."""
        log = make_log(any_alias)
        log.append_many([{"kind": "n", "stream": stream} for stream in "abab"])

        def die(*args):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "delete_entries", die)
            with pytest.raises(KeyboardInterrupt):
                log.stream("a").delete()
        log.append("n", stream="a")
        getattr(log, look_after)()
        assert [entry.position for entry in log.read().entries] == [2, 4, 5, 6]
        assert log.info().count == 4
        assert not Deletion.objects.using(any_alias).exists()

    def test_pruning_while_others_write_and_read(self, make_log, any_alias):
        """B7: a reader is complete, or told what it missed."""
        log = make_log(any_alias)
        done = threading.Event()

        def work(number):
            if number == 0:
                for n in range(150):
                    log.append("n", {"n": n}, stream=f"s{n % 3}")
                done.set()
                return None
            if number == 1:
                while not done.is_set():
                    log.prune(max_entries=20, batch_size=7)
                return None
            seen, lost, cursor = [], 0, 0
            while not (done.is_set() and cursor == 150):
                page = log.read(cursor, 7)
                lost += page.gap.lost if page.gap else 0
                seen += [entry.position for entry in page.entries]
                assert len(seen) + lost == page.cursor
                cursor = page.cursor
            return seen

        *_, seen = in_threads(3, work)
        assert seen == sorted(set(seen))


@contextmanager
def emits_after(moment, log, alias, stream):
    """Once, after the first statement that begins so; the second of what comes is the answer."""
    inner = []

    def hooked(execute, sql, *args):
        answer = execute(sql, *args)
        if not inner and sql.startswith(moment):
            inner.append(None)
            inner.append(log.append("inner", stream=stream))
        return answer

    with connections[alias].execute_wrapper(hooked):
        yield inner


class TestAnEmitInAnEmit:
    """A handler of a signal may emit at any moment; and so may what hooks into queries or logging."""

    @pytest.fixture(params=["default", "postgres", "mariadb"])
    def alias(self, request):
        return request.param

    @pytest.mark.parametrize(
        "moment", ["SELECT id, head", "INSERT INTO events_stream", "INSERT INTO events_event"]
    )
    def test_it_waits_for_the_commit_of_the_other(self, log, alias, moment):
        """B14, B53: nothing that was answered for is lost, and no number is given out twice."""
        log.append("zero", stream="s")
        with emits_after(moment, log, alias, "t") as inner:
            log.append_many([{"kind": kind, "stream": "s"} for kind in ("a", "b")])
        log.append("next", stream="s")
        entries = log.read().entries
        assert sorted(entry.kind for entry in entries) == ["a", "b", "inner", "next", "zero"]
        assert [entry.position for entry in entries] == [1, 2, 3, 4, 5]
        assert [entry.seq for entry in entries if entry.stream == "s"] == [1, 2, 3, 4]
        assert inner[1].position is None

    @pytest.mark.parametrize(
        "moment", ["UPDATE events_log", "INSERT INTO events_stream", "INSERT INTO events_event"]
    )
    def test_in_the_middle_of_a_single_event_on_sqlite(self, make_log, moment):
        """B14, B53: its three statements take what the first has left in the log's row."""
        log = make_log("default")
        log.append("zero", stream="s")
        with emits_after(moment, log, "default", "s") as inner:
            assert log.append("outer", stream="s").position == 2
        found = [(entry.position, entry.seq, entry.kind) for entry in log.read().entries]
        assert found == [(1, 1, "zero"), (2, 2, "outer"), (3, 3, "inner")]
        assert inner[1].position is None

    def test_what_is_undone_with_the_other(self, make_log):
        log = make_log("default")
        log.stream("s").open()
        log.stream("s").complete()
        inner = []

        def hooked(execute, sql, *args):
            answer = execute(sql, *args)
            if not inner and sql.startswith("UPDATE events_log"):
                inner.append(None)
                inner.append(log.append("inner"))
            return answer

        with connections["default"].execute_wrapper(hooked), pytest.raises(StreamClosed):
            log.append("outer", stream="s")
        log.append("next")
        assert [entry.kind for entry in log.read().entries][2:] == ["next"]


class TestSQLite:
    def test_positions_that_are_taken_with_the_lock(self, make_log):
        """What is refused gives its position back."""
        log = make_log("default")
        log.append("a", key="k")
        log.append("a", key="k")
        with transaction.atomic():
            log.append_many([("b",), ("c",)])
            log.stream("s").complete()
            with pytest.raises(StreamClosed):
                log.append("d", stream="s")
            log.append("e")
        assert [(one.position, one.kind) for one in log.read().entries] == [
            (1, "a"),
            (2, "b"),
            (3, "c"),
            (4, "stream.completed"),
            (5, "e"),
        ]
