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
# Subscriptions of a greedy user's socket.
MOST = 16


def run(job):
    """Of `addresses`, as the user with `cookies`, from a `log`. Another, with `greedy` cookies, has
    so many `sockets` on each. Every answer is due `within` some seconds."""
    job.wait_for_go()
    asyncio.run(until_stopped(job))


async def until_stopped(job):
    options, is_open = job.options, asyncio.Semaphore(0)
    tasks = [
        asyncio.ensure_future(
            follow_everything((address, options["greedy"]), options["log"], number, is_open)
        )
        for address in options["addresses"]
        for number in range(options["sockets"])
    ]
    for _ in list(tasks):
        await is_open.acquire()
    tasks.append(asyncio.ensure_future(probe(job)))
    await asyncio.to_thread(job.stop.wait)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def probe(job):
    while True:
        for address in job.options["addresses"]:
            await ask(job, address)
            await asyncio.sleep(0.1)


async def ask(job, address):
    """Write down how long it took; also if it is stopped after it has waited for too long."""
    options = job.options
    began, seconds, within = time.monotonic(), None, options["within"]
    try:
        with suppress(*GONE):
            await first_events((address, options["cookies"]), options["log"])
            seconds = time.monotonic() - began
    finally:
        if time.monotonic() - began > within or asyncio.current_task().cancelling() == 0:
            job.write(Served(job.name, address, began, seconds, within))


async def first_events(at, log):
    query = f"?log={log}&since=0"
    async with asyncio.timeout(PATIENCE), socket(*at, query, open_timeout=PATIENCE) as ws:
        await ws.until("events")


async def follow_everything(at, log, number, is_open):
    """Replay a log for many kinds that nobody emits; and again, when that is done."""
    while True:
        with suppress(*GONE):
            async with socket(*at, open_timeout=PATIENCE, close_timeout=0.2) as ws:
                is_open.release()
                for subscription in range(MOST):
                    wanted = {"log": log, "since": 0, "kind": f"rare{number}.kind{subscription}"}
                    await ws.send("subscribe", id=str(subscription), **wanted)
                for _ in range(MOST):
                    await ws.until("live")
        await asyncio.sleep(0.1)
