"""What a list shows, as a file: all of it, however long it is. It is read and sent as the API's."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import timedelta

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from ...api.export import Export, paced
from ...api.sending import OpenResponse
from ...limits import Held
from ...types import UNIX_EPOCH, Row, wire_micros
from ..shared.visible import visible
from .wanted import Wanted

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


def response(request: HttpRequest, wanted: Wanted, format: str) -> StreamingHttpResponse:
    export, log = FORMATS[format](wanted), wanted.scope.log
    now = UNIX_EPOCH + timedelta(microseconds=log.backend.now())
    name = f"events-{log.name}-{now:%Y%m%dT%H%M%SZ}.{format}"
    return OpenResponse(
        paced(export, isinstance(request, ASGIRequest)),
        Held(),
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
