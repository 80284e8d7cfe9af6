"""A ledger as DRF pages: `since` and `limit`, a `cursor` in every answer, and no COUNT.

A project's own view can use it over a log, or over one of its streams:

    class Audit(ListAPIView):
        pagination_class = LedgerPagination
        serializer_class = EntrySerializer
        filter_backends = []

        def get_queryset(self):
            return logs["audit"]
"""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from ..cursors import Rows
from ..log import EventLog
from ..streams import StreamHandle
from ..types import Entry
from .errors import Gone, as_http
from .params import ReadParams, read_params


class LedgerPagination(BasePagination):
    """Pages an `EventLog` or a `StreamHandle`."""

    request: Request
    params: ReadParams
    found: Rows

    def paginate_queryset(  # type: ignore[override]
        self, queryset: EventLog | StreamHandle, request: Request, view: Any = None
    ) -> list[Entry]:
        self.read(queryset, request)
        return [Entry.from_row(row) for row in self.found.rows]

    def read(self, source: EventLog | StreamHandle, request: Request) -> Rows:
        log, stream = (
            (source.log, source.name) if isinstance(source, StreamHandle) else (source, None)
        )
        self.request = request
        with as_http():
            self.params = read_params(log, request.query_params, stream)
            self.take(log.backend.read(self.params.query))
        return self.found

    def take(self, found: Rows) -> None:
        if found.gap is not None and self.params.strict:
            raise Gone(found.gap)
        self.found = found

    def get_paginated_response(self, data: Any) -> Response:
        gap = self.found.gap
        body = {
            "results": data,
            "cursor": self.found.cursor,
            "next": self.get_next_link(),
            "gap": gap.to_dict() if gap else None,
        }
        return Response(body, headers=self.headers())

    def headers(self) -> dict[str, str]:
        return cursor_headers(self.found)

    def get_next_link(self) -> str | None:
        """Where the reader goes on; None when it has caught up, and for a probe."""
        found, query = self.found, self.params.query
        if found.cursor >= found.state.head or not query.limit:
            return None
        params = self.request.query_params.copy()
        params["since"], params["limit"] = str(found.cursor), str(query.limit)
        if query.epoch is not None:
            # The cursor is of this epoch now, whatever the last one was of.
            params["epoch"] = found.state.epoch
        return f"{self.request.build_absolute_uri(self.request.path)}?{params.urlencode()}"

    def to_html(self) -> str:
        return ""


def cursor_headers(found: Rows) -> dict[str, str]:
    return {
        "X-Events-Last-Idx": str(found.cursor),
        "X-Events-Head": str(found.state.head),
        "X-Events-Epoch": found.state.epoch,
    }
