"""A process of clients: they follow the log from outside, come back wherever they are cut off,
and write down everything that reaches them."""

import asyncio
import json
import time

import httpx
import websockets

from events import logs
from events.exceptions import CursorExpired
from tests.support.http_client import API
from tests.support.live_clients import event_stream, socket

from .record import Arrival, Goal, Seen

# What tells a client that it has been cut off.
GONE = (httpx.HTTPError, websockets.WebSocketException, OSError, TimeoutError, ValueError, KeyError)
# Seconds of silence after which a client takes its connection for dead. There is a heartbeat
# every second.
SILENCE = 5
# Seconds that clients are given to come to the head, when the faults are over.
PATIENCE = 30


class Client:
    """One reader, its cursor, and whom it asks. `pause` is how long it thinks about a frame."""

    def __init__(self, job, name, at=None, stream=None, pause=0.0):
        self.job = job
        self.name = name
        self.at = at
        self.stream = stream
        self.pause = pause
        self.cursor = 0
        self.connection = 0

    @property
    def wanted(self):
        return {"stream": self.stream} if self.stream else {}

    async def follow(self):
        while True:
            self.connection += 1
            try:
                await self.connect()
            except GONE:
                await asyncio.sleep(self.job.rng.uniform(0.05, 0.3))

    def take(self, entries=(), cursor=None, gap=None):
        """Write down what came, and go on behind it."""
        seen = [one if isinstance(one, Seen) else Seen.of_wire(one) for one in entries]
        begin = gap["first_available"] - 1 if gap else self.cursor
        known = [begin, cursor or 0, *(one.position for one in seen)]
        arrival = Arrival(
            client=self.name,
            connection=self.connection,
            at=time.monotonic(),
            since=self.cursor,
            cursor=max(known),
            entries=seen,
            gap=gap,
            stream=self.stream,
        )
        if seen or gap or arrival.cursor != self.cursor:
            self.job.write(arrival)
        self.cursor = arrival.cursor


class WebSocket(Client):
    async def connect(self):
        query = f"?since={self.cursor}" + (f"&stream={self.stream}" if self.stream else "")
        async with socket(*self.at, query, open_timeout=SILENCE, close_timeout=0.2) as ws:
            while True:
                self.understand(await ws.frame(SILENCE))
                await asyncio.sleep(self.pause)

    def understand(self, frame):
        if frame["type"] == "subscribed":
            self.take(cursor=frame["cursor"] if self.stream else None, gap=frame["gap"])
        elif frame["type"] == "gap":
            self.take(gap=frame)
        elif frame["type"] == "events":
            self.take(frame["events"])
        elif frame["type"] == "heartbeat":
            self.take(cursor=frame["cursors"].get(""))
        elif frame["type"] in ("end", "error"):
            raise OSError(frame)


class EventSource(Client):
    async def connect(self):
        headers = {"Last-Event-ID": str(self.cursor)}
        # A connection may be frozen before it has been answered.
        source = event_stream(*self.at, headers=headers, patience=SILENCE, **self.wanted)
        async with source as stream:
            while (block := await stream.block(SILENCE)) is not None:
                self.understand(block)
                await asyncio.sleep(self.pause)

    def understand(self, block):
        name = block.get("event")
        if name == "gap":
            self.take(gap=json.loads(block["data"]))
        elif name == "epoch":
            pass
        elif name == "end":
            self.take(cursor=int(block.get("id", 0)))
        elif "data" in block:
            self.take([json.loads(block["data"])])
        else:
            self.take(cursor=int(block.get("id", 0)))


class Poller(Client):
    async def connect(self):
        address, cookies = self.at
        async with httpx.AsyncClient(base_url=address, cookies=cookies, timeout=SILENCE) as client:
            while True:
                params = {"since": self.cursor, "wait": 2, **self.wanted}
                answer = await client.get(API, params=params)
                answer.raise_for_status()
                page = answer.json()
                self.take(page["results"], page["cursor"], page["gap"])
                await asyncio.sleep(self.pause)


class Tail(Client):
    """Follows in the process itself, past every server."""

    async def connect(self):
        log = logs[self.job.log_name]
        try:
            async for entry in log.tail(since=self.cursor, stream=self.stream):
                self.take([Seen.of(entry)])
        except CursorExpired as expired:
            self.take(gap=expired.gap.to_dict())


WAYS = {"ws": WebSocket, "sse": EventSource, "poll": Poller, "tail": Tail}


def run(job):
    """`clients` is a list of [way, address, options]."""
    clients = [
        WAYS[way](job, f"{job.name}-{way}-{number}", address, **options)
        for number, (way, address, options) in enumerate(job.options["clients"])
    ]
    job.wait_for_go()
    asyncio.run(follow(job, clients))


async def follow(job, clients, patience=PATIENCE):
    """Until told where the log has ended, and then until all are there."""
    tasks = [asyncio.ensure_future(client.follow()) for client in clients]
    await asyncio.to_thread(job.stop.wait)
    for client in clients:
        client.pause = 0.0
    deadline = time.monotonic() + patience
    while any(client.cursor < job.goal for client in clients) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients:
        job.write(Goal(client.name, client.cursor, job.goal))
