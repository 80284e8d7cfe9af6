"""What requests say in their headers, checked."""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import unquote

from ..exceptions import InvalidEvent
from ..types import to_micros
from ..validation import MAX_INTEGER, valid_stream
from .creating import Wanted
from .models import MAX_PRODUCER, MAX_SEQ
from .protocol import Producer, Write
from .refusals import TRUE, Invalid, Missing

PRODUCER = ("Producer-Id", "Producer-Epoch", "Producer-Seq")
# Seconds; three hundred years.
LONGEST = 10**10
# Of paths that the protocol keeps for subscriptions, which are not served.
RESERVED = "__ds"

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def name_of(path: str) -> str:
    """The stream at a path: `a/b` is `a:b`. Missing if there can be none; a colon is refused, so that
    no two paths are one stream."""
    try:
        if ":" in path or path.split("/", 1)[0] == RESERVED or not path:
            raise InvalidEvent("stream", "is no path of a stream")
        return valid_stream(path.replace("/", ":"))
    except InvalidEvent as error:
        raise Missing(str(error)) from None


def source_of(address: str, root: str) -> str:
    path = unquote(address)
    if not path.startswith(root):
        raise Missing("Stream-Forked-From is no path of a stream")
    return name_of(path.removeprefix(root))


def wanted(headers: Mapping[str, str], data: bytes, root: str) -> Wanted:
    """What a PUT asks for."""
    ttl, expires = headers.get("Stream-TTL"), headers.get("Stream-Expires-At")
    if ttl is not None and expires is not None:
        raise Invalid("give Stream-TTL or Stream-Expires-At, not both")
    forked, sub_offset = headers.get("Stream-Forked-From"), headers.get("Stream-Fork-Sub-Offset")
    fork_offset = headers.get("Stream-Fork-Offset")
    if forked is None and (fork_offset is not None or sub_offset is not None):
        raise Invalid("Stream-Fork-Offset needs Stream-Forked-From")
    return Wanted(
        content_type=headers.get("Content-Type") or None,
        data=data,
        ttl=None if ttl is None else number("Stream-TTL", ttl, LONGEST),
        expires=expires or "",
        expires_at=None if expires is None else moment(expires),
        closed=is_true(headers),
        source=None if forked is None else source_of(forked, root),
        fork_offset=fork_offset,
        sub_offset=0 if sub_offset is None else number("Stream-Fork-Sub-Offset", sub_offset),
    )


def write(headers: Mapping[str, str], data: bytes) -> Write:
    """What a POST asks for."""
    seq = headers.get("Stream-Seq")
    if seq is not None and not is_text(seq, MAX_SEQ):
        raise Invalid(f"Stream-Seq must be 1 to {MAX_SEQ} characters, and no NUL")
    return Write(
        headers.get("Content-Type") or None, data, is_true(headers), producer(headers), seq
    )


def producer(headers: Mapping[str, str]) -> Producer | None:
    given = [headers.get(name) for name in PRODUCER]
    if given == [None] * 3:
        return None
    id, epoch, seq = given
    if id is None or epoch is None or seq is None:
        raise Invalid(f"give all of {', '.join(PRODUCER)}, or none")
    if not is_text(id, MAX_PRODUCER):
        raise Invalid(f"Producer-Id must be 1 to {MAX_PRODUCER} characters, and no NUL")
    return Producer(id, number("Producer-Epoch", epoch), number("Producer-Seq", seq))


def is_text(text: str, most: int) -> bool:
    return 1 <= len(text) <= most and "\0" not in text


def number(name: str, text: str, most: int = MAX_INTEGER) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise Invalid(f"{name} must be a whole number from 0, at most {most}")
    return int(text)


def moment(text: str) -> int:
    """An RFC 3339 time, in microseconds."""
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        return to_micros(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise Invalid("Stream-Expires-At must be like 2030-01-31T12:00:00Z") from None


def is_true(headers: Mapping[str, str]) -> bool:
    return headers.get("Stream-Closed", "").lower() == TRUE
