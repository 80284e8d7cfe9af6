"""A process of one user who wants more connections than one may have, again and again.

It writes down what each server has let it have, and whether it could have all of that once more
when it had left.
"""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import websockets

from tests.support.http_client import API
from tests.support.live_clients import EventStream, socket

from .clients import GONE
from .record import Crowded

# How one is told that there are too many: by the close of a socket, and by a status.
CLOSED, STATUS = 4429, 429
# Seconds until one that was refused comes back; and that a connection is kept, at the most.
PAUSE, STAY = 0.5, 3.0
# Seconds within which a server has to see that all have left, and that an opening may take.
PATIENCE, OPENING = 20, 10


class Refused(Exception):
    """There are too many."""


class Crowd:
    """All that come to one server."""

    def __init__(self, job, address, client):
        self.job = job
        self.at = address, job.options["cookies"]
        self.client = client
        self.bound = job.options["bound"]
        self.open = self.most = self.refused = 0

    async def come_and_go(self, number):
        while True:
            try:
                async with self.way(number) as until_cut_off:
                    await self.stay(until_cut_off)
            except Refused:
                self.refused += 1
                await asyncio.sleep(PAUSE)
            except GONE:
                await asyncio.sleep(PAUSE)

    async def stay(self, until_cut_off):
        """It is open when the server has said so, and until one begins to leave: the server has it
        open for longer."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            async with asyncio.timeout(self.job.rng.uniform(0.2, STAY)):
                await until_cut_off()
        finally:
            self.open -= 1

    def way(self, number):
        return self.by_event_stream() if number % 2 else self.by_websocket()

    @asynccontextmanager
    async def by_websocket(self):
        options = {"open_timeout": OPENING, "close_timeout": 1}
        async with socket(*self.at, "?since=latest", **options) as ws:
            try:
                await ws.frame()
            except websockets.ConnectionClosed as closed:
                if closed.rcvd and closed.rcvd.code == CLOSED:
                    raise Refused from None
                raise

            async def until_cut_off():
                while True:
                    await ws.frame()

            yield until_cut_off

    @asynccontextmanager
    async def by_event_stream(self):
        address, cookies = self.at
        params, headers = {"since": "latest"}, {"Cookie": f"sessionid={cookies['sessionid']}"}
        url = f"{address}{API}live/"
        async with self.client.stream("GET", url, params=params, headers=headers) as response:
            if response.status_code == STATUS:
                raise Refused
            response.raise_for_status()
            stream = EventStream(response)

            async def until_cut_off():
                while await stream.block() is not None:
                    pass

            yield until_cut_off

    async def again(self):
        """How many may be open at once when all have left; soon that has to be what is allowed."""
        best, deadline = 0, time.monotonic() + PATIENCE
        while best < self.bound and time.monotonic() < deadline:
            async with AsyncExitStack() as stack:
                with suppress(Refused, *GONE):
                    for number in range(self.bound):
                        await stack.enter_async_context(self.way(number))
                        best = max(best, number + 1)
            await asyncio.sleep(0.1)
        return best


def run(job):
    """At each of `addresses`, a user with `cookies` wants `size` connections, and may have `bound`."""
    job.wait_for_go()
    asyncio.run(until_stopped(job))


async def until_stopped(job):
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=OPENING, limits=unlimited) as client:
        crowds = [Crowd(job, address, client) for address in job.options["addresses"]]
        tasks = [
            asyncio.ensure_future(crowd.come_and_go(number))
            for crowd in crowds
            for number in range(job.options["size"])
        ]
        await asyncio.to_thread(job.stop.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for crowd in crowds:
            again = await crowd.again()
            found = crowd.bound, crowd.most, crowd.refused, again
            job.write(Crowded(job.name, crowd.at[0], *found))
