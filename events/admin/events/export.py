"""What a list shows, as a file: all of it, however long it is, a page at a time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from itertools import starmap
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import BigIntegerField, ExpressionWrapper, F, QuerySet, TextField
from django.http import HttpRequest, StreamingHttpResponse

from ...exceptions import CursorExpired
from ...models import Log
from ...types import UNIX_EPOCH, Gap, Row, wire_micros
from ...wire import encode
from ..shared.keyset import Keyset, ranged
from ..shared.scope import Scope
from ..shared.visible import visible

# Rows that are in memory at once, and positions that one query looks at for a rare kind.
PAGE = 1_000

COLUMNS = ("position", "kind", "stream", "seq", "timestamp", "key", "payload")
# What a spreadsheet takes for a formula, also in full width.
FORMULA = re.compile(r"\s*[=+\-@\t\r\n＝＋－＠]")

Encode = Callable[[Sequence[Row]], bytes]


def as_rows(events: QuerySet[Any]) -> Iterator[Row]:
    """Events as the store keeps them: the payload is passed on as it was written, unparsed."""
    stored = events.values_list(
        "position",
        "kind",
        "stream",
        "seq",
        ExpressionWrapper(F("timestamp"), output_field=BigIntegerField()),
        ExpressionWrapper(F("payload"), output_field=TextField()),
        "key",
    )
    return starmap(Row, stored)


def ndjson(rows: Sequence[Row]) -> bytes:
    """The lines of the API's own export."""
    return b"".join(encode(row) + b"\n" for row in rows)


def csv_lines(rows: Sequence[Row]) -> bytes:
    return table([cells(row) for row in rows])


def cells(row: Row) -> list[object]:
    texts = (row.kind, row.stream, wire_micros(row.micros), row.key or "", row.text)
    kind, stream, *others = map(cell, texts)
    return [row.position, kind, stream, row.seq or "", *others]


def cell(text: str) -> str:
    """A text that stays one in a spreadsheet, and in a terminal."""
    return f"'{visible(text)}" if FORMULA.match(text) else visible(text)


def table(lines: Sequence[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue().encode()


FORMATS: dict[str, tuple[str, Encode, bytes]] = {
    "ndjson": ("application/x-ndjson", ndjson, b""),
    "csv": ("text/csv; charset=utf-8", csv_lines, table([COLUMNS])),
}


def response(
    request: HttpRequest, scope: Scope, keyset: Keyset, format: str
) -> StreamingHttpResponse:
    """A download, under WSGI and ASGI. Django would gather a synchronous iterator in memory before
    it sends it over ASGI."""
    content_type, lines, header = FORMATS[format]
    export = Export(scope, keyset, lines, header)
    return StreamingHttpResponse(
        export.achunks() if isinstance(request, ASGIRequest) else export.chunks(),
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{filename(scope, format)}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            # Compressed by chunks, some clients take the end of the first for the end of all.
            "Content-Encoding": "identity",
        },
    )


def filename(scope: Scope, format: str) -> str:
    now = UNIX_EPOCH + timedelta(microseconds=scope.log.backend.now())
    return f"events-{scope.name}-{now:%Y%m%dT%H%M%SZ}.{format}"


class Export:
    """From the oldest to the newest row of a keyset, as they were when it began."""

    def __init__(self, scope: Scope, keyset: Keyset, lines: Encode, header: bytes = b"") -> None:
        self.scope = scope
        self.keyset = keyset
        self.lines = lines
        self.header = header
        self.cursor = keyset.low

    def chunks(self) -> Iterator[bytes]:
        yield self.header
        while (chunk := self.chunk()) is not None:
            yield chunk

    async def achunks(self) -> AsyncIterator[bytes]:
        yield self.header
        while (chunk := await sync_to_async(self.chunk)()) is not None:
            yield chunk

    def chunk(self) -> bytes | None:
        """The next page; None after the last one."""
        if self.cursor >= self.keyset.high:
            return None
        high = self.keyset.high
        if self.keyset.span is not None:
            high = min(high, self.cursor + self.keyset.span)
        page = ranged(self.keyset, self.cursor, high).order_by(self.keyset.key)
        rows = list(as_rows(page[:PAGE]))
        self.check_floor()
        self.cursor = rows[-1].position if len(rows) == PAGE else high
        return self.lines(rows)

    def check_floor(self) -> None:
        """Break the transfer off if pruning has overtaken it: what ends properly must be whole."""
        found = Log.objects.using(self.scope.alias).filter(pk=self.scope.pk)
        # Not the effective floor: an entry that expires meanwhile is still there to be sent.
        floor = next(iter(found.values_list("floor", flat=True)), 0)
        if floor > self.cursor:
            lost = floor - self.cursor
            raise CursorExpired(Gap("pruned", self.cursor, floor + 1, lost))
