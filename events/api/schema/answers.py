"""What comes back: a schema for each status code."""

from __future__ import annotations

from dataclasses import dataclass, field

from .components import Schema, number, ref, text


@dataclass(frozen=True)
class Answer:
    """One status code's answer. `line` is the schema of a line of NDJSON; `media` is said where
    it is not what the view renders; without a schema there is no body."""

    description: str
    schema: Schema | None = None
    headers: dict[str, Schema] = field(default_factory=dict)
    line: Schema | None = None
    media: str | None = None


def header(schema: Schema, *, required: bool = True) -> Schema:
    schema = dict(schema)
    return {"description": schema.pop("description"), "schema": schema, "required": required}


CURSOR_HEADERS = {
    "X-Events-Last-Idx": header(number("The cursor: what to pass as `since` next.")),
    "X-Events-Head": header(number("The newest position in the log.")),
    "X-Events-Epoch": header(text("The log's identity.")),
}
PAGE_HEADERS = {
    **CURSOR_HEADERS,
    "X-Events-Gap": header(
        text(
            "NDJSON only: what was missed before the first line, as JSON (see the schema of a gap)."
        ),
        required=False,
    ),
}
RETRY_AFTER = {"Retry-After": header(number("Seconds until another try."), required=False)}

ERROR = ref("Error")
# A query string with too many parameters is no single parameter's fault.
BAD_QUERY = Answer("A parameter is not valid.", {"oneOf": [ref("FieldErrors"), ERROR]})
BAD_BODY = Answer(
    "The body is no JSON, or an event breaks a rule. Nothing was stored.",
    {"oneOf": [ref("FieldErrors"), ref("ItemErrors"), ERROR]},
)

# Any request may be answered so.
COMMON = {
    400: BAD_QUERY,
    401: Answer("Sign in first.", ERROR),
    403: Answer("The policy does not allow it.", ERROR),
    404: Answer("There is no such log.", ERROR),
    406: Answer("None of the accepted media types can be had.", ERROR),
    429: Answer("Too many requests, where the project counts them.", ERROR, RETRY_AFTER),
    503: Answer("The log is busy. Try again.", ERROR, RETRY_AFTER),
}
NO_STREAM = Answer("There is no such log or stream, or the policy hides the stream.", ERROR)
GONE = Answer("`on_gap=error`, and entries after the cursor are gone.", ref("GoneError"))

PAGE = Answer(
    "A page; as NDJSON, one entry a line up to the head, or as many as `limit` says.",
    ref("Page"),
    PAGE_HEADERS,
    line=ref("Entry"),
)
READING = {200: PAGE, **COMMON, 404: NO_STREAM, 410: GONE}
LIVE = {
    200: Answer(
        "Frames of `id`, `event` and `data`, where `data` is an entry; `gap` and `end` are events "
        "as well. A comment is a heartbeat.",
        {"type": "string"},
        CURSOR_HEADERS,
        media="text/event-stream",
    ),
    204: Answer("The stream has ended, and this cursor is at its end: do not come back."),
    **COMMON,
    404: NO_STREAM,
    501: Answer("The site is served through WSGI.", ERROR),
}
WRITING = {
    **COMMON,
    400: BAD_BODY,
    409: Answer("The key stands for another event, or the stream has ended.", ERROR),
    413: Answer("The body is too large.", ERROR),
    415: Answer("The body is not sent as JSON.", ERROR),
}
