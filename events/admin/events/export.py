"""What a list shows, as a file: all of it, however long it is. It is read and sent as the API's."""

import csv
import io
import re
from collections.abc import Sequence
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from ...api.export import Export, paced
from ...api.sending import OpenResponse, hold_connection
from ...limits import RETRY_AFTER, TooMany
from ...types import UNIX_EPOCH, Row, wire_micros
from ...visible import visible
from ..shared.keyset import KeysetAdmin
from .wanted import Wanted, wanted_of

COLUMNS = ("position", "kind", "stream", "seq", "timestamp", "key", "payload")
# What a spreadsheet takes for a formula, also in full width.
FORMULA = re.compile(r"\s*[=+\-@\t\r\n＝＋－＠]")


class Lines(Export):
    """From the oldest to the newest, as they were when it began."""

    content_type = "application/x-ndjson"

    def __init__(self, wanted: Wanted) -> None:
        log, query = wanted.scope.log, wanted.query(wanted.keyset.low)
        self.wanted = wanted
        super().__init__(log, query, log.backend.read(query), wanted.keyset.high)

    def encoded(self, rows: Sequence[Row]) -> bytes:
        return super().encoded(self.wanted.among(rows))


class Table(Lines):
    content_type = "text/csv; charset=utf-8"
    columns: Sequence[Sequence[object]] = [COLUMNS]

    def encoded(self, rows: Sequence[Row]) -> bytes:
        first, self.columns = self.columns, []
        out = io.StringIO()
        csv.writer(out).writerows([*first, *map(cells, self.wanted.among(rows))])
        return out.getvalue().encode()


FORMATS = {"ndjson": Lines, "csv": Table}


def cells(row: Row) -> list[object]:
    texts = (row.kind, row.stream, wire_micros(row.micros), row.key or "", row.text)
    kind, stream, *others = map(cell, texts)
    return [row.position, kind, stream, row.seq or "", *others]


def cell(text: str) -> str:
    """A text that stays one in a spreadsheet, and in a terminal."""
    return f"'{visible(text)}" if FORMULA.match(text) else visible(text)


def export_view(admin: KeysetAdmin, request: HttpRequest) -> HttpResponseBase:
    """All that the list shows, on all of its pages; a connection of its user's like any other."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    wanted, format = wanted_of(request), request.GET.get("format", "ndjson")
    if wanted.problems or format not in FORMATS:
        # The list says what is wrong.
        query = request.GET.copy()
        query.pop("format", None)
        return HttpResponseRedirect(f"{admin.address('event_changelist')}?{query.urlencode()}")
    log = wanted.scope.log
    try:
        held = hold_connection(log, request.user, request)
    except TooMany as error:
        return HttpResponse(str(error), status=429, headers={"Retry-After": str(RETRY_AFTER)})
    export = FORMATS[format](wanted)
    now = UNIX_EPOCH + timedelta(microseconds=log.backend.now())
    name = f"events-{log.name}-{now:%Y%m%dT%H%M%SZ}.{format}"
    return OpenResponse(
        paced(export, isinstance(request, ASGIRequest)),
        held,
        log.settings.send_timeout,
        content_type=export.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            # Compressed by chunks, some clients take the end of the first for the end of all.
            "Content-Encoding": "identity",
        },
    )
