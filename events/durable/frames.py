"""Live readers: a stream as Server-Sent Events, in the protocol's frames or with payloads alone.

What a fork has inherited is sent first, page by page. Then the stream itself is followed like any
other, with the clocks, the permissions and the limits of the log's own Server-Sent Events.
"""

from collections.abc import AsyncGenerator, Hashable, Iterator
from contextlib import aclosing
from math import inf
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from rest_framework.request import Request

from ..api.eventsource import HEADERS
from ..api.eventsource import Connection as EventSource
from ..cursors import Query
from ..live.window import Batch
from ..threads import release_thread
from ..types import TERMINAL, Row
from ..wire import dumps
from . import content, offsets, protocol
from .reading import Page, View

# Seconds after which a reader is sent away, to come back: what caches join readers by is a minute.
LIFETIME = 55.0
# How AG-UI's events begin, which each of its runs does with the first of them.
AGUI = 'data: {"type":"RUN_STARTED"'
# Parts of the TTL after which a reader has its stream live on.
TOUCHES = 3


class Connection(EventSource):
    """One reader, in the protocol's own frames: `data`, and `control` with where it stands."""

    longest: ClassVar[float] = LIFETIME
    # Something has to be sent for the response to end there.
    goodbye: ClassVar[bytes] = b":\n\n"

    def __init__(self, request: Request, view: View, since: int | None, cursor: str | None) -> None:
        own = view.segments[-1]
        position = own.after if since is None else max(since, own.after)
        self.view, self.since = view, since
        self.position = position if since is None else since
        self.cursor = cursor
        self.type: str = view.row.content_type
        epoch = view.state().epoch
        whole = since is None and not view.is_durable
        start: Any = "earliest" if whole else position
        query = Query(start, stream=view.info.stream, epoch=None if whole else epoch)
        super().__init__(request, view.log, query, named=True)
        self.epoch = epoch
        self.lifetime = min(self.lifetime, self.longest)
        if view.row.ttl:
            # A heartbeat wakes this reader often enough.
            self.heartbeat = min(self.heartbeat, max(0.1, view.row.ttl / TOUCHES))
        # Has this reader been told that it has everything?
        self.is_told = False
        # And that nothing more will come?
        self.is_closed = False

    def headers(self) -> dict[str, str]:
        more = {} if content.is_text(self.type) else {"Stream-SSE-Data-Encoding": "base64"}
        return {**HEADERS, **more}

    async def frames(self, who: Hashable) -> AsyncGenerator[bytes]:
        self.start_clocks()
        pages = self.view.inherited(self.since)
        while (page := await sync_to_async(next_of)(pages)) is not None:
            self.position = page.position
            if not page.rows:
                continue
            # Nothing of the site's is held while the client takes this.
            await release_thread()
            yield self.of_past(page)
            if farewell := await self.farewell():
                yield farewell
                return
        async with aclosing(super().frames(who)) as frames:
            async for frame in frames:
                if frame:
                    yield frame

    def start_clocks(self) -> None:
        """Once: the past is a part of the response, too."""
        if not hasattr(self, "ends_at"):
            super().start_clocks()

    def of_past(self, page: Page) -> bytes:
        text = self.after_data(self.of_rows(page.rows))
        self.last_sent = self.now()
        if self.bytes_left is not None:
            self.bytes_left -= len(text)
        return text

    async def farewell(self) -> bytes:
        await self.live_on()
        # The reason has no place in these frames: a reader comes back, and is told.
        return self.goodbye if await super().farewell() else b""

    async def live_on(self) -> None:
        row = self.view.row
        if row.ttl is None:
            return
        await sync_to_async(protocol.touch)(self.log, row)
        await release_thread()

    def beginning(self, batch: Batch) -> bytes:
        return self.of_batch(batch)

    def of_batch(self, batch: Batch) -> bytes:
        if batch.gap:
            # The reader comes back, and is told that something is lost.
            self.tail.ended = True
            return self.goodbye
        self.epoch = self.tail.epoch
        text = b""
        if batch.entries:
            self.position = self.place(batch)
            data: str = batch.once((self.make, self.type, self.view.is_durable), self.data)
            self.is_told = self.has_all(batch)
            self.is_closed = content.ends(batch.entries[-1].row)
            text = self.after_data(data)
        elif batch.live or (not self.is_told and self.has_all(batch)):
            text = self.at_head()
        if batch.end:
            text += self.at_end(batch.end)
        if self.bytes_left is not None:
            self.bytes_left -= len(text)
        return text

    def has_all(self, batch: Batch) -> bool:
        return batch.cursor >= max(self.tail.head_at_start, self.tail.broker.window.position)

    def place(self, batch: Batch) -> int:
        for entry in reversed(batch.entries):
            if not (self.view.is_durable and content.ends(entry.row)):
                return entry.position
        return self.position

    def data(self, batch: Batch) -> str:
        """What all readers of the stream are sent for these entries."""
        durable = self.view.is_durable
        return self.of_rows(
            [entry.row for entry in batch.entries if content.is_data(entry.row, durable)]
        )

    def of_rows(self, rows: list[Row]) -> str:
        return self.make(self.type, rows)

    make = staticmethod(content.frame)

    def after_data(self, data: str) -> bytes:
        return data.encode() + self.control() if data or self.is_told or self.is_closed else b""

    def at_head(self) -> bytes:
        if self.is_told:
            return b""
        self.is_told = True
        return self.control()

    def at_end(self, reason: str) -> bytes:
        if reason not in TERMINAL or self.is_closed:
            return self.goodbye
        self.is_closed = True
        return self.control()

    def control(self) -> bytes:
        told: dict[str, Any] = {"streamNextOffset": offsets.shown(self.epoch, self.position)}
        if self.is_closed:
            told["streamClosed"] = True
        else:
            told["streamCursor"] = offsets.next_cursor(self.cursor)
            if self.is_told:
                told["upToDate"] = True
        return f"event: control\ndata:{dumps(told)}\n\n".encode()

    def bookmark(self, close: str = "") -> bytes:
        return b""


class Payloads(Connection):
    """One reader of payloads alone, as chat front ends want it: the chunks of the Vercel AI SDK, or
    AG-UI's events, whichever the stream holds."""

    # AG-UI takes each line of data for an event, the end's too.
    is_agui = False

    # It takes the end of the response for the end of the answer.
    longest = inf
    make = staticmethod(content.payloads)

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "x-vercel-ai-ui-message-stream": "v1"}

    def after_data(self, data: str) -> bytes:
        self.is_agui = self.is_agui or data.startswith(AGUI)
        return data.encode()

    def control(self) -> bytes:
        return b""

    def at_end(self, reason: str) -> bytes:
        return self.goodbye if self.is_agui else b"data: [DONE]\n\n"


def next_of(pages: Iterator[Page]) -> Page | None:
    return next(pages, None)
