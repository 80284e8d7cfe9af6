"""Masters that are killed or stand still under writers, and what readers are told of it.

FAILOVERS=20 does it so often.
"""

import json
import os
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest
import redis
from django.db import OperationalError

from events.backends.redis.client import place_of
from events.types import to_micros

from .support.pages import DOCS
from .support.redis_server import Redis, running_redis
from .support.redis_sets import clustered, watched
from .support.servers import free_port
from .test_redis import until

FAILOVERS = int(os.environ.get("FAILOVERS", "1"))
WRITERS, READERS = 8, 3


class History:
    """What writers were told, and what readers saw."""

    def __init__(self, log):
        self.log = log
        self.ended = threading.Event()
        # By the name of an event, the position that its writer was told.
        self.acknowledged = {}
        # By epoch and position, the names and times that any reader saw there.
        self.seen = {}
        # For each reader, what it saw and was not told of as lost; and how often it was told.
        self.readers = [{"seen": {}, "lost": [], "gaps": 0} for _ in range(READERS)]
        self.errors = []

    def write(self, number):
        count = 0
        while not self.ended.is_set():
            count += 1
            name = f"{number}-{count}"
            while True:
                # With a key, to try again is safe whatever the error says.
                with suppress(OperationalError):
                    entry = self.log.append("n", {"name": name}, key=name)
                    self.acknowledged[name] = entry.position
                    break
                if self.ended.is_set():
                    return

    def read(self, reader):
        cursor, epoch = 0, None
        while True:
            last = self.ended.is_set()
            try:
                page = self.log.read(cursor, 1000, epoch=epoch)
            except OperationalError:
                continue
            if page.gap:
                assert page.gap.reason == "epoch", page.gap
                reader["gaps"] += 1
                reader["lost"] += reader["seen"].items()
                reader["seen"] = {}
            for entry in page.entries:
                # One that was taken back may get its position once more, at another time.
                one = entry.payload["name"], to_micros(entry.timestamp)
                self.seen.setdefault((page.epoch, entry.position), set()).add(one)
                reader["seen"][entry.position] = one
            cursor, epoch = page.cursor, page.epoch
            if last and cursor == page.head:
                return
            time.sleep(0.002)

    def guarded(self, work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:
            self.errors.append(error)

    @contextmanager
    def running(self):
        threads = [
            threading.Thread(target=self.guarded, args=(self.write, n)) for n in range(WRITERS)
        ] + [threading.Thread(target=self.guarded, args=(self.read, one)) for one in self.readers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(60)
        assert not self.errors

    def check(self, *, nothing_lost):
        final = {
            row.position: (json.loads(row.text)["name"], row.micros)
            for page in self.log.backend.pages(self.log.query(0, 1000))
            for row in page.rows
        }
        assert [*final] == [*range(1, len(final) + 1)]
        names = [name for name, _ in final.values()]
        assert len({*names}) == len(names)
        assert all(len(some) == 1 for some in self.seen.values())
        if nothing_lost:
            for name, position in self.acknowledged.items():
                assert position in final, position
                assert final[position][0] == name
        for reader in self.readers:
            # Nobody goes on beyond something that was taken back without being told.
            assert all(final[position] == one for position, one in reader["seen"].items())
            taken_back = [one for one in reader["lost"] if final.get(one[0]) != one[1]]
            assert reader["gaps"] == 0 or taken_back
        return len(final)


def written(history, more=200):
    """Until so many more are acknowledged."""
    before = len(history.acknowledged)
    until(lambda: history.errors or len(history.acknowledged) >= before + more, 40)
    assert not history.errors


def fail_over(log, servers, fail, come_back):
    """What happens to a master under writers and readers, FAILOVERS times."""
    history = History(log)
    with history.running():
        for _ in range(FAILOVERS):
            written(history)
            master = servers.master
            fail(master)
            until(lambda master=master: servers.master is not master)
            come_back(master)
            until(servers.is_complete, 60)
            written(history)
    return history


@pytest.mark.parametrize("wait", [0, 1])
def test_sentinel_and_a_master_that_is_killed(make_log, tmp_path, wait):
    """B13, B15: what was acknowledged is there, or who saw what is gone is told, and nobody else."""
    with watched(tmp_path) as servers:
        log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": servers.url, "wait": wait})
        history = fail_over(log, servers, Redis.kill, Redis.start)
        assert history.check(nothing_lost=wait > 0) > 400


def test_sentinel_and_a_master_that_stands_still(make_log, tmp_path):
    """B13: when it wakes it still takes events, which are gone later, and their readers are told."""
    with watched(tmp_path) as servers:
        log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": servers.url, "wait": 1})
        history = fail_over(log, servers, Redis.stop, Redis.go_on)
        history.check(nothing_lost=True)


def test_a_cluster_and_a_master_that_is_killed(make_log, tmp_path):
    """B13, B15: the log is found on another node."""
    with clustered(tmp_path) as servers:
        log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": servers.url, "wait": 1})
        log.append("n", {"name": "first"}, key="first")
        history = History(log)
        slot = log.backend.client.slot
        with history.running():
            for _ in range(FAILOVERS):
                written(history)
                killed = servers.master_of(slot)
                killed.kill()
                until(lambda killed=killed: servers.master_of(slot) not in (None, killed), 40)
                killed.start()
                written(history)
        history.check(nothing_lost=True)
        assert place_of(servers.url).masters[slot][1] == servers.master_of(slot).port


def test_the_compose_file(tmp_path):
    """docs/deploy/compose.redis.yaml: real servers take these options, and find each other."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = yaml.safe_load((DOCS / "deploy/compose.redis.yaml").read_text())
    services = found["services"]
    assert {*services} == {f"{name}-{n}" for name in ("log", "sentinel") for n in (1, 2, 3)}
    with ExitStack() as stack:
        ports = {}
        for name in ("log-1", "log-2", "log-3"):
            program, *options = services[name]["command"]
            assert program == "redis-server"
            here = [{"log-1": "127.0.0.1", name: "127.0.0.1"}.get(one, one) for one in options]
            here = [str(ports["log-1"]) if one == "6379" else one for one in here]
            (tmp_path / name).mkdir()
            server = stack.enter_context(running_redis(tmp_path / name, *here))
            ports[name] = server.port
            if name == "log-1":
                first = server
        until(lambda: first.client.info("replication")["connected_slaves"] == 2)
        configuration = tmp_path / "sentinel.conf"
        text = found["configs"]["sentinel.conf"]["content"].replace(
            "log log-1 6379", f"log 127.0.0.1 {first.port}"
        )
        port = free_port()
        configuration.write_text(f"port {port}\n{text}")
        sentinel = stack.enter_context(
            subprocess.Popen(
                ["redis-server", str(configuration), "--sentinel"], stdout=subprocess.DEVNULL
            )
        )
        stack.callback(sentinel.kill)
        client = stack.enter_context(redis.Redis(port=port))

        def knows():
            with suppress(redis.RedisError):
                return client.sentinel_master("log")["num-slaves"] == 2

        until(knows)
