"""B25: the contract on Redis, and what only a log there has."""

import asyncio
import select
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import AsyncClient
from django.urls import reverse

from events.backends.redis import LogUnavailable, NotConfirmed
from events.backends.redis.client import Cluster, Sentinels, talk
from events.backends.redis.pages import Reader
from events.checks import check_stores
from events.context import context
from events.live.tail import follow
from events.testing import ManualClock
from events.validation import Item

from .contract import LogContract
from .support.connections import Socket, next_batch, reading
from .support.connections import until as async_until
from .support.http_client import API
from .support.redis_server import running_redis
from .support.redis_sets import AT_ONCE
from .support.servers import free_port

ANYBODY = "tests.support.connections.Anybody"


class RedisContract(LogContract):
    @pytest.fixture
    def new_log(self, make_log, clock):
        def new(**config):
            options = {"clock": clock, **config.pop("OPTIONS", {})}
            return make_log(self.alias, **config, BACKEND="redis", OPTIONS=options)

        return new


@pytest.mark.django_db(transaction=True)
class TestRedis(RedisContract):
    """With the transactions of SQLite."""


@pytest.mark.django_db(transaction=True, databases="__all__")
class TestRedisBesidePostgreSQL(RedisContract):
    alias = "postgres"


@pytest.mark.django_db(transaction=True, databases="__all__")
class TestRedisBesideMariaDB(RedisContract):
    alias = "mariadb"


@pytest.fixture
def log(make_log):
    return make_log(BACKEND="redis", OPTIONS={"using": None})


class TestWithoutTransactions:
    """`using: None`: no outbox to look into, and no transaction to wait for."""

    pytestmark = pytest.mark.django_db(transaction=True)

    def test_an_emit_does_not_wait_for_a_commit(self, log):
        """It has its position at once, and stays when the transaction is rolled back."""
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert log.append("n").position == 1
            1 / 0  # noqa: B018
        assert [entry.kind for entry in log.read().entries] == ["n"]

    def test_the_database_is_not_asked(self, log, django_assert_num_queries):
        with django_assert_num_queries(0):
            log.append("n", stream="s", key="k")
            log.read()
            log.info()
            log.prune(max_entries=5)


class TestHints:
    async def test_they_come_with_the_append(self, make_log):
        """B36: from a process that says nothing else to this one, long before the next poll."""
        log = make_log(BACKEND="redis", POLL_INTERVAL=60, OPTIONS={"using": None})
        ledger, now = log.backend.ledger, log.backend.now()
        async with follow(log.backend, log.query(since=0)) as tail:
            while not (await next_batch(tail, 10)).live:
                pass
            # Until the channel is listened to.
            while not await asyncio.to_thread(listeners, log):
                await asyncio.sleep(0.001)
            began = time.monotonic()
            await asyncio.to_thread(ledger.append, [Item("n", "", "{}", None)], now)
            batch = await next_batch(tail, 10)
            assert [entry.position for entry in batch.entries] == [1]
            assert time.monotonic() - began < 5

    async def test_a_server_that_comes_back_is_heard_again(self, make_log, tmp_path):
        """B37: nothing is closed, and polling bridges the gap."""
        with running_redis(tmp_path) as server:
            log = make_log(
                BACKEND="redis", POLL_INTERVAL=0.1, OPTIONS={"using": None, "url": server.url}
            )
            async with follow(log.backend, log.query(since=0)) as tail:
                while not (await next_batch(tail, 10)).live:
                    pass
                server.kill()
                server.start()
                await log.aappend("n")
                # It came back empty: another log, of which the reader is told.
                batch = await next_batch(tail, 20)
                assert batch.gap.reason == "epoch"


def listeners(log):
    answer = log.backend.client.send([("PUBSUB", "SHARDNUMSUB", log.backend.keys.hints)])
    return answer[0][1]


