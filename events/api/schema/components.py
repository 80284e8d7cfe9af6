"""The shapes of what is sent and answered."""

from __future__ import annotations

from typing import Any

from ...parameters import MAX_NUMBER
from ...types import Status
from ...validation import KIND, MAX_KEY, MAX_KIND, RESERVED, STREAM
from ..items import MAX_ITEMS

Schema = dict[str, Any]

# A project has components of its own, and `Entry`, `Item` or `Error` may well be among them.
PREFIX = "Events"

MAX_STREAM = 128
NO_NUL = r"^[^\u0000]*$"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{PREFIX}{name}"}


def nullable(schema: Schema) -> Schema:
    """A reference cannot stand next to anything else, so it goes into an `allOf`."""
    return {**({"allOf": [schema]} if "$ref" in schema else schema), "nullable": True}


def number(description: str, minimum: int = 0, **more: Any) -> Schema:
    return {
        "type": "integer",
        "format": "int64",
        "minimum": minimum,
        "maximum": MAX_NUMBER,
        "description": description,
        **more,
    }


def text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def moment(description: str) -> Schema:
    return text(f"{description}, in UTC.", format="date-time", pattern=TIME)


def record(description: str, **properties: Schema) -> Schema:
    """An object that always has all of its members."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


def listed(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def whole_pattern(pattern: str) -> str:
    return f"^(?:{pattern})$"


KIND_TEXT = {"type": "string", "pattern": whole_pattern(KIND.pattern), "maxLength": MAX_KIND}
STREAM_OR_NONE = {
    "type": "string",
    "pattern": whole_pattern(f"(?:{STREAM.pattern})?"),
    "maxLength": MAX_STREAM,
}
PAYLOAD = {"type": "object", "additionalProperties": True}

ITEM = {
    "type": "object",
    "description": "An event to append.",
    "properties": {
        "kind": {
            **KIND_TEXT,
            "not": {"anyOf": [{"enum": sorted(RESERVED)}, {"pattern": r"^stream\."}]},
            "description": "What happened, in dotted lower snake case: `turn.started`.",
        },
        "payload": nullable(
            {
                **PAYLOAD,
                "description": (
                    "What there is to say about it. Compact and in UTF-8 at most "
                    "`MAX_PAYLOAD_BYTES`; at most 20 containers deep; integers within "
                    "±(2⁵³−1); no NUL and no lone surrogate in a string."
                ),
            }
        ),
        "stream": nullable({**STREAM_OR_NONE, "description": "The stream it belongs to, if any."}),
        "key": nullable(
            text(
                "Makes a retry safe: a key that was used before answers with the first entry.",
                pattern=NO_NUL,
                minLength=1,
                maxLength=MAX_KEY,
            )
        ),
    },
    "required": ["kind"],
    "additionalProperties": False,
}

ENTRY = record(
    "An event with its place in the log.",
    position=number("Its place in the log.", minimum=1),
    kind={**KIND_TEXT, "description": "What happened."},
    stream={**STREAM_OR_NONE, "description": "The stream it belongs to; empty for none."},
    seq=nullable(number("Its place in the stream; null in no stream.", minimum=1)),
    timestamp=moment("When it was stored"),
    payload={**PAYLOAD, "description": "As it was written."},
)

GAP = record(
    "What a reader missed.",
    reason=ref("GapReason"),
    requested=number("The cursor that was given."),
    first_available=number("The position at which the log goes on.", minimum=1),
    lost=number("How many positions of the log are gone, whatever the filter."),
)

PAGE = record(
    "A stretch of the log.",
    results=listed(ref("Entry")),
    cursor=number("What to pass as `since` next."),
    next=nullable(text("The address of what follows; null when caught up.", format="uri")),
    gap=nullable(ref("Gap")),
)

HEAD = record(
    "Where the log stands. What is between `floor` and `head` can be read.",
    log=text("The log's name."),
    epoch=text("The log's identity. Cursors from another epoch mean nothing here."),
    head=number("The newest position; 0 if there was never an entry."),
    floor=number("Entries at and below it are gone."),
    count=number("How many entries are there."),
)

STREAM_INFO = record(
    "A stream as it stands.",
    stream={**STREAM_OR_NONE, "description": "Its name."},
    status=nullable(ref("StreamStatus")),
    seq=number("How many events it has had."),
    first_position=number("The position of its first event.", minimum=1),
    last_position=number("The position of its last event.", minimum=1),
    opened_at=nullable(moment("When it was opened")),
    closed_at=nullable(moment("When it ended")),
    last_event_at=moment("When its last event was stored"),
)

STREAM_PAGE = record(
    "Streams, the most recently active first.",
    next=nullable(text("The address of those before these in time.", format="uri")),
    previous=nullable(text("The address of those after them.", format="uri")),
    results=listed(ref("Stream")),
)

FIELD_ERRORS: Schema = {
    "type": "object",
    "description": "What is wrong, by the name of the field or parameter.",
    "additionalProperties": listed({"type": "string"}, minItems=1),
}

ARGUMENTS: Schema = {
    "type": "object",
    "description": "What there is to say about the step; for each step only its own.",
    "properties": {
        "idle_timeout": nullable(
            {
                "type": "number",
                "minimum": 0.001,
                "description": "open: seconds of silence after which it fails; null for never.",
            }
        ),
        "payload": nullable({**PAYLOAD, "description": "complete: the payload of its event."}),
        "reason": text("fail, stop: why.", pattern=NO_NUL),
    },
    "additionalProperties": False,
}

COMPONENTS: dict[str, Schema] = {
    "Arguments": ARGUMENTS,
    "Entry": ENTRY,
    "Error": record("What went wrong.", detail=text("For a person to read.")),
    "FieldErrors": FIELD_ERRORS,
    "Gap": GAP,
    # Enumerations stand apart: drf-spectacular would move them, and rename a project's own.
    "GapReason": text("Why entries are missing.", enum=["pruned", "ahead", "epoch"]),
    "GoneError": record("What went wrong, and what is gone.", detail=text(""), gap=ref("Gap")),
    "Head": HEAD,
    "Item": ITEM,
    "ItemErrors": {
        **listed(ref("FieldErrors"), minItems=1, maxItems=MAX_ITEMS),
        "description": "What is wrong, one object for each event that was sent; `{}` if nothing.",
    },
    "Page": PAGE,
    "Stream": STREAM_INFO,
    "StreamPage": STREAM_PAGE,
    "StreamStatus": text("Null if it was never opened.", enum=[status.value for status in Status]),
}
