"""A whole log as newline-delimited JSON, a page at a time, however long it is."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from ..base_log import BaseLog
from ..cursors import Query, Rows
from ..exceptions import CursorExpired
from ..limits import Held
from ..log import EventLog
from ..streams import StreamHandle
from ..threads import give_back_thread
from ..types import Row
from ..wire import dumps, encode
from .pagination import LedgerPagination
from .renderers import NDJSONRenderer, cursor_headers
from .sending import MAX_BYTES, OpenResponse, at_clients_pace, buffers_everything, is_asgi


def response(
    source: EventLog | StreamHandle,
    paginator: LedgerPagination,
    request: Request,
    hold: Callable[[], Held],
) -> HttpResponseBase:
    """From the cursor to the head as it is now, or as far as `limit` says. What is streamed is
    counted by `hold`."""
    found = paginator.read(source, request)
    query = replace(paginator.params.query, limit=paginator.log.settings.max_page_size)
    limited = paginator.params.limit is not None
    end = end_of_page(paginator, found) if limited else found.state.head
    export = Export(paginator.log, query, found, end)
    # See `eventsource`: compressed by chunks, a client would see the end of the first as the end of all.
    headers = {**cursor_headers(found), "Content-Encoding": "identity"}
    media_type = NDJSONRenderer.media_type
    answer: HttpResponseBase
    if buffers_everything(request):
        answer = HttpResponse(export.beginning(), content_type=media_type, headers=headers)
    else:
        body, timeout = paced(export, is_asgi(request)), paginator.log.settings.send_timeout
        answer = OpenResponse(body, hold(), timeout, content_type=media_type, headers=headers)
    answer["X-Events-Last-Idx"] = str(export.end)
    if found.gap is not None:
        answer["X-Events-Gap"] = dumps(found.gap.to_dict())
    return answer


def paced(export: "Export", asgi: bool) -> Any:
    """Django gathers a synchronous iterator in memory before it sends it over ASGI."""
    return at_clients_pace(export.achunks()) if asgi else export.chunks()


def end_of_page(paginator: LedgerPagination, found: Rows) -> int:
    """The cursor after as many entries as were asked for, also where their bytes are more than a
    page's. An entry that cannot be read breaks the transfer off when it is met."""
    query = paginator.params.query
    left = query.limit - len(found.rows)
    while found.cut and left > 0 and not found.caught_up:
        found = paginator.log.backend.read(replace(query.after(found), limit=left))
        left -= len(found.rows)
        if found.gap is not None:
            return found.gap.first_available - 1
    return found.cursor


class Export:
    """The pages from the first one, which the headers were made from, to `end`."""

    def __init__(self, log: BaseLog, query: Query, first: Rows, end: int) -> None:
        self.log = log
        self.query = query
        self.found = first
        self.end = end

    def beginning(self) -> list[bytes]:
        """For a server that keeps in memory what its client does not read: no more than MAX_BYTES.
        `end` says where the client goes on. (To break the transfer off would leave the client
        waiting there: daphne does not close a connection whose application has failed.)"""
        chunks = [self.chunk()]
        while sum(map(len, chunks)) < MAX_BYTES:
            try:
                if not self.advance():
                    return chunks
            except CursorExpired:
                break
            chunks.append(self.chunk())
        self.end = min(self.end, self.found.cursor)
        return chunks

    def chunks(self) -> Iterator[bytes]:
        yield self.chunk()
        while self.advance():
            chunk = self.chunk()
            give_back_thread()
            yield chunk

    async def achunks(self) -> AsyncGenerator[bytes]:
        yield self.chunk()
        while await sync_to_async(self.advance)():
            yield self.chunk()

    def chunk(self) -> bytes:
        return self.encoded([row for row in self.found.rows if row.position <= self.end])

    def encoded(self, rows: Sequence[Row]) -> bytes:
        return b"".join(encode(row) + b"\n" for row in rows)

    def advance(self) -> bool:
        """Read the next page; is there one? If pruning has overtaken the reader, the transfer is
        broken off: one that ends properly must be complete."""
        if self.found.cursor >= self.end:
            return False
        found = self.log.backend.read(self.query.after(self.found))
        if found.gap is not None:
            raise CursorExpired(found.gap)
        self.found = found
        return True
