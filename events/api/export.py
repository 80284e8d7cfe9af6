"""A whole log as newline-delimited JSON, a page at a time, however long it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from ..cursors import Query, Rows
from ..exceptions import CursorExpired
from ..internals import django_request
from ..log import EventLog
from ..streams import StreamHandle
from ..wire import dumps, encode
from .pagination import LedgerPagination, cursor_headers
from .renderers import NDJSONRenderer


def response(
    source: EventLog | StreamHandle, paginator: LedgerPagination, request: Request
) -> StreamingHttpResponse:
    """From the cursor to the head as it is now, or as far as `limit` says."""
    found = paginator.read(source, request)
    query = replace(paginator.params.query, limit=paginator.log.settings.max_page_size)
    limited = paginator.params.limit is not None
    export = Export(paginator.log, query, found, whole=not limited)
    # See `sse`: compressed by chunks, a client would see the end of the first as the end of all.
    headers = {**cursor_headers(found), "Content-Encoding": "identity"}
    if not limited:
        headers["X-Events-Last-Idx"] = str(found.state.head)
    if found.gap is not None:
        headers["X-Events-Gap"] = dumps(found.gap.to_dict())
    return StreamingHttpResponse(
        # Django gathers a synchronous iterator in memory before it sends it over ASGI.
        export.achunks() if isinstance(django_request(request), ASGIRequest) else export.chunks(),
        content_type=NDJSONRenderer.media_type,
        headers=headers,
    )


class Export:
    """The pages after the first one, which the headers were made from."""

    def __init__(self, log: EventLog, query: Query, first: Rows, *, whole: bool) -> None:
        self.log = log
        self.query = query
        self.found = first
        self.end = first.state.head if whole else first.cursor

    def chunks(self) -> Iterator[bytes]:
        yield self.chunk()
        while self.advance():
            yield self.chunk()

    async def achunks(self) -> AsyncIterator[bytes]:
        yield self.chunk()
        while await sync_to_async(self.advance)():
            yield self.chunk()

    def chunk(self) -> bytes:
        return b"".join(encode(row) + b"\n" for row in self.found.rows if row.position <= self.end)

    def advance(self) -> bool:
        """Read the next page; is there one? An overtaken reader breaks the transfer off: what
        ends properly must be whole."""
        if self.found.cursor >= self.end:
            return False
        query = replace(self.query, since=self.found.cursor, epoch=self.found.state.epoch)
        self.found = self.log.backend.read(query)
        if self.found.gap is not None:
            raise CursorExpired(self.found.gap)
        return True
