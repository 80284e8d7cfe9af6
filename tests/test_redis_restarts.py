"""B22, B26: the database of an outbox, and the Redis that it is relayed to, die under writers and
relays: each committed event is in the log once, and none of a transaction that was rolled back.

RESTARTS=20 does it so often, and AWAY=60 keeps Redis away for so many seconds.
"""

import os
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connections, transaction

from events.backends.database import sequencer
from events.backends.redis.ledger import Ledger
from events.exceptions import EventsError

from .support.postgres_server import Cluster, binaries, connected
from .support.redis_server import running_redis
from .test_redis import until

if binaries() is None:
    pytest.skip("PostgreSQL's server is not installed", allow_module_level=True)

RESTARTS = int(os.environ.get("RESTARTS", "2"))
AWAY = float(os.environ.get("AWAY", "1"))
WRITERS, RELAYS = 6, 3
LOST = (DatabaseError, InterfaceError, EventsError)

# What is committed here was committed with its event, whatever its writer was told.
WITNESS = "CREATE TABLE witness (name text PRIMARY KEY)"


class Work:
    """Threads that write and that relay, until the end."""

    def __init__(self, log):
        self.log = log
        self.ended = threading.Event()
        self.threads = []

    @property
    def connection(self):
        return connections[self.log.backend.alias]

    def write(self, number):
        count = 0
        while not self.ended.is_set():
            count += 1
            with suppress(*LOST, ZeroDivisionError):
                self.commit(f"{number}-{count}", number, is_good=count % 10 != 7)
                continue
            self.rest()

    def commit(self, name, number, is_good):
        with transaction.atomic(using=self.log.backend.alias):
            with self.connection.cursor() as cursor:
                cursor.execute("INSERT INTO witness VALUES (%s)", [name])
            self.log.append("n", {"name": name}, stream=f"s{number}")
            if not is_good:
                raise ZeroDivisionError

    def relay(self, number):
        while not self.ended.is_set():
            with suppress(*LOST):
                self.log.backend.relay.drain()
                continue
            self.rest()

    def rest(self):
        self.connection.close()
        time.sleep(0.02)

    def run(self, work, number):
        try:
            work(number)
        finally:
            connections.close_all()

    def __enter__(self):
        for work, count in ((self.write, WRITERS), (self.relay, RELAYS)):
            for number in range(count):
                thread = threading.Thread(target=self.run, args=(work, number))
                thread.start()
                self.threads.append(thread)
        return self

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)


@pytest.fixture
def server():
    with Cluster() as server:
        yield server


@pytest.fixture
def store(tmp_path):
    with running_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as store:
        yield store


@pytest.fixture
def log(make_log, server, store, monkeypatch, django_db_blocker):
    """The relays take their time between the script and the commit, so that much dies there."""
    plain = Ledger.relay

    def slow(ledger, rows, *arguments):
        answer = plain(ledger, rows, *arguments)
        time.sleep(0.02 if rows else 0)
        return answer

    monkeypatch.setattr(Ledger, "relay", slow)
    monkeypatch.setattr(sequencer, "in_test_environment", lambda: False)
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        stack.enter_context(connected("own", server.database))
        call_command("migrate", "events", database="own", verbosity=0)
        server.do(WITNESS)
        yield make_log("own", BACKEND="redis", OPTIONS={"url": store.url})
        for thread in list(sequencer._sequencers.values()):
            thread.stop()
        sequencer._sequencers.clear()


def names_of(log):
    return [
        (row.stream, row.text)
        for page in log.backend.pages(log.query(0, 1000))
        for row in page.rows
    ]


def witnessed(server):
    return [name for (name,) in server.ask("SELECT name FROM witness")]


def check(log, server):
    """What a thread has relayed by itself is what was committed, in each writer's order."""
    committed = witnessed(server)
    # As at the end of a request: this thread's leads to a server that is gone.
    connections["own"].close()
    until(lambda: not server.ask("SELECT 1 FROM events_outbox LIMIT 1"), 30)
    found = names_of(log)
    told = [text for _, text in found]
    assert len(told) == len({*told})
    assert sorted(told) == sorted(f'{{"name":"{name}"}}' for name in committed)
    for number in range(WRITERS):
        own = [int(text[:-2].rpartition("-")[2]) for where, text in found if where == f"s{number}"]
        assert own == sorted(own)
        assert not [count for count in own if count % 10 == 7]
    assert [entry.position for entry in log.read(0, 1000).entries] == [
        *range(1, min(len(found), 1000) + 1)
    ]
    return len(found)


def more(server, count=100):
    """Until so many more are committed."""
    before = len(witnessed(server))
    until(lambda: len(witnessed(server)) >= before + count, 40)


@pytest.mark.parametrize("die", [Cluster.kill, Cluster.stop_at_once])
def test_the_database_dies(log, server, die):
    with Work(log):
        for _ in range(RESTARTS):
            more(server)
            die(server)
            server.start()
            more(server)
    assert check(log, server) > 200 * RESTARTS


def test_redis_is_away(log, server, store):
    """Transactions commit all the same."""
    with Work(log):
        for _ in range(RESTARTS):
            more(server)
            store.kill()
            more(server)
            time.sleep(AWAY)
            store.start()
            more(server)
    assert check(log, server) > 300 * RESTARTS


def test_both_die(log, server, store):
    with Work(log):
        for _ in range(RESTARTS):
            more(server)
            store.kill()
            server.kill()
            server.start()
            more(server)
            store.start()
            more(server)
    assert check(log, server) > 300 * RESTARTS
