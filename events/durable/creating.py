"""A PUT: make a stream, or find the same one there. It may be a fork of another."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..context import current
from ..lifecycle import KINDS
from ..log import EventLog
from ..validation import Item
from ..wire import dumps
from . import content, offsets, reading
from .models import Durable
from .protocol import Answer, closing, expire, is_closed, tail_of
from .refusals import Conflicting, Invalid, Lost, Missing

# Streams from the first source to the last fork: a read looks at each, and so does what deletes.
LONGEST_CHAIN = 100


@dataclass(frozen=True)
class Wanted:
    """What a PUT asks for."""

    content_type: str | None = None
    data: bytes = b""
    ttl: int | None = None
    expires: str = ""
    # The same in microseconds.
    expires_at: int | None = None
    closed: bool = False
    source: str | None = None
    fork_offset: str | None = None
    sub_offset: int = 0


class Fork(NamedTuple):
    """Where a new stream leaves its source, and the bytes of a request that it takes half of."""

    source: Durable
    at: int
    piece: bytes


def create(log: EventLog, name: str, wanted: Wanted) -> Answer:
    """201 for a new stream; 200 if it is there and was asked for in the same words."""
    fork = None if wanted.source is None else fork_of(log, wanted.source, wanted)
    asked_type = fork.source.content_type if fork and not wanted.content_type else None
    content_type = asked_type or wanted.content_type or content.BYTES
    media = content.media_type(content_type)
    if fork and media != content.media_type(fork.source.content_type):
        raise Conflicting("a fork has the content type of its source")
    asked = dumps(
        [media, wanted.ttl, wanted.expires, wanted.source, wanted.fork_offset, wanted.sub_offset]
    )
    context = current()
    items = content.items(name, content_type, fork.piece if fork else b"", log.settings, context)
    items += content.items(name, content_type, wanted.data, log.settings, context)
    return log.backend.locked(  # type: ignore[attr-defined,no-any-return]
        partial(_create, log, name, wanted, asked, content_type, fork, items)
    )


def _create(
    log: EventLog,
    name: str,
    wanted: Wanted,
    asked: str,
    content_type: str,
    fork: Fork | None,
    items: list[Item],
    ledger: Any,
) -> Answer:
    rows = reading.rows_of(log)
    row = rows.filter(name=name).first()
    if row is not None and not row.deleted and reading.is_expired(row, ledger.clock):
        row = expire(ledger, row)
    stream = ledger.stream(name)
    if row is not None or stream is not None:
        return _found(ledger, row, stream, asked, wanted.closed)
    ttl, expires, deadline = lifetime(wanted, fork, ledger.clock)
    if fork and not rows.filter(pk=fork.source.pk, deleted=False).exists():
        raise Conflicting("the stream to fork is deleted")
    opened = Item(KINDS["open"], name, "{}", None, context=current())
    [first] = ledger.append([opened])
    tail = (ledger.append(items) or [first])[-1].position
    if wanted.closed:
        ledger.append([closing(name)])
    row = rows.create(
        log=log.name,
        name=name,
        content_type=content_type,
        asked=asked,
        ttl=ttl,
        expires=expires,
        deadline=deadline,
        born=first.position,
        final=tail if wanted.closed else None,
        source=fork.source if fork else None,
        forked_at=fork.at if fork else None,
    )
    return Answer(201, offsets.shown(ledger.epoch, tail), row, wanted.closed)


def _found(ledger: Any, row: Durable | None, stream: Any, asked: str, closed: bool) -> Answer:
    if row is None:
        raise Conflicting("the log has a stream of this name")
    if row.deleted:
        raise Conflicting("the stream is deleted, and has forks")
    if row.asked != asked or is_closed(stream) != closed:
        raise Conflicting("the stream is there, and was asked for in other words")
    tail = tail_of(row, stream)
    return Answer(200, offsets.shown(ledger.epoch, tail), row, closed)


def lifetime(wanted: Wanted, fork: Fork | None, now: int) -> tuple[int | None, str, int | None]:
    """TTL, expiry and deadline: what was asked for, or else the source's."""
    if wanted.ttl is None and not wanted.expires and fork:
        ttl, expires = fork.source.ttl, fork.source.expires
        deadline = fork.source.deadline
    else:
        ttl, expires, deadline = wanted.ttl, wanted.expires, wanted.expires_at
    return ttl, expires, deadline if ttl is None else now + ttl * 1_000_000


def fork_of(log: EventLog, name: str, wanted: Wanted) -> Fork:
    """Where the fork begins. What is before that does not change, so it needs no lock."""
    try:
        view = reading.find(log, name)
    except Lost as error:
        raise Conflicting(str(error)) from None
    if not view.is_durable:
        raise Missing("only a stream that was made by a PUT can be forked")
    if len(view.segments) >= LONGEST_CHAIN:
        raise Conflicting(f"a chain of forks has at most {LONGEST_CHAIN} streams")
    at = view.tail
    if wanted.fork_offset is not None:
        offset = offsets.parse(wanted.fork_offset)
        try:
            start = view.start(offset)
        except Lost as error:
            raise Invalid(f"Stream-Fork-Offset: {error}") from None
        at = view.segments[0].after if start is None else start
        if at > view.tail:
            raise Invalid("Stream-Fork-Offset is beyond the end of the source")
    return into(view, at, wanted.sub_offset)


def into(view: reading.View, at: int, sub_offset: int) -> Fork:
    """So many messages, or bytes of one request, beyond an offset."""
    piece = b""
    rows = view.page(at).rows if sub_offset else []
    if content.is_json(view.row.content_type):
        if sub_offset > len(rows):
            raise Invalid("Stream-Fork-Sub-Offset is beyond the last message")
        at = rows[sub_offset - 1].position if sub_offset else at
        return Fork(view.row, at, piece)
    for row in rows:
        data = content.bytes_of(row)
        if sub_offset < len(data):
            return Fork(view.row, at, data[:sub_offset])
        at, sub_offset = row.position, sub_offset - len(data)
        if not sub_offset or not content.has_more(row):
            break
    if sub_offset:
        raise Invalid("Stream-Fork-Sub-Offset is beyond the data of that request")
    return Fork(view.row, at, piece)
