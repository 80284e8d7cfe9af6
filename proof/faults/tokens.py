"""A process that produces durable streams, token by token, and follows each over every transport.

Whoever is cut off goes on: a producer sends the same number again, a reader comes back with its
offset. When told to stop, it closes what is open.
"""

import asyncio
import json
import time
from itertools import count

import httpx
from django.db import DatabaseError, InterfaceError, close_old_connections

from events import logs
from tests.support.live_clients import EventStream

from .clients import GONE, SILENCE
from .record import KEPT, Followed, Produced

PATH = "/v1/stream/"
JSON = {"Content-Type": "application/json"}
# Streams at a time.
PRODUCERS = 2
# Seconds that readers are given, when the last stream is closed.
PATIENCE = 60


def run(job):
    job.wait_for_go()
    asyncio.run(produce_all(job))


async def produce_all(job):
    ended = asyncio.ensure_future(asyncio.to_thread(job.stop.wait))
    await asyncio.gather(*(produce(job, number, ended) for number in range(PRODUCERS)))


async def produce(job, number, ended):
    """One stream after the other; two who read each, from its first token on."""
    for run in count(1):
        name = f"tokens-{number}-{run}"
        await answered(job, "PUT", name, JSON)
        readers = [asyncio.ensure_future(follow(job, name, way)) for way in (poll, listen)]
        length = job.rng.randint(20, 80)
        for token in range(length):
            own = {"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": str(token)}
            closing = {"Stream-Closed": "true"} if token == length - 1 else {}
            await answered(job, "POST", name, {**JSON, **own, **closing}, f"[{token}]")
            await asyncio.sleep(0 if ended.done() else job.rng.uniform(0, 0.1))
        job.write(Produced(name, length))
        _, late = await asyncio.wait(readers, timeout=PATIENCE)
        for one in late:
            one.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        job.write(await asyncio.to_thread(kept, name))
        if ended.done():
            return


async def answered(job, method, name, headers, content=None):
    """Send it until a server has answered, whichever it is."""
    while True:
        try:
            async with httpx.AsyncClient(timeout=SILENCE) as client:
                url = job.rng.choice(job.options["addresses"]) + PATH + name
                answer = await client.request(method, url, headers=headers, content=content)
            if answer.is_success:
                return
            if answer.status_code < 500:
                raise RuntimeError(f"{method} {name}: {answer.status_code} {answer.text}")
        except GONE:
            pass
        await asyncio.sleep(job.rng.uniform(0.05, 0.3))


async def follow(job, name, way):
    """Until it is told that the stream is closed."""
    found = Followed(name, way.__name__, [], 0)
    offset = "-1"
    while not found.ends:
        try:
            url = job.rng.choice(job.options["addresses"]) + PATH + name
            async with httpx.AsyncClient(timeout=SILENCE) as client:
                async for tokens, told, closed in way(client, url, offset):
                    offset = told
                    found.tokens += tokens
                    found.ends += closed
        except GONE:
            await asyncio.sleep(job.rng.uniform(0.05, 0.3))
    job.write(found)


async def poll(client, url, offset):
    answer = await client.get(url, params={"offset": offset, "live": "long-poll"})
    answer.raise_for_status()
    tokens = answer.json() if answer.status_code == 200 else []
    yield tokens, answer.headers["Stream-Next-Offset"], "Stream-Closed" in answer.headers


async def listen(client, url, offset):
    """A reader's offset comes behind its data: of data without it, nothing is kept."""
    params = {"offset": offset, "live": "sse"}
    async with client.stream("GET", url, params=params) as response:
        response.raise_for_status()
        stream, tokens = EventStream(response), []
        while (block := await stream.block(SILENCE)) is not None:
            if block.get("event") == "data":
                tokens += json.loads(block["data"])
            elif block.get("event") == "control":
                told = json.loads(block["data"])
                yield tokens, told["streamNextOffset"], told.get("streamClosed", False)
                tokens = []


def kept(name):
    """What the log has of it."""
    entries = [entry for entry in read_all(name) if entry.kind != "stream.opened"]
    tokens = [one.payload["data"] for one in entries if one.kind == "durable.message"]
    return Followed(name, KEPT, tokens, sum(one.kind == "stream.completed" for one in entries))


def read_all(name):
    while True:
        try:
            return [*pages(name)]
        except (DatabaseError, InterfaceError):
            close_old_connections()
            time.sleep(0.2)


def pages(name):
    cursor, log = "earliest", logs["tokens"]
    while True:
        page = log.read(cursor, stream=name)
        yield from page.entries
        if page.cursor >= page.head:
            return
        cursor = page.cursor
