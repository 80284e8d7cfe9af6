"""A channel layer that loses, doubles, delays and reorders, and now and then fails altogether."""

import asyncio
from collections import deque


class Layer:
    def __init__(self, world):
        self.world = world
        self.groups = {}
        self.members = 0

    async def new_channel(self):
        await self._suffer()
        self.members += 1
        return f"channel{self.members}"

    async def group_add(self, group, channel):
        await self._suffer()
        self.groups[channel] = deque(), asyncio.Event()

    async def group_discard(self, group, channel):
        self.groups.pop(channel, None)
        await self._suffer()

    async def receive(self, channel):
        messages, arrived = self.groups[channel]
        while not messages:
            arrived.clear()
            await arrived.wait()
        await self._suffer()
        return messages.popleft()

    def tell(self):
        """Another process has something to say."""
        chance = self.world.chance
        for messages, arrived in list(self.groups.values()):
            for _ in range(chance.choice((1, 1, 2))):
                self.world.later(chance.random() ** 3, self._deliver, messages, arrived)

    def _deliver(self, messages, arrived):
        messages.append({})
        arrived.set()

    async def _suffer(self):
        """Bad ones raise, or do not answer."""
        world = self.world
        if world.is_faulty and world.dials.layer == "bad":
            if world.chance.random() < 0.1:
                raise ConnectionError("the layer is down")
            await asyncio.sleep(world.chance.random() ** 4 * 4)
