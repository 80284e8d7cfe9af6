"""Entries on their way out: encoded once, by `wire`, and put together as bytes."""

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer

from ..cursors import Rows
from ..types import Row
from ..wire import dumps, text


class WirePage:
    """A page's body, made of rows that are JSON already."""

    def __init__(self, rows: list[Row], rest: dict[str, Any]) -> None:
        self.rows = rows
        self.rest = rest

    def to_bytes(self) -> bytes:
        results = ",".join(map(text, self.rows))
        return f'{{"results":[{results}],{dumps(self.rest)[1:]}'.encode()

    def to_data(self) -> dict[str, Any]:
        """For a renderer of the host's own."""
        data: dict[str, Any] = json.loads(self.to_bytes())
        return data


class EntryRenderer(JSONRenderer):
    """JSON. Whatever is not a page is left to DRF's own renderer."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if isinstance(data, WirePage):
            if not self.get_indent(accepted_media_type or "", dict(renderer_context or {})):
                return data.to_bytes()
            data = data.to_data()
        return super().render(data, accepted_media_type, renderer_context)


class NDJSONRenderer(BaseRenderer):
    """Names the format in content negotiation. `export` streams the entries itself, so only errors
    are rendered here: one JSON object on one line."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = None

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        return b"" if data is None else JSONRenderer().render(data) + b"\n"


def cursor_headers(found: Rows, cursor: int | None = None) -> dict[str, str]:
    cursor = found.cursor if cursor is None else cursor
    return log_headers(cursor, found.state.head, found.state.epoch)


def log_headers(cursor: int, head: int, epoch: str) -> dict[str, str]:
    return {"X-Events-Last-Idx": str(cursor), "X-Events-Head": str(head), "X-Events-Epoch": epoch}
