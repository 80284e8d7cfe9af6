"""A process of clients whose permission is taken away while they follow."""

import asyncio
import time
from contextlib import suppress
from functools import partial

import httpx

from tests.support.http_client import API
from tests.support.live_clients import event_stream, socket

from .clients import GONE
from .record import Revoked


async def by_websocket(at, followed):
    async with socket(*at, "?since=0", open_timeout=5) as ws:
        await ws.until("live")
        followed.set()
        while True:
            await ws.frame(30)


async def by_event_stream(at, followed):
    async with event_stream(*at) as stream:
        if stream.status != httpx.codes.OK:
            raise OSError(stream.status)
        while await stream.block(30) is not None:
            followed.set()


async def by_polling(at, followed):
    address, cookies = at
    async with httpx.AsyncClient(base_url=address, cookies=cookies, timeout=10) as client:
        while (await client.get(API, params={"since": 0, "wait": 1})).is_success:
            followed.set()
            await asyncio.sleep(0.1)


WAYS = {"ws": by_websocket, "sse": by_event_stream, "poll": by_polling}


def run(job):
    """`clients` is a list of [way, address]. It says `following` when all are, and is told `stop`
    when the permission is gone."""
    job.wait_for_go()
    asyncio.run(judge(job))


async def judge(job):
    tries = {
        f"{job.name}-{way}-{number}": partial(WAYS[way], at)
        for number, (way, at) in enumerate(job.options["clients"])
    }
    begun = [asyncio.Event() for _ in tries]
    tasks = [
        asyncio.ensure_future(follow(one, event, job.stop))
        for one, event in zip(tries.values(), begun, strict=True)
    ]
    await asyncio.gather(*(event.wait() for event in begun))
    job.say("following")
    await asyncio.to_thread(job.stop.wait)
    at, within = time.monotonic(), job.options["within"]
    await asyncio.wait(tasks, timeout=within)
    for (name, attempt), task in zip(tries.items(), tasks, strict=True):
        ended = task.result() if task.done() else None
        task.cancel()
        if ended is not None:
            let_in_again = asyncio.Event()
            await until_cut_off(attempt, let_in_again)
            ended = None if let_in_again.is_set() else max(at, ended)
        job.write(Revoked(name, at, ended, within))


async def follow(attempt, followed, revoked):
    """Come back, as clients do, until the permission is gone; when that cut it off."""
    while True:
        await until_cut_off(attempt, followed)
        if revoked.is_set():
            return time.monotonic()
        await asyncio.sleep(0.1)


async def until_cut_off(attempt, followed):
    with suppress(*GONE):
        async with asyncio.timeout(60):
            await attempt(followed)
