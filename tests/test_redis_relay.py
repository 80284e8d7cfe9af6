"""From a database's outbox to Redis: each committed event once, whatever dies when."""

import multiprocessing
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from itertools import islice

import pytest
from django.core.management import call_command
from django.db import connections, transaction

from events.backends.base import LOOK_AGAIN
from events.backends.database import outbox, sequencer
from events.backends.database.dialects import dialect_of
from events.backends.redis import LogUnavailable
from events.backends.redis.ledger import Ledger, Stale
from events.backends.redis.relay import Relay
from events.exceptions import LogBusy, StreamClosed
from events.handlers.models import Shard
from events.handlers.store import log_state
from events.models import Outbox
from events.status import status_of
from events.validation import Item

from .contract import in_threads
from .support.redis_server import running_redis
from .support.servers import free_port
from .test_handlers import register  # noqa: F401
from .test_redis import until

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["default", "postgres", "mariadb"])
def alias(request):
    return request.param


@pytest.fixture
def log(make_log, alias):
    log = make_log(alias, BACKEND="redis")
    log.append("zero")
    return log


def commit(log, *kinds, **fields):
    with transaction.atomic(using=log.backend.alias):
        for kind in kinds:
            log.append(kind, **fields)


def put(log, kind):
    """A committed row of the outbox, of which nobody has said anything yet."""
    with connections[log.backend.alias].cursor() as cursor:
        outbox.put(cursor, log.name, [Item(kind, "", "{}", None)], log.backend.now())


def kinds(log):
    return [entry.kind for page in log.backend.pages(log.query(0)) for entry in page.rows]


def waiting(log):
    return Outbox.objects.using(log.backend.alias).filter(log=log.name).count()


def noted(log):
    """What Redis still knows of rows of the outbox."""
    [key] = log.backend.client.send([("KEYS", log.backend.keys.placed("*"))])[0]
    return set(log.backend.client.send([("HKEYS", key)])[0]) - {b"token"}


def in_child(work):
    """Do it in another process; how that ended."""
    connections.close_all()
    child = FORK.Process(target=work)
    child.start()
    return child


def dying(owner, name, *, first):
    """Make the process die before a step, or after it."""
    plain = getattr(owner, name)

    def last(*arguments, **options):
        result = None if first else plain(*arguments, **options)
        # The notes are forgotten by a relay of nothing.
        if owner is not Ledger or arguments[1]:
            os._exit(9)
        return result

    setattr(owner, name, last)


