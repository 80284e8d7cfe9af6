"""Messages and bytes as events, and back.

    JSON    durable.message {"data": <any JSON>}                            one event a message
    bytes   durable.chunk {"text": "…"} or {"base64": "…"}, "more": true    as many as there have to be

`more` says that the next chunk is of the same request. In a stream of JSON, an event of any other
kind reads as its wire form; what tells of the stream's own life is no message.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.utils.json import strict_constant

from .. import wire
from ..conf import LogSettings
from ..exceptions import InvalidEvent
from ..lifecycle import KINDS, STEPS
from ..types import Row
from ..validation import Item, valid_payload
from .models import MAX_TYPE
from .refusals import Invalid, TooLarge

RESERVED = "durable."
MESSAGE, CHUNK = "durable.message", "durable.chunk"
JSON, BYTES = "application/json", "application/octet-stream"

# Messages of one request: they are appended under one lock, for less time than others wait for it.
MAX_MESSAGES = 100_000

# What stands around a chunk's bytes, and around a message's JSON.
AROUND = len('{"base64":"","more":true}')
BEFORE, AFTER = len('{"data":'), len("}")
# What a chunk must not have as text: the log keeps no NUL.
NUL = b"\0"

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_LINE = re.compile(r"\r\n|\r|\n")


def media_type(content_type: str) -> str:
    """`application/json` of `Application/JSON; charset=utf-8`."""
    media = content_type.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(media) or len(content_type) > MAX_TYPE or not content_type.isprintable():
        raise Invalid("the content type must be like application/json")
    return media


def is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == JSON


def is_text(content_type: str) -> bool:
    """Does it go into Server-Sent Events as it is?"""
    return is_json(content_type) or content_type.lower().startswith("text/")


# Into the log


def items(
    name: str, content_type: str, data: bytes, settings: LogSettings, context: str | None
) -> list[Item]:
    """The events of a request's body."""
    if not data:
        return []
    if is_json(content_type):
        values = parsed(data)
        if len(values) > MAX_MESSAGES:
            raise TooLarge(f"a request may have {MAX_MESSAGES} messages, and no more")
        return messages(name, values, settings, context)
    return [
        Item(CHUNK, name, text, None, context=context)
        for text in chunks(data, settings.max_payload_bytes)
    ]


def parsed(data: bytes) -> list[Any]:
    """A body of JSON: the members of an array, or one value."""
    try:
        value = json.loads(data.decode(), parse_constant=strict_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {error}") from None
    return value if isinstance(value, list) else [value]


def messages(
    name: str, values: Iterable[Any], settings: LogSettings, context: str | None
) -> list[Item]:
    return [
        Item(MESSAGE, name, message(value, settings), None, context=context) for value in values
    ]


def message(value: Any, settings: LogSettings) -> str:
    try:
        return valid_payload({"data": value}, settings.max_payload_bytes, settings.encoder)
    except InvalidEvent as error:
        if "bytes as JSON" in error.rule:
            raise TooLarge(f"a message {error.rule}") from None
        raise Invalid(str(error)) from None


def chunks(data: bytes, most: int) -> list[str]:
    """The payloads of a body's bytes, each as large as an event may be."""
    step = max(4, (most - AROUND) // 4 * 3)
    found: list[str] = []
    start = 0
    while start < len(data):
        end = start + step
        # Not within a character.
        while end < len(data) and end > start + step - 3 and data[end] & 0xC0 == 0x80:
            end -= 1
        found.append(chunk(data[start:end], end < len(data), most))
        start = end
    return found


def chunk(piece: bytes, more: bool, most: int) -> str:
    rest: dict[str, Any] = {"more": True} if more else {}
    try:
        text = "" if NUL in piece else wire.dumps({"text": piece.decode(), **rest})
    except UnicodeDecodeError:
        text = ""
    if text and len(text.encode()) <= most:
        return text
    return wire.dumps({"base64": base64.b64encode(piece).decode(), **rest})


# Out of it


def is_data(row: Row, durable: bool) -> bool:
    """Is this entry something to read? A stream of the log's own also tells of its life."""
    return not durable or row.kind not in STEPS


def ends(row: Row) -> bool:
    return row.kind in (KINDS["complete"], KINDS["fail"], KINDS["stop"])


def json_of(row: Row) -> str:
    """A message as it was written: nothing is parsed for it."""
    return row.text[BEFORE:-AFTER] if row.kind == MESSAGE else wire.text(row)


def bytes_of(row: Row) -> bytes:
    if row.kind != CHUNK:
        return b""
    payload = json.loads(row.text)
    if "text" in payload:
        return str(payload["text"]).encode()
    return base64.b64decode(payload["base64"])


def has_more(row: Row) -> bool:
    return row.kind == CHUNK and row.text.endswith('"more":true}')


def body(content_type: str, rows: Iterable[Row]) -> bytes:
    """What a reader gets for these entries."""
    if is_json(content_type):
        return f"[{','.join(map(json_of, rows))}]".encode()
    return b"".join(map(bytes_of, rows))


# As Server-Sent Events


def frame(content_type: str, rows: list[Row]) -> str:
    """An event of one batch. Each line of the data is a line of its own, however it ends: nobody's
    data ends an event, or begins another."""
    data = body(content_type, rows)
    if not data or not rows:
        return ""
    if not is_text(content_type):
        return f"event: data\ndata:{base64.b64encode(data).decode()}\n\n"
    lines = _LINE.split(data.decode(errors="replace"))
    return "event: data\n" + "".join(f"data:{line}\n" for line in lines) + "\n"


def payloads(content_type: str, rows: list[Row]) -> str:
    """Each message alone, as chat front ends want it."""
    return "".join(f"data: {text}\n\n" for text in texts(content_type, rows))


def texts(content_type: str, rows: list[Row]) -> Iterator[str]:
    if is_json(content_type):
        yield from (row.text[BEFORE:-AFTER] if row.kind == MESSAGE else row.text for row in rows)
        return
    for row in rows:
        text = bytes_of(row).decode(errors="replace")
        yield "\ndata: ".join(_LINE.split(text))
