"""Everything of one round: a database, servers behind proxies, writers, readers and clients.

with World(round, seed, folder, databases) as world:
    world.suffer(seconds)      faults, drawn from the seed
    history = world.settle()   the faults are over: all comes to rest, and is written down
"""

import json
import random
import subprocess
import sys
import time
from contextlib import ExitStack

import httpx

from tests.support.http_client import API
from tests.support.redis_server import Redis
from tests.support.servers import ROOT, Site, wait_until

from .proxy import Proxy
from .receiver import Receiver
from .record import IDLE, Mark, Recorder
from .runners import Runners
from .servers import HALF_OPEN, PATIENCE, Server
from .team import Team

# What the logs of a run are like: quick, so that much happens in little time.
LOG = {"HEARTBEAT_INTERVAL": 1, "STREAM_MAX_SECONDS": 20, "WINDOW": 200}

# Nothing that it has said is lost with its process.
ALWAYS = ("--appendfsync", "always")

SETTINGS = {"DJANGO_SETTINGS_MODULE": "proof.faults.site"}


class World:
    def __init__(self, round, seed, folder, stores):
        self.round = round
        self.seed = seed
        self.folder = folder
        self.stores = stores
        self.rng = random.Random(f"{seed}-{round.name}")
        self.stack = ExitStack()
        self.keepers = {}
        self.redis = self.log_redis = None

    def __enter__(self):
        with self.stack:
            self.recorder = Recorder(self.folder / "harness.jsonl")
            self.stack.callback(self.recorder.close)
            self.url = self.stores.new(self.round.database, self.folder)
            self.site = Site(self.url + self.round.options, **{**SETTINGS, **self.environment()})
            self.cookies, self.revoked = ({"sessionid": one} for one in self.stores.sessions)
            self.team = self.stack.enter_context(
                Team(self.url, self.folder, self.seed, "default", **self.environment())
            )
            self.launch()
            self.warm_up()
            self.go()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *error):
        for keeper in self.keepers.values():
            keeper.kill()
            keeper.wait()
        self.stack.close()

    def environment(self):
        """What all processes of the round have to know."""
        log = {**LOG, "POLL_INTERVAL": self.round.poll}
        if self.round.connections:
            log["MAX_CONNECTIONS"] = self.round.connections
        log["OPTIONS"] = {"clock": self.round.clock} if self.round.clock else {}
        if self.round.on_redis:
            self.log_redis = self.log_redis or self.start_redis("--appendonly", "yes", *ALWAYS)
            log |= {"BACKEND": "redis", "OPTIONS": {"url": self.log_redis.url}}
        known = {"FAULTS_SEED": str(self.seed), "SITE_EVENTS": json.dumps(log)}
        if self.round.pool:
            known["FAULTS_POOL"] = "1"
        if self.round.layer:
            self.redis = self.redis or self.start_redis()
            known |= {"REDIS_URL": self.redis.url, "FAULTS_LAYER": self.round.layer}
        return known

    def start_redis(self, *arguments):
        redis = Redis(self.folder, *arguments)
        redis.start()
        self.stack.callback(redis.kill)
        return redis

    def launch(self):
        """Start everything, to be ready at about the same time."""
        self.servers = [
            Server(program, self.site, self.stores.connections) for program in self.round.servers
        ]
        for server in self.servers:
            self.stack.callback(lambda server=server: server.is_up and server.kill())
            server.launch()
        self.proxies = [self.stack.enter_context(Proxy(server.port)) for server in self.servers]
        self.writers = self.start_writers(self.round.writers)
        self.readers = self.team.start("reader")
        self.clients = self.team.start("clients", clients=self.all_clients())
        [self.nursery] = self.team.start("nursery", **self.round.writing)
        self.pruners, self.storms = [], []
        self.runners = Runners(self)
        self.stack.callback(self.runners.kill_all)
        if self.round.webhooks:
            self.receiver = Receiver(self)
            self.stack.callback(self.receiver.kill)
            self.runners.handling = False
            self.runners.judge = ["proof.faults.hooked", "note"]
        if self.round.durable:
            addresses = [proxy.address for proxy in self.proxies]
            self.clients += self.team.start("tokens", addresses=addresses)
        for _ in range(self.round.runners):
            self.runners.start()

    def warm_up(self):
        for server in self.servers:
            server.wait()
            server.warm_up(self.cookies)
        for server in self.servers:
            self.recorder.write(server.held())

    def go(self):
        self.team.go(*self.writers, *self.readers, *self.clients, self.nursery)
        if self.round.watched:
            self.keep_sequencer()
            self.mark("watched")

    def start_writers(self, count=1):
        options = {"pace": self.round.pace, "threads": 2, **self.round.writing}
        return self.team.start("writer", count, **options)

    def add_writer(self):
        added = self.start_writers()
        self.team.go(*added)
        self.writers += added

    def keep_sequencer(self):
        self.keep("sequencer", "reconcile_streams", "--loop", "1", "-v0")

    def all_clients(self):
        """Every way, through every proxy; some follow a stream, and one of each way is slow."""
        ways = [
            [way, [proxy.address, self.cookies], options]
            for proxy in self.proxies
            for way in ("ws", "sse", "poll")
            for options in ({}, {"stream": "run-1"})
        ]
        slow = [
            [way, [self.proxies[0].address, self.cookies], {"pause": 0.3}] for way in ("ws", "sse")
        ]
        return [*ways, *slow, ["tail", None, {}]]

    def keep(self, name, *command):
        """Run a management command of the site until further notice."""
        with (self.folder / f"{name}.err").open("ab") as errors:
            self.keepers[name] = subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=self.site.environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def end(self, name):
        """With SIGKILL. That it has ended by itself would be a fault that nobody ordered."""
        if keeper := self.keepers.pop(name, None):
            assert keeper.poll() is None, f"{name} has ended: see {self.folder / name}.err"
            keeper.kill()
            keeper.wait()

    def mark(self, what):
        self.recorder.write(Mark(time.monotonic(), what))

    def suffer(self, seconds):
        """Let the faults strike, in an order that the seed gives: each once, and on until time
        is up."""
        ends = time.monotonic() + seconds
        struck = set()
        while True:
            nemeses = [make(self) for make in self.round.nemeses]
            self.rng.shuffle(nemeses)
            for nemesis in nemeses:
                if time.monotonic() > ends and len(struck) == len(nemeses):
                    return
                self.strike(nemesis)
                struck.add(nemesis.name)

    def strike(self, nemesis):
        self.mark(f"{nemesis.name}: strikes")
        nemesis.strike()
        time.sleep(self.rng.uniform(*nemesis.lasts))
        nemesis.heal()
        self.mark(f"{nemesis.name}: is over")
        time.sleep(self.rng.uniform(0.1, 0.5))

    def settle(self):
        """Let everything come to rest, in the order in which one waits for the other."""
        self.mark("the faults are over")
        self.team.stop(*self.writers, self.nursery)
        if self.round.watched:
            time.sleep(IDLE + 2.5)
        if self.round.runners:
            self.runners.settle()
        self.end("sequencer")
        self.team.stop(*self.pruners)
        self.team.stop(*self.readers)
        head = self.team.history().head
        self.team.stop(*self.clients, *self.storms, goal=head, seconds=120)
        self.recorder.write(Mark(time.monotonic(), "everybody has left"))
        self.look_at_servers()
        return self.team.history()

    def head(self):
        """Where the log stands, by what a server says."""
        answer = httpx.get(
            f"{self.servers[0].address}{API}", params={"since": "latest"}, cookies=self.cookies
        )
        return answer.json()["cursor"]

    def wait_for_followers(self, server, count):
        wait_until(lambda: (server.look() or {}).get("followers", 0) >= count, seconds=90)

    def look_at_servers(self):
        """When all clients have left; of those that are half open, a server has to find out."""
        before = {held.server: held.holds for held in self.team.history().helds}
        if not self.round.half_open:
            for proxy in self.proxies:
                proxy.drop()
        for server in self.servers:
            patience = HALF_OPEN if self.round.half_open else PATIENCE
            self.recorder.write(server.held(before[server.name], patience))
