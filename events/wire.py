"""The one encoding of an entry, used by every transport, so that all send the same bytes."""

from collections.abc import Iterable

from .internals import compact_dumps
from .types import Row, wire_micros

# Compact, in the writer's order, characters as they are: what is measured against
# MAX_PAYLOAD_BYTES is what is stored and what is sent.
dumps = compact_dumps()


# Bytes of entries in one page, unless one alone is larger.
PAGE_BYTES = 8 * 2**20
# Bytes of an entry without its kind, stream and payload, at the most; and of those two names.
FRAME = 136
NAMES = 228


def fitting(rows: Iterable[Row]) -> list[Row]:
    """The first of these rows, as many as make a page."""
    size, some = 0, list[Row]()
    for row in rows:
        text = row.text
        size += FRAME + len(row.kind) + len(row.stream)
        size += len(text) if text.isascii() else len(text.encode())
        if some and size > PAGE_BYTES:
            break
        some.append(row)
    return some


def encode(row: Row) -> bytes:
    """One entry as compact JSON."""
    return text(row).encode()


def with_context(row: Row) -> bytes:
    """One entry with its context, for an export: what readers are sent does not have it."""
    return f'{text(row)[:-1]},"context":{row.context or "{}"}}}'.encode()


def text(row: Row) -> str:
    """The same before its encoding, to be put together with others. The payload's text is passed
    on as it was stored; kinds and streams have no character that JSON would escape."""
    return (
        f'{{"position":{row.position},"kind":"{row.kind}","stream":"{row.stream}",'
        f'"seq":{row.seq or "null"},"timestamp":"{wire_micros(row.micros)}",'
        f'"payload":{row.text}}}'
    )
