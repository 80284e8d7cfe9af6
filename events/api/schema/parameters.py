"""What may stand in a query, and in a path."""

from __future__ import annotations

from typing import Any

from ... import lifecycle
from ...conf import DEFAULT_LOG, log_settings
from ...parameters import MAX_KINDS, MAX_WAIT
from ...types import Status
from ...validation import KIND, MAX_KIND, STREAM
from .components import (
    KIND_TEXT,
    MAX_STREAM,
    STREAM_OR_NONE,
    Schema,
    listed,
    number,
    text,
    whole_pattern,
)

KIND_FILTERS: Schema = {
    "anyOf": [
        KIND_TEXT,
        {
            "type": "string",
            "pattern": whole_pattern(rf"{KIND.pattern}\.\*"),
            "maxLength": MAX_KIND + 2,
        },
        {"type": "string", "enum": ["*"]},
    ]
}


def query(name: str, schema: Schema, **more: Any) -> Schema:
    """A query parameter; its description is the one of its schema."""
    schema = dict(schema)
    return {
        "in": "query",
        "name": name,
        "description": schema.pop("description"),
        "schema": schema,
        **more,
    }


LOG = query("log", text("The log to use.", default=DEFAULT_LOG))
LIMIT = query(
    "limit",
    number(
        "How many at most. More than `MAX_PAGE_SIZE` is clamped.",
        default=log_settings()[DEFAULT_LOG].page_size,
    ),
)

SINCE = query(
    "since",
    {
        "oneOf": [
            number("A position that was consumed; what comes after it is read."),
            {"type": "string", "enum": ["earliest", "latest"]},
        ],
        "default": "earliest",
        "description": "Where to read on: a position that was consumed, or one of these words.",
    },
)
KINDS = query(
    "kind",
    {
        **listed(KIND_FILTERS, maxItems=MAX_KINDS),
        "description": "Only these kinds: `turn.started`, or `turn.*` for all that begin so.",
    },
    style="form",
    explode=True,
)
WAIT = query(
    "wait",
    number(
        f"For how many seconds to wait for an entry if there is none yet. More than {MAX_WAIT} "
        f"is clamped to {MAX_WAIT}.",
        default=0,
    ),
)
EPOCH = query("epoch", text("The epoch that the cursor is from. Another one is a gap."))
ON_GAP = query("on_gap", text("Answer a gap with 410 instead.", enum=["error"]))
STREAM_FILTER = query("stream", {**STREAM_OR_NONE, "description": "Only this stream."})

NAMED = query("named", text("`0` leaves the `event` line out.", enum=["0", "1"], default="1"))

STATUS = query("status", text("Only these streams.", enum=[status.value for status in Status]))
BEFORE = query("before", number("Streams whose last position is below it."))
AFTER = query("after", number("Streams whose last position is above it."))

FOLLOWING = (SINCE, KINDS, EPOCH, NAMED)
READING = (SINCE, LIMIT, KINDS, EPOCH, ON_GAP)

STREAM_NAME: Schema = {
    "type": "string",
    "pattern": whole_pattern(STREAM.pattern),
    "maxLength": MAX_STREAM,
    "description": "The stream's name.",
    "example": "run-42",
}


def in_path(name: str) -> Schema:
    """A variable of the path: the stream's name, or one of the project's own prefix."""
    known = {
        "name": STREAM_NAME,
        "action": text("The step.", enum=list(lifecycle.KINDS)),
    }
    schema = known.get(name) or text("")
    return {**query(name, schema), "in": "path", "required": True}