class TestPages:
    def test_a_page_in_slices(self, log):
        """More entries than a slice has come as one page, filtered or not."""
        log.append_many([{"kind": "ab"[n % 2], "stream": f"s{n % 3}"} for n in range(2500)])
        assert [entry.position for entry in log.read(100, 1000).entries] == [*range(101, 1101)]
        assert len(log.read(0, 1000, kind="b").entries) == 1000
        assert len(log.read(0, 1000, stream="s1").entries) == 833
        assert len(log.read(0, 1000, stream=["s1", "s2"], kind="a").entries) == 833

    def test_a_page_that_pruning_overtakes(self, log, monkeypatch):
        """It ends before what is gone, and the next one tells of the gap."""
        log.append_many([("n", {})] * 1000)
        plain = Reader._slice

        def slower(reader, query, after, count):
            if after == 250:
                log.prune(max_entries=100)
            return plain(reader, query, after, count)

        monkeypatch.setattr(Reader, "_slice", slower)
        page = log.read(0, 1000)
        assert (page.cursor, len(page.entries), page.gap) == (250, 250, None)
        assert log.read(250, 1000).gap.lost == 650

    def test_what_is_in_no_stream_is_looked_for_by_stretches(self, log):
        """It has no list of its own."""
        log.append_many([{"kind": "n", "stream": "s"}] * 20_500 + [("n", {})])
        page = log.read(stream="")
        assert (page.entries, page.cursor) == ([], 20_000)
        assert [entry.position for entry in log.read(20_000, stream="").entries] == [20_501]

    def test_an_entry_that_somebody_has_damaged(self, log):
        """It is a gap of its own."""
        log.append_many([("n", {})] * 2)
        client, keys = log.backend.client, log.backend.keys
        client.send([("XADD", keys.entries, "3-0", "x", "y"), ("HSET", keys.log, "head", 3)])
        log.append("n")
        assert [entry.position for entry in log.read(0).entries] == [1, 2]
        page = log.read(2)
        assert (page.gap.reason, [entry.position for entry in page.entries]) == ("unreadable", [4])


