"""An example: a consumer of a project's own that joins a log's group.

The message is a hint that there is something to read. What there is, it reads from its own cursor
to the head that the log itself tells, so it does not matter whether a hint was lost, came twice, or
came from elsewhere.
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
        self.counts, self.missed = Counter(), 0
        info = await self.log.ainfo()
        self.cursor, self.epoch = info.head, info.epoch
        await self.accept()

    async def events_appended(self, message):
        while True:
            page = await self.log.aread(self.cursor, epoch=self.epoch)
            self.counts.update(entry.kind for entry in page.entries)
            self.missed += page.gap.lost if page.gap else 0
            self.cursor, self.epoch = page.cursor, page.epoch
            if page.cursor >= page.head:
                break
        await self.send_json({"counts": self.counts, "missed": self.missed})
