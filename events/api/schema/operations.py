"""What each endpoint does, in words."""

from __future__ import annotations

from dataclasses import dataclass

from .. import actions, sse, views
from ..base import LogView
from ..items import MAX_ITEMS
from . import answers
from . import parameters as params
from .answers import Answer
from .components import Schema, listed, ref

TAG = "events"

TITLE = "Events"
VERSION = "1"
ABOUT = """\
A durable, resumable log of events. A reader holds one integer, the cursor: it passes the cursor
of the last answer as `since`, and gets what came after it, nothing missing and nothing twice.

**Errors** have one shape. `{"detail": "…"}` says what went wrong, for 400, 401, 403, 404, 405,
406, 409, 413, 415, 429 and 503; with 410 the `gap` stands beside it. Where a parameter or a
field is to blame, the answer is 400 with its name: `{"since": ["…"]}`; for a list of events, a
list of such objects, `{}` for an event that is all right. An error about no field in particular
has the name `non_field_errors`.

**Access** is asked of the log's policy. A stream that one may not read looks like one that does
not exist. Unknown query parameters are ignored; a known one that is repeated is an error,
except `kind`.
"""


@dataclass(frozen=True)
class Operation:
    id: str
    summary: str
    description: str
    parameters: tuple[Schema, ...]
    answers: dict[int, Answer]
    body: Schema | None = None
    body_required: bool = True


OPERATIONS: dict[tuple[type[LogView], str], Operation] = {
    (views.EventsView, "GET"): Operation(
        "events_read",
        "Read on from a cursor",
        "The entries after `since`, oldest first. With `wait` and nothing to read yet, the answer "
        "comes as soon as there is an entry. An entry that retention took is told in `gap`.",
        (params.LOG, *params.READING, params.WAIT, params.STREAM_FILTER),
        answers.READING,
    ),
    (views.EventsView, "POST"): Operation(
        "events_append",
        "Append an event, or several",
        f"One event, or a list of up to {MAX_ITEMS} of which all are stored or none. With session "
        "authentication Django asks for a CSRF token.",
        (params.LOG,),
        {
            201: Answer(
                "The entry; for a list, the list of them.",
                {"oneOf": [ref("Entry"), listed(ref("Entry"))]},
            ),
            **answers.WRITING,
        },
        {"oneOf": [ref("Item"), listed(ref("Item"), minItems=1, maxItems=MAX_ITEMS)]},
    ),
    (views.HeadView, "GET"): Operation(
        "events_head",
        "Where the log stands",
        "Cheap, however long the log is.",
        (params.LOG,),
        {200: Answer("The log's bounds.", ref("Head")), **answers.COMMON},
    ),
    (views.StreamsView, "GET"): Operation(
        "events_streams",
        "List the streams",
        "The most recently active first. Follow `next` and `previous`.",
        (params.LOG, params.LIMIT, params.STATUS, params.BEFORE, params.AFTER),
        {200: Answer("A page of streams.", ref("StreamPage")), **answers.COMMON},
    ),
    (views.StreamView, "GET"): Operation(
        "events_stream",
        "One stream",
        "Where it stands: its status, its bounds, and when it was last active.",
        (params.LOG,),
        {200: Answer("The stream.", ref("Stream")), **answers.COMMON, 404: answers.NO_STREAM},
    ),
    (views.StreamEventsView, "GET"): Operation(
        "events_stream_read",
        "Read on in one stream",
        "As for the log; the cursor is a position of the log, not of the stream.",
        (params.LOG, *params.READING, params.WAIT),
        answers.READING,
    ),
    (actions.StreamActionView, "POST"): Operation(
        "events_stream_action",
        "Take a step in a stream's life",
        "`open` it (and make it, if it is not there), have it `wait` and `resume`, or end it for good: "
        "`complete`, `fail`, `stop`. To be there already is no error. With session authentication "
        "Django asks for a CSRF token.",
        (params.LOG,),
        {
            200: Answer("The stream, as it stands then.", ref("Stream")),
            **answers.WRITING,
            404: answers.NO_STREAM,
            409: Answer("The stream cannot take that step from where it is.", answers.ERROR),
        },
        ref("Arguments"),
        body_required=False,
    ),
    (sse.LiveView, "GET"): Operation(
        "events_live",
        "Follow the log",
        "Server-Sent Events: what is stored after `since`, then what comes. A `Last-Event-ID` "
        "beats `since`; one that is no position starts from the beginning. Needs ASGI.",
        (params.LOG, *params.FOLLOWING, params.STREAM_FILTER),
        answers.LIVE,
    ),
    (sse.StreamLiveView, "GET"): Operation(
        "events_stream_live",
        "Follow one stream",
        "As for the log, until the stream ends.",
        (params.LOG, *params.FOLLOWING),
        answers.LIVE,
    ),
}


def find(view: type, method: str) -> Operation | None:
    """The operation of a view, or of the one it is derived from."""
    found = (OPERATIONS.get((base, method)) for base in view.__mro__)
    return next((operation for operation in found if operation), None)