class TestTerms:
    """A server that is promoted although it lags, or comes back without its newest entries."""

    @pytest.fixture
    def pair(self, tmp_path):
        """A master and its replica."""
        with ExitStack() as stack:
            servers = []
            for name in ("master", "replica"):
                (tmp_path / name).mkdir()
                servers.append(stack.enter_context(running_redis(tmp_path / name, *AT_ONCE)))
            master, replica = servers
            replica.client.replicaof("127.0.0.1", master.port)
            until(lambda: replica.client.info("replication")["master_link_status"] == "up")
            yield master, replica

    def test_only_who_saw_what_was_taken_back_is_told(self, make_log, pair):
        """B13: by an epoch gap; whoever was no further goes on, in the new epoch."""
        master, replica = pair
        log = make_log(BACKEND="redis", name="log", OPTIONS={"using": None, "url": master.url, "prefix": "t"})  # fmt: skip
        log.append_many([("n", {})] * 3)
        until(lambda: replica.client.hget("t{log}:h", "head") == b"3")
        replica.client.replicaof("no", "one")
        log.append_many([("lost", {})] * 2)
        before = log.read(3)
        assert [entry.position for entry in before.entries] == [4, 5]
        log = make_log(BACKEND="redis", name="log", OPTIONS={"using": None, "url": replica.url, "prefix": "t"})  # fmt: skip
        # Nothing has been written to the new master yet.
        assert log.read(3, epoch=before.epoch).gap is None
        told = log.read(5, epoch=before.epoch)
        assert (told.gap.reason, told.cursor) == ("epoch", 3)
        assert told.epoch != before.epoch
        assert log.append("new").position == 4
        assert log.read(5, epoch=before.epoch).gap.reason == "epoch"
        assert log.read(4, epoch=before.epoch).gap.reason == "epoch"
        page = log.read(3, epoch=before.epoch)
        assert ([entry.kind for entry in page.entries], page.gap) == (["new"], None)
        assert page.epoch == told.epoch
        assert log.read(4, epoch=page.epoch).gap is None

    async def test_who_is_connected_learns_of_a_new_term(self, make_log):
        """B13: with nothing missing, and not with the gap that it would be told of when it comes back."""
        log = make_log(BACKEND="redis", POLL_INTERVAL=0.05, POLICY=ANYBODY, OPTIONS={"using": None})
        await log.aappend("n")
        before = (await log.ainfo()).epoch
        socket, reader = Socket(), await reading(log, since=0)
        try:
            await socket.live(log=log.name, since=0)
            log.backend.client.send([("HSET", log.backend.keys.log, "run", "another")])
            await log.aappend("n")
            await async_until(lambda: len(socket.frames("events")) == 2 and "id: 2" in reader.text)
            epoch = (await log.ainfo()).epoch
            assert epoch != before
            told = [(one["type"], one.get("epoch")) for one in socket.frames()]
            assert told[-2:] == [("epoch", epoch), ("events", None)]
            assert socket.frames("gap") == []
            assert f'event: epoch\ndata: {{"epoch":"{epoch}"}}' in reader.text
            assert "event: gap" not in reader.text
        finally:
            socket.task.cancel()
            reader.task.cancel()
            await asyncio.gather(socket.task, reader.task, return_exceptions=True)

    def test_renewing_ends_all_terms(self, log):
        """B13: whoever comes from before is told."""
        log.append("n")
        before = log.info().epoch
        log.backend.client.send([("HSET", log.backend.keys.log, "run", "another")])
        log.append("n")
        assert log.info().epoch != before
        assert log.read(1, epoch=before).gap is None
        log.renew_epoch()
        assert log.read(1, epoch=before).gap.reason == "epoch"

    def test_there_are_a_hundred_of_them(self, log):
        """An older one is over."""
        log.append("n")
        first = log.info().epoch
        for number in range(100):
            log.backend.client.send([("HSET", log.backend.keys.log, "run", f"r{number}")])
            log.append("n")
        assert log.read(1, epoch=first).gap.reason == "epoch"
        assert len(log.backend.reader.state().terms) == 99

    def test_too_few_replicas_confirm(self, make_log, pair):
        """The event is stored, the caller hears that it is not confirmed, and a retry is safe."""
        master, replica = pair
        options = {"using": None, "url": master.url, "wait": 1}
        log = make_log(BACKEND="redis", OPTIONS=options)
        assert log.append("n").position == 1
        replica.stop()
        with pytest.raises(NotConfirmed, match="stored, but 0 of 1"):
            log.append("n", key="k")
        replica.go_on()
        until(lambda: log.append("n", key="k").position == 2)
        assert log.info().head == 2

    def test_a_master_that_is_demoted_meanwhile(self, make_log, pair):
        """The emit that waits hears that it is stored and not confirmed."""
        master, replica = pair
        options = {"using": None, "url": master.url, "wait": 1}
        log = make_log(BACKEND="redis", OPTIONS=options)
        log.append("n")
        replica.stop()
        with ThreadPoolExecutor(1) as pool:
            emitted = pool.submit(log.append, "n")
            until(lambda: master.client.info("clients")["blocked_clients"] == 1)
            master.client.replicaof("127.0.0.1", free_port())
            with pytest.raises(NotConfirmed, match="stored, but 0 of 1"):
                emitted.result()
        replica.go_on()

    def test_a_retry_is_written_too(self, make_log, pair):
        """A WAIT counts from its connection's last write, and the first may have had another."""
        master, _ = pair
        options = {"using": None, "url": master.url, "wait": 1}
        log = make_log(BACKEND="redis", OPTIONS=options)
        log.append("n", key="k")
        before = written(master)
        assert log.append("n", key="k").position == 1
        assert written(master) > before

    def test_readers_wait_for_no_replica(self, make_log, tmp_path):
        """Neither to begin a log or a term, nor to be told that they are ahead."""
        with running_redis(tmp_path) as server:
            log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": server.url, "wait": 1})
            assert log.read(since=5).gap.reason == "ahead"


def written(server):
    return server.client.info("commandstats")["cmdstat_hset"]["calls"]


class TestRefusals:
    def test_a_server_that_takes_nothing(self, make_log, tmp_path):
        """B37: it is full. An emit fails as while Redis is away; one can read, and make room."""
        with running_redis(tmp_path) as server:
            log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": server.url})
            log.append("n")
            server.client.config_set("maxmemory", 1)
            with pytest.raises(LogUnavailable, match="maxmemory"):
                log.append("n", stream="s")
            assert len(log.read().entries) == 1
            assert (log.info().head, log.prune(ttl=60)) == (1, 0)
            assert log.clear() == 1
            server.client.config_set("maxmemory", 0)
            assert log.append("n", stream="s").seq == 1

    def test_a_user_who_may_not_publish(self, make_log, tmp_path):
        """Only the hint is lost: readers poll."""
        with running_redis(tmp_path) as server:
            log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": server.url})
            server.client.execute_command("ACL SETUSER", "default", "resetchannels")
            assert log.append("n", stream="s").position == 1
            log.stream("s").delete()
            assert log.info().head == 2

    @pytest.mark.parametrize("kind", [Sentinels, Cluster])
    def test_a_password_with_what_is_special_in_an_address(self, kind):
        scheme = "redis+sentinel" if kind is Sentinels else "redis+cluster"
        place = kind(f"{scheme}://me:a%40b%2Fc@127.0.0.1:1/master")
        used = place.lines.pool.connection_kwargs if kind is Sentinels else place.options
        assert (used["username"], used["password"]) == ("me", "a@b/c")

    def test_a_slot_that_has_moved_to_a_node_without_a_name(self):
        """The cluster is asked again."""
        place = Cluster("redis+cluster://127.0.0.1:1")
        place.look_again(7, "MOVED 7 10.0.0.1:2")
        assert place.masters == {7: ("10.0.0.1", 2)}
        place.look_again(7, "MOVED 7 :3")
        assert place.masters == {}


