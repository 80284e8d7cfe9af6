"""Servers of the test's own that stand in for each other: with Sentinel, and as a cluster."""

import subprocess
from contextlib import contextmanager, suppress

import pytest
import redis

from .redis_server import PROGRAM, Redis, running_redis
from .servers import free_port, wait_until

# A replica is served at once, and not after waiting for others.
AT_ONCE = ("--repl-diskless-sync-delay", "0")
# A master that comes back with nothing, while it is still the master, would empty its replicas.
# It does not wait for the disk: who does that for half a second is taken for dead by Sentinel, which
# names the other one, and each of the two has takers for a while.
KEPT = ("--appendonly", "yes", "--appendfsync", "no")


class Several:
    """Servers one of which, the `master`, has a replica."""

    def __init__(self, servers):
        self.servers = servers

    def at(self, port):
        return next(one for one in self.servers if one.port == port)

    def is_complete(self):
        """Has the master a replica that has all it has? One that is still fetching it would, in its
        master's place, bring back what it had before."""
        with suppress(redis.RedisError):
            info = self.master.client.info("replication")
            return info["role"] == "master" and info.get("slave0", {}).get("state") == "online"
        return False


class Watched(Several):
    """A master, a replica, and a Sentinel that puts one in the other's place."""

    def __init__(self, servers, sentinel):
        super().__init__(servers)
        self.sentinel = sentinel
        self.url = f"redis+sentinel://127.0.0.1:{sentinel.port}/mymaster/0"

    @property
    def master(self):
        return self.at(self.sentinel.client.sentinel_get_master_addr_by_name("mymaster")[1])


class Sentinel(Redis):
    def start(self):
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\n"
            "bind 127.0.0.1\n"
            f"sentinel monitor mymaster 127.0.0.1 {self.arguments[0]} 1\n"
            "sentinel down-after-milliseconds mymaster 2000\n"
            "sentinel failover-timeout mymaster 3000\n"
        )
        self.process = subprocess.Popen(
            [PROGRAM, str(configuration), "--sentinel"], stdout=subprocess.DEVNULL
        )
        wait_until(self.answers, self.process)


@contextmanager
def watched(folder):
    names = ("one", "two", "sentinel")
    for name in names:
        (folder / name).mkdir()
    with (
        running_redis(folder / "one", *AT_ONCE, *KEPT) as one,
        running_redis(folder / "two", *AT_ONCE, *KEPT) as two,
    ):
        two.client.replicaof("127.0.0.1", one.port)
        # Who comes back takes the place that Sentinel gives it.
        sentinel = Sentinel(folder / "sentinel", one.port)
        sentinel.start()
        try:
            found = Watched([one, two], sentinel)
            wait_until(found.is_complete, sentinel.process)
            wait_until(
                lambda: sentinel.client.sentinel_master("mymaster")["num-slaves"] == 1,
                sentinel.process,
            )
            yield found
        finally:
            sentinel.kill()
            sentinel.client.close()


class Clustered(Several):
    """Masters with a replica each; the one that is meant has a slot."""

    slot = 0

    def __init__(self, servers):
        super().__init__(servers)
        self.url = f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}"

    @property
    def master(self):
        """None while nobody knows of one."""
        for server in self.servers:
            with suppress(redis.RedisError):
                for first, last, (_, port, *_), *_ in server.client.execute_command(
                    "CLUSTER SLOTS"
                ):
                    if first <= self.slot <= last:
                        return self.at(port)
        return None


@contextmanager
def clustered(folder, masters=3):
    """Masters with a replica each."""
    servers = []
    try:
        for number in range(2 * masters):
            own = folder / str(number)
            own.mkdir()
            server = Redis(
                own, *AT_ONCE, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                "--cluster-port", str(free_port()), "--cluster-require-full-coverage", "no",
            )  # fmt: skip
            server.start()
            servers.append(server)
        nodes = [f"127.0.0.1:{one.port}" for one in servers]
        create = ["redis-cli", "--cluster", "create", *nodes, "--cluster-replicas", "1"]
        made = subprocess.run([*create, "--cluster-yes"], capture_output=True, text=True)
        if made.returncode:
            pytest.fail(made.stdout + made.stderr)
        wait_until(
            lambda: all(
                one.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
                for one in servers
            ),
            servers[0].process,
        )
        yield Clustered(servers)
    finally:
        for server in servers:
            server.kill()
            server.client.close()
