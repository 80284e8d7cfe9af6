"""A process of very many clients, who all come back at the same moment when a server is killed."""

import asyncio
import time

from ..live_clients import socket
from .clients import GONE, PATIENCE
from .record import Goal, Stretch


class Drop:
    """One of them: too many for their events to be written down, so only where it was is."""

    def __init__(self, job, name, at):
        self.job = job
        self.name = name
        self.at = at
        self.cursor = job.options["since"]

    async def follow(self):
        while True:
            since, self.runs = self.cursor, []
            try:
                async with socket(*self.at, f"?since={since}", open_timeout=PATIENCE) as ws:
                    while True:
                        frame = await ws.frame(PATIENCE)
                        if frame["type"] == "events":
                            self.take([one["position"] for one in frame["events"]])
            except GONE:
                pass
            finally:
                if self.runs:
                    self.job.write(Stretch(self.name, since, self.runs))
            # As a browser would: within a second, and not together.
            await asyncio.sleep(self.job.rng.uniform(0, 1))

    def take(self, positions):
        for position in positions:
            if self.runs and position == self.runs[-1][1] + 1:
                self.runs[-1][1] = position
            else:
                self.runs.append([position, position])
        self.cursor = positions[-1]


def run(job):
    """So many `drops`, clients from `since` on."""
    addresses = job.options["addresses"]
    drops = [
        Drop(job, f"{job.name}-{number}", addresses[number % len(addresses)])
        for number in range(job.options["drops"])
    ]
    job.wait_for_go()
    asyncio.run(rage(job, drops))


async def rage(job, drops):
    tasks = [asyncio.ensure_future(drop.follow()) for drop in drops]
    await asyncio.to_thread(job.stop.wait)
    deadline = time.monotonic() + 2 * PATIENCE
    while any(drop.cursor < job.goal for drop in drops) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for drop in drops:
        job.write(Goal(drop.name, drop.cursor, job.goal))