class TestConnections:
    def test_one_that_the_server_has_closed(self, log):
        """B37: is opened anew: what was not sent is not something of which nobody knows."""
        log.append("n")
        client = log.backend.client
        # Its own and no other: this server is that of other tests, too.
        [own] = client.send([("CLIENT", "ID")])
        client.send([("CLIENT", "KILL", "ID", own, "SKIPME", "no")])
        line = client.place.lines_of(client.slot).idle[-1]
        assert select.select([line._sock], [], [], 5)[0]
        assert log.append("n").position == 2

    def test_a_refusal_of_what_comes_second(self, log):
        """B37: of a WAIT, say: what came first was done, and is not done twice."""
        key, busy = f"{log.backend.keys.base}n", "return redis.error_reply('BUSY it is')"
        commands = [("INCR", key), ("EVAL", busy, 0)]
        first, second = log.backend.client.send(commands, again=False)
        assert first == 1
        assert isinstance(second, Exception)

    def test_the_master_is_another_meanwhile(self, tmp_path):
        """B13: what was lent then does not lead to the old one again, which still answers."""
        (tmp_path / "old").mkdir()
        (tmp_path / "new").mkdir()
        with running_redis(tmp_path / "old") as old, running_redis(tmp_path / "new") as new:
            lines = Sentinels("redis+sentinel://127.0.0.1:1/mymaster/0").lines
            manager = lines.pool.sentinel_manager
            manager.discover_master = lambda name: ("127.0.0.1", old.port)
            lent = lines.take()
            manager.discover_master = lambda name: ("127.0.0.1", new.port)
            talk(lines, [("SET", "a", 1)])
            lines.put_back(lent)
            talk(lines, [("SET", "b", 1)])
            assert old.client.dbsize() == 0
            assert new.client.dbsize() == 2
            lines.close()

    def test_a_node_that_stands_still(self, tmp_path):
        """B37: is not waited for longer than one that is asked for the first time."""
        options = "--cluster-enabled", "yes", "--cluster-port", str(free_port())
        with running_redis(tmp_path, *options) as server:
            server.client.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
            place = Cluster(f"redis+cluster://127.0.0.1:{server.port}")
            place.lines_of(0)
            server.stop()
            place.masters.clear()
            began = time.monotonic()
            with pytest.raises(redis.ConnectionError):
                place.lines_of(0)
            assert time.monotonic() - began < 4

    def test_they_are_used_again(self, log):
        """By everybody in turn; no more are open than were ever needed at once."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: log.append("n"), range(50)))
        lines = log.backend.client.place.lines
        assert log.info().head == 50
        assert len({*map(id, lines.idle)}) == len(lines.idle)


class TestWhatTransportsSay:
    """Of a log whose Redis is away, or whose replicas are."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def server(self, tmp_path):
        with running_redis(tmp_path, "--appendonly", "yes") as server:
            yield server

    @pytest.fixture
    def log(self, make_log, server):
        options = {"using": None, "url": server.url, "lock_timeout": 0.2}
        log = make_log(BACKEND="redis", POLICY=ANYBODY, POLL_INTERVAL=0.05, OPTIONS=options)
        log.append("n")
        return log

    async def test_away(self, log, server):
        """B37: 503 with a time to try again at, whatever is asked."""
        server.kill()
        client, where = AsyncClient(), {"log": log.name}
        answers = [
            await client.get(API, where),
            await client.get(API, where | {"wait": 1}),
            await client.get(f"{API}live/", where),
            await client.get(f"{API}streams/s/live/", where),
            await client.post(
                f"{API}?log={log.name}", '{"kind": "n"}', content_type="application/json"
            ),
        ]
        for answer in answers:
            assert (answer.status_code, answer["Retry-After"]) == (503, "1")
            assert "cannot be had" in answer.json()["detail"]
            assert "Redis" not in answer.json()["detail"]

    async def test_who_is_connected_waits(self, log, server):
        """B37: nobody is sent away, and who subscribes meanwhile is served afterwards."""
        socket, reader = Socket(), await reading(log, since=0)
        try:
            await socket.live(log=log.name, since=0)
            server.kill()
            socket.say(type="subscribe", id="b", log=log.name, since=0)
            await asyncio.sleep(0.5)
            assert not socket.frames("error")
            server.start()
            await log.aappend("n")
            await async_until(lambda: "id: 2" in reader.text and len(socket.frames("live")) == 2)
            assert socket.code is None
            assert {frame["id"] for frame in socket.frames("events")} == {"a", "b"}
        finally:
            socket.task.cancel()
            reader.task.cancel()
            await asyncio.gather(socket.task, reader.task, return_exceptions=True)

    def test_no_answer(self, log, client, server):
        """504, without a time to try again at: it may be stored, as it is here."""
        server.stop()
        answer = client.post(
            f"{API}?log={log.name}", '{"kind": "lost"}', content_type="application/json"
        )
        server.go_on()
        until(lambda: log.info().head == 2)
        assert answer.status_code == 504
        assert "may be stored" in answer.json()["detail"]
        assert "Retry-After" not in answer

    def test_not_confirmed(self, make_log, client, server):
        """504, without a time to try again at: it is stored, and a key is what makes that safe."""
        options = {"using": None, "url": server.url, "wait": 1}
        log = make_log(BACKEND="redis", POLICY=ANYBODY, OPTIONS=options)
        for _ in range(2):
            answer = client.post(
                f"{API}?log={log.name}",
                '{"kind": "n", "key": "k"}',
                content_type="application/json",
            )
            assert answer.status_code == 504
            assert answer.json()["detail"].startswith("Stored, but not confirmed")
            assert "Retry-After" not in answer
        assert log.info().head == 1


