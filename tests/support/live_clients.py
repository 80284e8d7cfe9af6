"""What a browser would do, in a few lines: read Server-Sent Events, talk over a WebSocket."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import websockets

from .http_client import API

PATIENCE = 10


class EventStream:
    """The blocks of a response, as dictionaries of their fields; a comment has the name ''."""

    def __init__(self, response):
        self.response = response
        self.headers = response.headers
        self.status = response.status_code
        self.lines = response.aiter_lines()
        self.last_id = None

    async def block(self, seconds=PATIENCE):
        """The next block; None when the response has ended."""
        found = {}
        async with asyncio.timeout(seconds):
            async for line in self.lines:
                if not line and found:
                    self.last_id = found.get("id", self.last_id)
                    return found
                if line:
                    name, _, value = line.partition(":")
                    found[name] = value.removeprefix(" ")
        return None

    async def entry(self):
        while True:
            found = await self.block()
            assert found is not None, "the response has ended"
            if "data" in found and found.get("event") not in ("gap", "end"):
                return json.loads(found["data"])

    async def positions(self, count):
        return [(await self.entry())["position"] for _ in range(count)]

    async def rest(self):
        found = []
        while block := await self.block():
            found.append(block)
        return found


@asynccontextmanager
async def event_stream(address, cookies, path="live/", headers=None, patience=60, **params):
    async with (
        httpx.AsyncClient(base_url=address, cookies=cookies, timeout=patience) as client,
        client.stream("GET", API + path, params=params, headers=headers) as response,
    ):
        yield EventStream(response)


class Socket:
    """A WebSocket whose frames are JSON, and which acknowledges what it reads."""

    def __init__(self, connection, acknowledges=True):
        self.connection = connection
        self.acknowledges = acknowledges

    async def send(self, type, **fields):
        await self.connection.send(json.dumps({"type": type, **fields}))

    async def frame(self, seconds=PATIENCE):
        async with asyncio.timeout(seconds):
            frame = json.loads(await self.connection.recv())
        if frame["type"] == "events" and self.acknowledges:
            await self.send("ack", id=frame["id"], position=frame["events"][-1]["position"])
        return frame

    async def until(self, type, **fields):
        """The next frame of a type, and all before it."""
        found = []
        while True:
            found.append(await self.frame())
            if found[-1]["type"] == type and fields.items() <= found[-1].items():
                return found

    async def subscribe(self, id="a", **query):
        """Subscribe, and read until it is live."""
        await self.send("subscribe", id=id, **query)
        return await self.until("live", id=id)

    async def positions(self, count, id="a"):
        found = []
        while len(found) < count:
            frame = await self.frame()
            if frame["type"] == "events" and frame["id"] == id:
                found += [entry["position"] for entry in frame["events"]]
        return found

    async def closed(self):
        """Read to the end; the close code."""
        try:
            while True:
                await self.frame()
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


@asynccontextmanager
async def socket(address, cookies, query="", origin=None, acknowledges=True, **options):
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    async with websockets.connect(
        address.replace("http", "ws") + "/ws/events/" + query,
        additional_headers={"Cookie": cookie} if cookie else {},
        origin=origin or address,
        max_size=None,
        compression=None,
        **options,
    ) as connection:
        yield Socket(connection, acknowledges)
