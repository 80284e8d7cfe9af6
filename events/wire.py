"""The one encoding of an entry, used by every transport, so that all send the same bytes."""

from __future__ import annotations

import json

from .types import Row, from_micros, wire_time

# Compact, in the writer's order, characters as they are: what is measured against
# MAX_PAYLOAD_BYTES is what is stored and what is sent.
dumps = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def encode(row: Row) -> bytes:
    """One entry as compact JSON. The payload's text is passed on as it was stored."""
    return (
        f'{{"position":{row.position},"kind":"{row.kind}","stream":"{row.stream}",'
        f'"seq":{row.seq or "null"},"timestamp":"{wire_time(from_micros(row.micros))}",'
        f'"payload":{row.text}}}'
    ).encode()