class TestChecks:
    def test_what_a_server_says_of_itself(self, make_log, tmp_path):
        """B24: what loses a log is an error, what may lose an event a warning."""
        with running_redis(tmp_path) as server:
            log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": server.url, "wait": 1})
            assert [one.id for one in log.backend.problems()] == ["W015", "W017"]
            server.client.config_set("appendonly", "yes")
            server.client.config_set("maxmemory-policy", "allkeys-lru")
            assert [one.id for one in log.backend.problems()] == ["E006", "W017"]
            server.client.acl_setuser("default", commands=["-info"])
            assert [one.id for one in log.backend.problems()] == ["E004"]
            server.client.acl_setuser("default", commands=["+info"])

    def test_a_server_that_is_away(self, make_log):
        """It is said, and nothing fails."""
        options = {"using": None, "url": f"redis://127.0.0.1:{free_port()}", "lock_timeout": 0.1}
        log = make_log(BACKEND="redis", OPTIONS=options)
        assert [one.id for one in log.backend.problems()] == ["W014"]
        with pytest.raises(LogUnavailable, match="cannot be had"):
            log.append("n")

    def test_manage_py_says_so(self, make_log, settings):
        name = make_log(BACKEND="redis").name
        settings.EVENTS = {name: settings.EVENTS[name]}
        found = [message.id for message in check_stores(databases=["default"])]
        assert found == ["events.W015"]
        assert check_stores(databases=None) == []


class TestFigures:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_the_admin_has_them(self, make_log, clock):
        """How the log stands, and what came when."""
        log = make_log(BACKEND="redis", TTL=60, MAX_ENTRIES=2, OPTIONS={"clock": clock})
        log.append_many([("old", {})] * 2)
        clock.advance(61)
        log.stream("s").open(idle_timeout=10)
        log.append_many([("n", {})] * 3)
        found = log.backend.figures()
        assert (found.head, found.floor, found.count, found.expired, found.beyond) == (
            6,
            2,
            4,
            2,
            2,
        )
        assert (found.oldest.position, found.newest.position, found.running) == (3, 6, 1)
        clock.advance(50)
        assert log.backend.figures().idle == 1
        edges = [int((clock() - ago) * 1_000_000) for ago in (200, 55, -1)]
        early, late = log.backend.stretches(edges)
        assert (early.total, late.total) == (0, 4)
        assert late.kinds == {"stream.opened": 1, "n": 3}

    def test_the_overview_shows_it(self, make_log, admin_client):
        log = make_log(BACKEND="redis")
        log.append("n")
        page = admin_client.get(reverse("admin:events_log_changelist")).content.decode()
        assert log.name in page

    @pytest.fixture
    def clock(self):
        return ManualClock()


