"""A server of the run: it is killed, comes back at the same port, and is asked what it holds."""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress

import httpx

from tests.support.live_clients import event_stream, socket
from tests.support.servers import COMMANDS, ROOT, answers, free_port, wait_until

from .checks.servers import SLACK
from .record import Held

# Seconds that a server is given to start, with all of its clients at the door.
STARTING = 90
# Seconds that a server is given to notice that everybody has left.
PATIENCE = 20
# The same, where it is not told: both servers ping their WebSockets every 20 s, and daphne waits
# for another 30 s.
HALF_OPEN = 60


class Server:
    def __init__(self, program, site, connections):
        self.name = self.program = program
        self.site = site
        self.count_connections = connections
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.launch()
        self.wait()

    def launch(self):
        command = [
            sys.executable,
            *(part.format(port=self.port) for part in COMMANDS[self.program]),
        ]
        environment = {**self.site.environment, "PGAPPNAME": self.name}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def wait(self):
        wait_until(lambda: answers(self.address), self.process, STARTING)

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def warm_up(self, cookies):
        """Have one client of each kind come and go, so that everything is loaded once."""
        asyncio.run(self.visit(cookies))

    async def visit(self, cookies):
        async with socket(self.address, cookies, "?since=0") as ws:
            await ws.until("live")
        async with event_stream(self.address, cookies) as stream:
            await stream.block()

    def held(self, before=None, patience=PATIENCE):
        """What it holds when all have left: as soon as that is no more than it may be, or at last."""
        deadline = time.monotonic() + patience
        while True:
            found = self.look()
            if found and is_quiet(found, before):
                break
            if found and time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return Held(self.name, before is None, found)

    def look(self):
        with suppress(httpx.HTTPError, ValueError):
            found = httpx.get(f"{self.address}/held/", timeout=20).json()
            return {**found, "connections": self.count_connections(self.name)}
        return None


def is_quiet(found, before):
    if before is None:
        return not found["followers"]
    return all(count <= before[name] + SLACK.get(name, 0) for name, count in found.items())
