"""A process that asks for little, beside one user who asks for everything, if there is such a one.

Again and again it opens a WebSocket on each server, and writes down how long its first events take.
"""

import asyncio
import time
from contextlib import suppress

from tests.support.live_clients import socket

from .clients import GONE
from .record import Served

# Seconds after which it takes an answer for one that does not come.
PATIENCE = 20
# Subscriptions of a greedy user's socket; all that the protocol allows.
MOST = 128


def run(job):
    """Of `addresses`, as the user with `cookies`. Another, with `greedy` cookies, has so many
    `sockets` on each. Every answer is due `within` some seconds."""
    job.wait_for_go()
    asyncio.run(until_stopped(job))


async def until_stopped(job):
    options = job.options
    tasks = [
        asyncio.ensure_future(follow_everything((address, options["greedy"]), number))
        for address in options["addresses"]
        for number in range(options["sockets"])
    ]
    tasks.append(asyncio.ensure_future(probe(job)))
    await asyncio.to_thread(job.stop.wait)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def probe(job):
    while True:
        for address in job.options["addresses"]:
            began, seconds = time.monotonic(), None
            with suppress(*GONE):
                await first_events((address, job.options["cookies"]))
                seconds = time.monotonic() - began
            job.write(Served(job.name, address, began, seconds, job.options["within"]))
            await asyncio.sleep(0.1)


async def first_events(at):
    async with asyncio.timeout(PATIENCE), socket(*at, "?since=0", open_timeout=PATIENCE) as ws:
        await ws.until("events")


async def follow_everything(at, number):
    """Replay the log for as many kinds that nobody emits as one may; and again, when that is done."""
    while True:
        with suppress(*GONE):
            async with socket(*at, open_timeout=PATIENCE, close_timeout=0.2) as ws:
                for subscription in range(MOST):
                    kind = f"rare{number}.kind{subscription}"
                    await ws.send("subscribe", id=str(subscription), since=0, kind=kind)
                for _ in range(MOST):
                    await ws.until("live")
        await asyncio.sleep(0.1)
