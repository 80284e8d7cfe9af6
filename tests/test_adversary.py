"""What a reviewer who meant no good has found."""

import asyncio
import json
import os
import time

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections, transaction

from events import coalesce
from events.backends.database import prepared
from events.backends.database.backend import DatabaseBackend
from events.exceptions import EventsError, LogBusy, StreamClosed
from events.live.tail import follow
from events.models import Event, Log, Stream
from events.testing import ManualClock
from events.types import Row
from events.validation import Item

from .support.http_client import API
from .test_sequencer import kinds

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "postgres", "mariadb"])


@pytest.fixture(params=["default", "postgres", "mariadb"])
def alias(request):
    return request.param


@pytest.fixture
def log(make_log, alias):
    return make_log(alias)


class TestWaiting:
    async def test_an_event_that_comes_as_time_runs_out(self, make_log):
        """B38: the cursor must not pass what the answer does not hold."""
        log = make_log(BACKEND="memory", POLL_INTERVAL=60)
        async with follow(log.backend, log.query()) as tail:
            while not tail.live:
                await tail.next()
            waiter = asyncio.ensure_future(tail.next(0.05))
            await asyncio.sleep(0)
            broker = tail.broker
            rows = [Row(1, "n", "", 0, 0, "{}", None)]
            asyncio.get_running_loop().call_later(0.06, broker.window.extend, rows, 1)
            time.sleep(0.1)  # a busy loop: both are due when it goes on
            found = await waiter
            assert (found and found.cursor) or tail.bookmark == 0

    async def test_a_new_epoch_is_no_reason_to_read_it_all(self, make_log):
        """B31: a broker goes on at the head; whoever is behind asks the log itself."""
        log = make_log(BACKEND="memory")
        log.append_many([("n", {})] * 5000)
        async with follow(log.backend, log.query(5000)) as tail:
            while not tail.live:
                await tail.next()
            log.renew_epoch()
            await tail.broker.look()
            assert tail.broker.window.position == 5000
            assert not tail.broker.window.entries


class TestCoalescing:
    @pytest.fixture(autouse=True)
    async def close_connections(self):
        yield
        await sync_to_async(connections.close_all)()

    async def test_a_call_in_the_moment_of_giving_up(self, log, monkeypatch):
        """B26: it is stored, and its caller is not told that it was cancelled."""
        monkeypatch.setattr(coalesce, "LINGER", 0.05)
        await log.aappend("n")
        loop = asyncio.get_running_loop()
        batcher = coalesce._batchers[loop][log.name]
        calls = []
        loop.call_later(0.06, lambda: calls.append(batcher.add([Item("m", "", "{}", None)])))
        time.sleep(0.1)  # a busy loop: both are due when it goes on
        await asyncio.sleep(0.3)
        [result] = await asyncio.gather(*calls, return_exceptions=True)
        assert not isinstance(result, BaseException), repr(result)
        assert result[0].position == 2

    async def test_what_was_stored_is_not_called_a_failure(self, log, monkeypatch):
        """B22: one by one after a refusal, an error belongs to whom it happened to."""
        await log.aappend("n", {"a": 1}, key="k")
        append = DatabaseBackend.append
        calls = []

        def fail_later(backend, items):
            calls.append(len(items))
            if len(calls) == 3:
                raise LogBusy("could not lock")
            return append(backend, items)

        monkeypatch.setattr(DatabaseBackend, "append", fail_later)
        results = await asyncio.gather(
            log.aappend("one"),
            log.aappend("two"),
            log.aappend("n", {"a": 2}, key="k"),
            return_exceptions=True,
        )
        assert calls[:3] == [3, 1, 1]
        assert results[0].position == 2
        assert isinstance(results[1], LogBusy)
        assert isinstance(results[2], EventsError)
        assert (await log.ainfo()).head == 2


class TestTransactions:
    def test_an_interrupted_beginning_leaves_no_transaction(self, log, alias, monkeypatch):
        """B26: a signal's exception right after BEGIN (Celery's soft time limit); what is emitted
        next must not land in that transaction, which nobody commits."""
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
            connections[alias].close()
        assert kinds(log) == ["zero", "one"]

    def test_a_large_list(self, log, alias):
        """B26: in a transaction as well as outside; MariaDB takes 16 MiB in one statement."""
        payload = {"text": "x" * 60_000}
        with transaction.atomic(using=alias):
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

    @pytest.mark.parametrize("key", [None, "k"])
    def test_a_closed_stream(self, log, alias, key):
        """B56: also inside a transaction that began after the end."""
        log.append("n", stream="s")
        Stream.objects.using(alias).filter(name="s").update(status="completed")
        with transaction.atomic(using=alias):
            with pytest.raises(StreamClosed):
                log.append("n", stream="s", key=key)
            log.append("m", stream="t")
        assert kinds(log) == ["n", "m"]


