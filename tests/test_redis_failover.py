"""Masters that are killed or stand still under writers, and what readers are told of it.

FAILOVERS=20 does it so often, WRITERS=32 with so many.
"""

import subprocess
from contextlib import ExitStack, suppress

import pytest
import redis
from django.db import OperationalError

from events.backends.redis.client import place_of

from .support.failovers import FAILOVERS, History, InPython
from .support.pages import DOCS
from .support.redis_server import Redis, running_redis
from .support.redis_sets import clustered, watched
from .support.servers import free_port
from .test_redis import until

READERS = [InPython] * 3


def fail_over(log, servers, fail, come_back):
    """What happens to a master under writers and readers, FAILOVERS times."""
    history = History(log, OperationalError)
    with history.running(*READERS):
        for _ in range(FAILOVERS):
            history.written()
            master = servers.master
            fail(master)
            until(lambda master=master: servers.master not in (None, master), 40)
            come_back(master)
            until(servers.is_complete, 60)
            history.written()
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


@pytest.mark.parametrize(
    ("fail", "come_back"), [(Redis.kill, Redis.start), (Redis.stop, Redis.go_on)]
)
def test_a_cluster_and_a_master_that_fails(make_log, tmp_path, fail, come_back):
    """B13, B15: the log is found on another node, whether the old one is gone or stands still."""
    with clustered(tmp_path) as servers:
        log = make_log(BACKEND="redis", OPTIONS={"using": None, "url": servers.url, "wait": 1})
        servers.slot = log.backend.client.slot
        log.append("n", {"name": "first"}, key="first")
        history = fail_over(log, servers, fail, come_back)
        history.check(nothing_lost=True)
        assert place_of(servers.url).masters[servers.slot][1] == servers.master.port


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
