"""The way to a client: full now and then, broken in the end."""

import asyncio


class Pipe:
    def __init__(self, reader):
        self.reader = reader
        self.world = reader.world
        self.busy = self.broken = False
        # Clients that stop reading for good are told so, and cut off.
        self.stalls = self.world.maybe(0.1)
        self.fullness = self.world.chance.choice((0.0, 0.1, 0.5))

    async def send(self, message):
        self.world.require(not self.busy, self.reader.who, "two messages at once", message)
        if self.broken:
            raise OSError("gone")
        self.busy = True
        try:
            self.reader.received(message)
            # A handshake has the way to itself.
            if message["type"] != "websocket.accept":
                await self._drain()
        finally:
            self.busy = False

    async def _drain(self):
        world = self.world
        if not world.is_faulty:
            return
        if self.stalls and world.maybe(0.1):
            await asyncio.sleep(3600)
        if world.maybe(self.fullness):
            await asyncio.sleep(world.chance.choice((0, 0, world.chance.random() ** 4 * 2)))