def test_an_event_from_the_future_is_brought_back(make_log):
    """B21: as on a database; the entries stay, in their places."""
    clock = ManualClock()
    log = make_log(BACKEND="redis", OPTIONS={"using": None, "clock": clock})
    log.append("n", {"n": 1}, key="k")
    clock.advance(86_400)
    log.append_many([("late", {"n": n}) for n in range(1200)])
    clock.advance(-86_400)
    log.renew_epoch(reset_clock=True)
    entries = log.read(0, 1000).entries + log.read(1000, 1000).entries
    assert [entry.position for entry in entries] == [*range(1, 1202)]
    assert {entry.timestamp.timestamp() for entry in entries} == {clock()}
    assert log.append("n").position == 1202


def test_what_was_brought_back_can_be_pruned(make_log):
    """B21: though XTRIM takes what was deleted on the way for the end of what it is to remove."""
    clock = ManualClock()
    log = make_log(BACKEND="redis", OPTIONS={"using": None, "clock": clock})
    log.append_many([("n", {})] * 10)
    clock.advance(86_400)
    log.append_many([("late", {})] * 4)
    clock.advance(-86_400)
    log.renew_epoch(reset_clock=True)
    assert log.prune(max_entries=2) == 12
    assert (log.info().count, log.info().floor) == (2, 12)


def test_streams_from_the_future_fail_in_time(make_log):
    """B21: a clock that was a day ahead keeps none alive for a day, however many there are."""
    clock = ManualClock()
    log = make_log(BACKEND="redis", OPTIONS={"using": None, "clock": clock})
    clock.advance(86_400)
    for number in range(600):
        log.stream(f"s{number}").open(idle_timeout=60)
    clock.advance(-86_400)
    assert log.reconcile() == []
    clock.advance(61)
    assert len(log.reconcile()) == 600


BACKENDS = [
    {"BACKEND": "redis"},
    {"alias": "postgres"},
    {},
    {"BACKEND": "memory", "MAX_ENTRIES": None},
]


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("target", BACKENDS, ids=["redis", "postgres", "sqlite", "memory"])
@pytest.mark.parametrize("source", BACKENDS, ids=["redis", "postgres", "sqlite", "memory"])
def test_a_log_moves_house(make_log, source, target):
    """With positions, keys, streams and epoch; again to go on, and over holes and what was pruned."""
    source, target = make_log(**source), make_log(**target)
    source.append_many([("n", {"n": n}) for n in range(600)])
    source.stream("gone").emit("n")
    source.stream("run").open(idle_timeout=60)
    with context(actor="7"):
        first = source.append("n", {"é": 1}, stream="run", key="k")
    source.stream("done").complete()
    source.stream("gone").delete()
    source.prune(max_entries=590)
    call_command("copy_log", source=source.name, target=target.name)
    source.append("later", stream="run")
    call_command("copy_log", source=source.name, target=target.name)
    assert target.info() == replace(source.info(), name=target.name)
    for log in (source, target):
        log.prune(max_entries=580)
    copies = [
        [row for page in log.backend.pages(log.query()) for row in page.rows]
        for log in (source, target)
    ]
    assert copies[0] == copies[1]
    for name in ("run", "done", "gone"):
        assert target.stream(name).info() == source.stream(name).info()
    assert target.read(3, epoch=source.info().epoch).gap.reason == "pruned"
    assert target.append("n", {"é": 1}, stream="run", key="k") == first
    assert target.append("n", stream="run").position == source.info().head + 1
    source.append_many([("n", {})] * 3)
    with pytest.raises(CommandError, match="Broken off"):
        call_command("copy_log", source=source.name, target=target.name)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        with suppress(NotConfirmed):
            if condition():
                return
        assert time.monotonic() < deadline
        time.sleep(0.005)