STEPS = {
    "before the script": lambda log: dying(Ledger, "relay", first=True),
    "after the script": lambda log: dying(Ledger, "relay", first=False),
    "after the deletion": lambda log: dying(
        type(dialect_of(connections[log.backend.alias])), "delete", first=False
    ),
    "after the commit": lambda log: dying(Relay, "_forget", first=True),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_relay_that_is_killed(log, step):
    """B26: what it left is finished by the next emit, each event once and in order."""

    def work():
        STEPS[step](log)
        commit(log, "a", "b", "c", stream="s")

    child = in_child(work)
    child.join()
    assert child.exitcode == 9
    assert waiting(log) == (0 if step == "after the commit" else 3)
    assert log.append("after").position == 5
    assert kinds(log) == ["zero", "a", "b", "c", "after"]
    assert log.stream("s").info().seq == 3
    commit(log, "d")
    assert (waiting(log), noted(log)) == (0, set())


def test_a_relay_that_stands_still(make_log):
    """B26: another goes on without it, and when it wakes it places nothing again."""
    log = make_log("postgres", BACKEND="redis")
    log.append("zero")

    def work():
        plain = Ledger.relay

        def stopped(ledger, rows, *arguments):
            if rows and not stopping:
                stopping.append(True)
                os.kill(os.getpid(), signal.SIGSTOP)
            return plain(ledger, rows, *arguments)

        stopping = []
        Ledger.relay = stopped
        commit(log, "a", "b")
        # Whatever the end of its connection has done to the commit's hook, it looks once more.
        connections.close_all()
        log.read()
        os._exit(0)

    child = in_child(work)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert log.append("after").position == 4
    assert noted(log) == set()
    os.kill(child.pid, signal.SIGCONT)
    child.join()
    assert kinds(log) == ["zero", "a", "b", "after"]
    assert waiting(log) == 0


def test_a_read_brings_what_waits(log):
    """B26: of a process that died after its commit, on every database."""
    put(log, "a")
    assert [entry.kind for entry in log.read().entries] == ["zero", "a"]


def test_nobody_waits_for_the_database_while_redis_is_away(make_log, monkeypatch):
    """B26: its lock is asked for when Redis has answered; on SQLite everybody who writes needs it."""
    url = f"redis://127.0.0.1:{free_port()}"
    log = make_log(BACKEND="redis", OPTIONS={"url": url, "lock_timeout": 0.1, "clock": time.time})
    put(log, "a")
    locked = []
    monkeypatch.setattr(Relay, "_lock", lambda *_, **options: locked.append(options) or ("", 1))
    with pytest.raises(LogUnavailable):
        log.backend.relay.sequence()
    assert not locked


def test_a_relay_that_stands_still_twice(log):
    """B26: what it heard of others' tokens gives it none that they would not go beyond."""
    commit(log, "a")
    name, alias, client = log.name, log.backend.alias, log.backend.client
    late, asleep = Relay(name, alias, 1.0, True, log.backend.ledger), []

    class Sleeper(Ledger):
        def relay(self, rows, forget, database, token, timeout):
            if not asleep:
                # It slept before, and another has relayed and forgotten since.
                [[newest]] = client.send([("HMGET", self.keys.placed(database), "token")])
                asleep.append(None)
                raise Stale(int(newest))
            asleep[0] = rows, forget, database, token, timeout
            raise InterruptedError("the database has ended its session")

    late.ledger = Sleeper(client, log.backend.keys, log.backend.now, 0, name)
    put(log, "b")
    with pytest.raises(InterruptedError):
        late.sequence()
    log.read()
    with pytest.raises(Stale):
        log.backend.ledger.relay(*asleep[0])
    assert kinds(log) == ["zero", "a", "b"]


def test_a_database_that_counts_lower_again(log):
    """A token that is too low because the database was restored stops nobody."""
    commit(log, "a")
    [key] = log.backend.client.send([("KEYS", log.backend.keys.placed("*"))])[0]
    log.backend.client.send([("HSET", key, "token", 1000)])
    commit(log, "b")
    assert kinds(log) == ["zero", "a", "b"]


def test_a_database_that_gives_its_ids_out_again(log, alias):
    """B26: as after a restore. That another row of that id has its place says nothing of this one."""

    def work():
        STEPS["after the script"](log)
        commit(log, "a")

    in_child(work).join()
    row = Outbox.objects.using(alias).filter(log=log.name)
    row.update(kind="b", emitted_at=row.get().emitted_at + timedelta(seconds=1))
    log.read()
    assert kinds(log) == ["zero", "a", "b"]
    commit(log, "c")
    assert (waiting(log), noted(log)) == (0, set())


def test_redis_is_away_for_a_while(make_log, alias, tmp_path):
    """B26: transactions commit all the same, what waits is shown, and it is relayed by itself."""
    with running_redis(tmp_path, "--appendonly", "yes") as server:
        options = {"url": server.url, "lock_timeout": 0.2}
        log = make_log(alias, BACKEND="redis", OPTIONS=options)
        log.append("zero")
        server.kill()
        for number in range(3):
            commit(log, f"n{number}", stream="s", key=f"k{number}")
        with pytest.raises(LogUnavailable):
            log.append("direct")
        found = Outbox.objects.using(alias).filter(log=log.name).order_by("id")
        assert [row.kind for row in found] == ["n0", "n1", "n2"]
        server.start()
        until(lambda: not status_of(log).outbox or log.read().cursor == 4)
        assert kinds(log) == ["zero", "n0", "n1", "n2"]


def test_what_waits_is_not_confirmed(make_log, alias, tmp_path):
    """B15: who emits after it is not told that their own event is stored."""
    with running_redis(tmp_path) as server:
        log = make_log(alias, BACKEND="redis", OPTIONS={"url": server.url, "wait": 1})
        put(log, "before")
        with pytest.raises(LogUnavailable, match="nothing was stored"):
            log.append("mine")
        assert waiting(log) == 1
        assert server.client.xlen(log.backend.keys.entries) == 1


def test_who_asks_for_all_is_told_that_it_cannot_be_had(make_log, alias, tmp_path, monkeypatch):
    """B26: an export or a handler's turn that begins ends with an error, and not never; and asks
    now and then until it does, rather than all the time."""
    with running_redis(tmp_path) as server:
        options = {"url": server.url, "lock_timeout": 0.2}
        log = make_log(alias, BACKEND="redis", OPTIONS=options)
        log.append_many([("n", {})] * 3)
        put(log, "waits")
        server.client.config_set("maxmemory", 1)
        pages = log.backend.pages(log.query(0, 2))
        assert [[row.position for row in page.rows] for page in islice(pages, 2)] == [[1, 2], [3]]
        with pytest.raises(LogBusy, match="could not be placed"):
            list(islice(pages, 1000))
        looks, read = [], log.backend.read
        monkeypatch.setattr(log.backend, "read", lambda query: looks.append(query) or read(query))
        with pytest.raises(LogBusy, match="could not be placed"):
            log_state(log.backend)
        assert 2 <= len(looks) <= 1 + 0.2 / LOOK_AGAIN
        server.client.config_set("maxmemory", 0)
        until(lambda: not log.backend.read(log.query(3)).partial)
        assert kinds(log) == ["n", "n", "n", "waits"]


def slow_line(port, rate):
    """The port of a way to a server, of so many bytes a second."""
    entrance = socket.create_server(("127.0.0.1", 0))

    def carry(source, target, rate):
        with suppress(OSError), source, target:
            while data := source.recv(65_536):
                target.sendall(data)
                time.sleep(len(data) / rate if rate else 0)

    def serve():
        while True:
            one, other = entrance.accept()[0], socket.create_connection(("127.0.0.1", port))
            for way in ((one, other, rate), (other, one, 0)):
                threading.Thread(target=carry, args=way, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return entrance.getsockname()[1]


def test_a_slow_line(make_log, alias, tmp_path):
    """B26: large events are relayed as many at a time as there is time for; so is one large append."""
    with running_redis(tmp_path) as server:
        url = f"redis://127.0.0.1:{slow_line(server.port, 8_000_000)}/0"
        log = make_log(alias, BACKEND="redis", OPTIONS={"url": url})
        log.append("zero")
        large = Item("n", "", '{"a":"%s"}' % ("x" * 60_000), None)
        with connections[alias].cursor() as cursor:
            outbox.put(cursor, log.name, [large] * 400, log.backend.now())
        log.append("after")
        assert waiting(log) == 0
        log.backend.append([large] * 400)
        assert log.info().head == 802


def test_a_redis_that_stands_still(make_log, tmp_path):
    """B26: keeps nobody for long, least of all in a transaction, where a key is looked for there."""
    with running_redis(tmp_path) as server:
        options = {"url": server.url, "lock_timeout": 0.2}
        log = make_log(BACKEND="redis", OPTIONS=options)
        log.append("zero")
        server.stop()
        began = time.monotonic()
        commit(log, "a", key="k")
        with pytest.raises(LogUnavailable):
            log.read()
        # Of what is tried, each takes a second or two.
        assert time.monotonic() - began < 12
        server.go_on()
        until(lambda: kinds(log) == ["zero", "a"])


def test_a_backlog_is_shown(make_log, capsys, monkeypatch):
    """For a person and for a monitor."""
    log = make_log(BACKEND="redis")
    monkeypatch.setattr(Relay, "sequence", lambda *arguments: 0)
    commit(log, "a", "b")
    assert status_of(log).outbox == 2
    assert log.backend.figures().first_pending
    call_command("events_status", log=log.name)
    assert " 2 " in capsys.readouterr().out


def test_the_thread_relays(make_log, monkeypatch):
    """The commit returns at once, and the thread of its own lane does the rest."""
    monkeypatch.setattr(sequencer, "in_test_environment", lambda: False)
    log = make_log("postgres", BACKEND="redis")
    try:
        commit(log, "a")
        until(lambda: log.backend.reader.state().head == 1)
        assert {thread.name for thread in threading.enumerate()} >= {"events-postgres"}
    finally:
        for thread in list(sequencer._sequencers.values()):
            thread.stop()
        sequencer._sequencers.clear()


@pytest.mark.parametrize("alias", ["postgres", "mariadb"])
def test_many_write_and_many_relay(make_log, alias):
    """B22, B26, B28: each committed event once, none that was rolled back, each writer's in order."""
    log = make_log(alias, BACKEND="redis")
    done = threading.Event()

    def work(number):
        if number >= 4:
            while not done.is_set():
                log.backend.relay.drain()
                time.sleep(0.001)
            return 0
        try:
            return sum(write(number, n) for n in range(60))
        finally:
            finished.append(number)
            if len(finished) == 4:
                done.set()

    def write(number, n):
        try:
            with transaction.atomic(using=alias):
                log.append("n", {"w": number, "n": n}, stream=f"s{number}")
                if n % 10 == 7:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            return 0
        return 1

    finished = []
    written = sum(in_threads(7, work))
    assert written == 4 * 54
    entries = log.read(0, 1000).entries
    assert [entry.position for entry in entries] == [*range(1, written + 1)]
    for number in range(4):
        own = [entry for entry in entries if entry.stream == f"s{number}"]
        assert [entry.payload["n"] for entry in own] == [n for n in range(60) if n % 10 != 7]
        assert [entry.seq for entry in own] == [*range(1, 55)]


def test_a_stream_that_has_ended_meanwhile(log):
    """B56: refused inside a transaction if it is known by then, kept if it is not."""
    run = log.stream("s")
    run.open()
    with transaction.atomic(using=log.backend.alias):
        run.emit("late")
        in_threads(1, lambda number: log.backend.ledger.append([end_of(run)], log.backend.now()))
    assert kinds(log)[-2:] == ["stream.completed", "late"]
    with pytest.raises(StreamClosed), transaction.atomic(using=log.backend.alias):
        run.emit("n")


def end_of(run):
    return Item("stream.completed", run.name, "{}", None)


def test_a_handler_keeps_its_cursor_in_the_database(log, register):  # noqa: F811
    """What it emits and its cursor are one commit there; another server is nothing to stop at."""

    def act(entry):
        log.append("acted", {"on": entry.position})
        if entry.payload.get("fails") and not failed:
            failed.append(entry.position)
            raise ZeroDivisionError

    failed = []
    h = register(act, "n", retry=(0,))
    commit(log, "n", "n")
    h.run_once()
    assert kinds(log) == ["zero", "n", "n", "acted", "acted"]
    log.append("n", {"fails": True})
    h.run_once()
    h.run_once()
    assert (failed, kinds(log)[5:]) == ([6], ["n", "acted"])
    log.backend.client.send([("HSET", log.backend.keys.log, "run", "another")])
    for _ in range(2):
        commit(log, "n")
        h.run_once()
    assert kinds(log)[7:] == ["n", "acted", "n", "acted"]
    assert (h.status().state, h.status().lag) == ("running", 0)
    [shard] = Shard.objects.using(log.backend.alias).all()
    assert shard.epoch == log.info().epoch
