"""An example: a consumer of a project's own that joins a log's group.

The message is a hint that there is something to read, and how far the log has got. What there is,
it reads from its own cursor, so that it does not matter whether a hint was lost, or came twice.
"""

from collections import Counter

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from events import logs


class KindCounter(AsyncJsonWebsocketConsumer):
    """Counts events by kind from the moment of connecting: a badge, or a few, for a page."""

    groups = ["events.default"]

    async def connect(self):
        self.log = logs["default"]
        if not await database_sync_to_async(self.log.policy.can_read)(self.scope["user"], None):
            await self.close(4403)
            return
        self.counts = Counter()
        self.cursor = (await self.log.ainfo()).head
        await self.accept()

    async def events_appended(self, message):
        while self.cursor < message["head"]:
            page = await self.log.aread(self.cursor)
            self.counts.update(entry.kind for entry in page.entries)
            self.cursor = page.cursor
        await self.send_json(self.counts)
