"""A ledger as DRF pages: `since` and `limit`, a `cursor` in every answer, and no COUNT. For views of
a project's own as well, whose `get_queryset` answers with a log, or with one of its streams."""

from typing import Any
from urllib.parse import urlencode

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from ..base_log import BaseLog, read_entries
from ..cursors import Query, Rows
from ..log import EventLog
from ..parameters import ReadParams, read_params
from ..streams import StreamHandle
from ..types import Entry
from .errors import Gone, as_http
from .openapi import Schema, description
from .renderers import cursor_headers


class LedgerPagination(BasePagination):
    """Pages an `EventLog` or a `StreamHandle`."""

    request: Request
    log: BaseLog
    params: ReadParams
    found: Rows

    def paginate_queryset(  # type: ignore[override]
        self, queryset: EventLog | StreamHandle, request: Request, view: Any = None
    ) -> list[Entry]:
        with as_http():
            query = self.asked(queryset, request)
            found, entries = read_entries(self.log.backend, query)
            self.take(found)
        return entries

    def read(self, source: EventLog | StreamHandle, request: Request) -> Rows:
        query = self.asked(source, request)
        self.take(self.log.backend.read(query))
        return self.found

    def asked(self, source: EventLog | StreamHandle, request: Request) -> Query:
        stream = source.name if isinstance(source, StreamHandle) else None
        self.log = source.log if isinstance(source, StreamHandle) else source
        self.request = request
        self.params = read_params(self.log, request.query_params, stream)
        return self.params.query

    def take(self, found: Rows) -> None:
        if found.gap is not None and self.params.strict:
            # The entries are not shown: the cursor is before them, where what is left begins.
            raise Gone(found.gap, cursor_headers(found, found.gap.first_available - 1))
        self.found = found

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, **self.standing()}, headers=cursor_headers(self.found))

    def standing(self) -> dict[str, Any]:
        """What stands beside the results: where the reader is, and what was missed."""
        gap = self.found.gap
        return {
            "cursor": self.found.cursor,
            "next": self.get_next_link(),
            "gap": gap.to_dict() if gap else None,
        }

    def get_next_link(self) -> str | None:
        """Where the reader goes on; None when it has caught up, and for a probe."""
        found, query = self.found, self.params.query
        if found.caught_up or not query.limit:
            return None
        new: dict[str, Any] = {"since": found.cursor, "limit": query.limit}
        if query.epoch is not None:
            # The cursor is of this epoch now, whatever the last one was of.
            new["epoch"] = found.state.epoch
        given = self.request.query_params.lists()
        renewed = {*new, "last"}
        pairs = [(name, value) for name, values in given if name not in renewed for value in values]
        url = self.request.build_absolute_uri(self.request.path)
        return f"{url}?{urlencode([*pairs, *new.items()])}"

    def to_html(self) -> str:
        return ""

    # For the OpenAPI schema of a host's own view.

    def get_schema_operation_parameters(self, view: Any) -> list[Schema]:
        parameters = description()["paths"]["/"]["get"]["parameters"]
        return [one for one in parameters if one["name"] not in ("log", "wait")]

    def get_paginated_response_schema(self, schema: Schema) -> Schema:
        page = description()["components"]["schemas"]["EventsPage"]
        gap = {"type": "object", "nullable": True}
        return {**page, "properties": {**page["properties"], "results": schema, "gap": gap}}