class TestReading:
    @pytest.mark.parametrize("stream", [None, "s"])
    def test_a_cursor_at_the_end_of_numbers(self, log, stream):
        """B4: with a kind filter as well as without."""
        log.append("n", stream="s")
        page = log.read(2**63 - 1, kind="n", stream=stream)
        assert (page.entries, page.cursor, page.gap.reason) == ([], 1, "ahead")

    def test_a_plan_that_has_changed(self, make_log):
        """B7: a migration beside a server that lives on."""
        log = make_log("postgres")
        log.append("n")
        for _ in range(prepared.PLAIN_USES + 2):
            log.read()
        with connections["postgres"].cursor() as cursor:
            cursor.execute("ALTER TABLE events_event ALTER COLUMN kind TYPE varchar(120)")
        try:
            assert kinds(log) == ["n"]
            assert kinds(log) == ["n"]
        finally:
            with connections["postgres"].cursor() as cursor:
                cursor.execute("ALTER TABLE events_event ALTER COLUMN kind TYPE varchar(100)")


class TestRenewing:
    def test_time_does_not_run_backwards(self, make_log, alias):
        """B21: a head that was behind its entries was behind their times as well."""
        clock = ManualClock()
        log = make_log(alias, OPTIONS={"clock": clock})
        log.append("n")
        before = Log.objects.using(alias).filter(name=log.name).values("head", "latest").get()
        clock.advance(100)
        log.append("n")
        Log.objects.using(alias).filter(name=log.name).update(**before)
        clock.advance(-50)
        log.renew_epoch()
        log.append("n")
        times = [entry.timestamp for entry in log.read().entries]
        assert len(times) == 3
        assert times == sorted(times)


class MineOnly:
    def can_read(self, user, stream):
        return bool(stream and stream.startswith("mine"))

    can_emit = can_read


class Careless:
    """A policy that looks the stream up in the host's own tables."""

    def can_read(self, user, stream):
        return not Event.objects.using("postgres").filter(stream=stream or "").exists()

    can_emit = can_read


class TestAccess:
    def test_a_used_key_tells_nothing_of_others(self, make_log, client):
        """B67: guessed keys must not name the streams that one may not read."""
        log = make_log(POLICY="tests.test_adversary.MineOnly")
        log.append("salary.raised", {"by": 1}, stream="boss-7", key="req-1")
        answer = client.post(
            f"{API}?log={log.name}",
            json.dumps({"kind": "a", "stream": "mine", "key": "req-1"}),
            content_type="application/json",
        )
        assert answer.status_code == 409
        assert b"boss" not in answer.content
        assert b"salary" not in answer.content

    @pytest.mark.parametrize("name", ["a%00b", "a%0Ab", "%C3%A9", "x" * 200])
    def test_a_policy_is_asked_about_streams_only(self, make_log, client, name):
        """B67: what cannot be a stream's name is nobody's stream, and no server error."""
        log = make_log("postgres", POLICY="tests.test_adversary.Careless")
        for path in (f"streams/{name}/", f"streams/{name}/events/"):
            assert client.get(f"{API}{path}?log={log.name}").status_code == 404


class TestAnEmitInAnEmit:
    """A handler of a signal may emit at any moment; and so may what hooks into queries or logging."""

    @pytest.fixture(params=["postgres", "mariadb"])
    def alias(self, request):
        return request.param

    @pytest.mark.parametrize(
        "moment", ["SELECT id, head", "INSERT INTO events_stream", "INSERT INTO events_event"]
    )
    def test_it_waits_for_the_commit_of_the_other(self, log, alias, moment):
        """B14, B53: nothing that was answered for is lost, and no number is given out twice."""
        log.append("zero", stream="s")
        inner = []

        def hooked(execute, sql, *args):
            answer = execute(sql, *args)
            if not inner and sql.startswith(moment):
                inner.append(None)
                inner.append(log.append("inner", stream="t"))
            return answer

        with connections[alias].execute_wrapper(hooked):
            log.append_many([{"kind": kind, "stream": "s"} for kind in ("a", "b")])
        log.append("next", stream="s")
        entries = log.read().entries
        assert sorted(entry.kind for entry in entries) == ["a", "b", "inner", "next", "zero"]
        assert [entry.position for entry in entries] == [1, 2, 3, 4, 5]
        assert [entry.seq for entry in entries if entry.stream == "s"] == [1, 2, 3, 4]
        assert inner[1].position is None


class TestMemory:
    def test_a_fork_is_another_process(self, make_log):
        """B15, B13: what two processes number alike must have two epochs."""
        log = make_log(BACKEND="memory")
        log.append("n")
        ours = log.info().epoch
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                os.write(write, f"{log.info().epoch} {log.info().head}".encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        epoch, head = os.read(read, 100).decode().split()
        assert epoch != ours
        assert head == "0"
        assert log.info().epoch == ours
