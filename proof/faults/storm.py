"""A process of very many clients, who all come back at the same moment when a server is killed."""

import asyncio

from tests.support.live_clients import socket

from .clients import GONE, PATIENCE, follow
from .record import Stretch


class Drop:
    """One of them: too many for their events to be written down, so only where it was is."""

    # It does not think about what it is sent.
    pause = 0.0

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
    asyncio.run(follow(job, drops, 2 * PATIENCE))
