"""Servers that are killed, a Redis that is killed, stopped and flushed: every event arrives,
once and in order.

KILLS=20 kills each server so often; the suite does it a few times.
"""

import asyncio
import os
import statistics
import time
from contextlib import AsyncExitStack

import httpx
import pytest
import websockets

from .support.emitter import emitter
from .support.http_client import API
from .support.live_clients import event_stream, socket
from .support.redis_server import running_redis
from .support.servers import free_port
from .support.sites import PAIRS, scratch_site

KILLS = int(os.environ.get("KILLS", "3"))
GONE = (httpx.HTTPError, websockets.WebSocketException, OSError, TimeoutError, AssertionError)


class Follower:
    """Collects positions, and comes back wherever it was cut off."""

    def __init__(self, at):
        self.at = at
        self.positions = []
        self.returns = -1
        self.task = asyncio.ensure_future(self.follow())

    @property
    def cursor(self):
        return self.positions[-1] if self.positions else 0

    async def follow(self):
        while True:
            self.returns += 1
            try:
                await self.connect()
            except GONE:
                await asyncio.sleep(0.05)

    async def has(self, position):
        async with asyncio.timeout(60):
            while self.cursor < position:
                await asyncio.sleep(0.02)


class ByWebSocket(Follower):
    async def connect(self):
        async with socket(*self.at, f"?since={self.cursor}") as ws:
            while True:
                frame = await ws.frame(60)
                if frame["type"] == "events":
                    self.positions += [entry["position"] for entry in frame["events"]]


class ByEventStream(Follower):
    async def connect(self):
        headers = {"Last-Event-ID": str(self.cursor)}
        async with event_stream(*self.at, headers=headers) as stream:
            while True:
                self.positions.append((await stream.entry())["position"])


class ByPolling(Follower):
    async def connect(self):
        address, cookies = self.at
        async with httpx.AsyncClient(base_url=address, cookies=cookies, timeout=40) as client:
            while True:
                answer = await client.get(API, params={"since": self.cursor, "wait": 20})
                self.positions += [entry["position"] for entry in answer.json()["results"]]


WAYS = (ByWebSocket, ByEventStream, ByPolling)


@pytest.mark.parametrize(("database", "server"), PAIRS)
async def test_a_server_that_is_killed(database, server, tmp_path):
    """B15, B38: clients come back to where they were, and miss nothing of what was written
    meanwhile."""
    with scratch_site(database, tmp_path) as site, emitter(site) as other:
        port = free_port()
        at = f"http://127.0.0.1:{port}", {"sessionid": site.sign_in()}
        stopping = asyncio.Event()

        async def write():
            count = 0
            while not stopping.is_set():
                await asyncio.to_thread(other.emit_many, 1 + count % 7)
                count += 1
                await asyncio.sleep(0.005)
            return await asyncio.to_thread(other.emit)

        followers = [way(at) for way in WAYS * 2]
        writer = asyncio.ensure_future(write())
        for _ in range(KILLS):
            running = site.serve(server, port)
            process, _ = await asyncio.to_thread(running.__enter__)
            began = followers[0].cursor
            await asyncio.gather(*(follower.has(began + 50) for follower in followers))
            process.kill()
            await asyncio.to_thread(running.__exit__, None, None, None)
        with site.serve(server, port):
            stopping.set()
            last = await writer
            await asyncio.gather(*(follower.has(last) for follower in followers))
            for follower in followers:
                follower.task.cancel()
            await asyncio.gather(*(one.task for one in followers), return_exceptions=True)
        for follower in followers:
            assert follower.positions == list(range(1, last + 1))
            assert follower.returns >= KILLS


@pytest.fixture
def redis(tmp_path):
    with running_redis(tmp_path) as server:
        yield server


@pytest.mark.parametrize(("database", "server"), PAIRS)
async def test_two_servers_and_redis(database, server, tmp_path, redis):
    """B31, B35, B36, B37: hints make it fast; and without Redis it is merely slow."""
    poll = 2
    with (
        scratch_site(
            database, tmp_path, REDIS_URL=redis.url, SITE_EVENTS=f'{{"POLL_INTERVAL": {poll}}}'
        ) as site,
        emitter(site) as other,
        site.serve(server) as (_, one),
        site.serve(server) as (_, two),
    ):
        cookies = {"sessionid": site.sign_in()}
        async with (
            socket(one, cookies, "?since=0") as ws,
            socket(two, cookies, "?since=0") as ws_two,
            event_stream(two, cookies) as stream,
        ):
            await ws.until("live")
            await ws_two.until("live")
            await asyncio.sleep(0.5)  # until the brokers have joined

            async def deliver():
                """Seconds from an emit to the last of the three."""
                sent = asyncio.ensure_future(asyncio.to_thread(other.emit))
                began = time.monotonic()
                found = await asyncio.gather(
                    ws.positions(1, ""), ws_two.positions(1, ""), stream.positions(1)
                )
                assert found == [[await sent]] * 3
                return time.monotonic() - began

            async def soon():
                """Hints are back: an event comes long before the next poll."""
                async with asyncio.timeout(30):
                    while await deliver() > 0.3:
                        pass

            assert statistics.median([await deliver() for _ in range(11)]) < 0.1
            redis.stop()
            assert await deliver() < poll + 1
            assert await deliver() < poll + 1
            redis.go_on()
            await soon()
            redis.client.flushall()
            await deliver()
            redis.kill()
            assert await deliver() < poll + 1
            assert await deliver() < poll + 1
            redis.start()
            await soon()


@pytest.mark.parametrize(("connected", "reason"), [(2, ""), (40, "200")])
async def test_a_restart_has_a_width(tmp_path, connected, reason):
    """Who is closed because the server ends is told how far to spread; a few need not."""
    with scratch_site("sqlite", tmp_path) as site, site.serve("uvicorn") as (process, address):
        cookies = {"sessionid": site.sign_in()}
        async with AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(socket(address, cookies)) for _ in range(connected)
            ]
            for one in sockets:
                await one.subscribe()
            process.terminate()
            for one in sockets:
                assert await one.closed() == 1012
            assert {one.connection.close_reason for one in sockets} == {reason}
        await asyncio.to_thread(process.wait, 10)
