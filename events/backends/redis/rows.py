"""Entries and streams as Redis has them, and as everybody else does."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...cursors import State, ended_terms
from ...types import Row, Status, StreamInfo, from_micros
from ...validation import Item

HASH = ("head", "floor", "latest", "epoch", "terms")


class Head(NamedTuple):
    """How a log stands, without what has expired. `epoch` is empty if there is no log."""

    state: State
    latest: int


def to_head(found: Sequence[bytes | None]) -> Head:
    head, floor, latest, epoch, terms = found
    ended = ended_terms((terms or b"").decode())
    state = State(int(head or 0), int(floor or 0), (epoch or b"").decode(), ended)
    return Head(state, int(latest or 0))


def to_row(found: Sequence[Any]) -> Row:
    """An entry of a Redis stream. What somebody has put there by hand is a row that nobody can read."""
    position = int(found[0].partition(b"-")[0])
    try:
        _, kind, _, stream, _, seq, _, micros, _, text, _, key, _, context = found[1]
        return Row(
            position,
            kind.decode(),
            stream.decode(),
            int(seq),
            int(micros),
            text.decode(),
            key.decode() or None,
            context.decode() or None,
        )
    except ValueError:
        return Row(position, "", "", 0, 0, "", None)


def to_stream(name: bytes, state: bytes) -> StreamInfo:
    seq, first, last, micros, status, opened, closed, _ = state.decode().split("|")
    return StreamInfo(
        name.decode(),
        Status(status) if status else None,
        int(seq),
        int(first),
        int(last),
        from_micros(int(opened)) if opened else None,
        from_micros(int(closed)) if closed else None,
        from_micros(int(micros)),
    )


def digest(item: Item | Row) -> str:
    """What an event is, whatever the order of its payload's keys."""
    text = json.dumps(json.loads(item.text), sort_keys=True)
    whole = "\0".join((item.kind, item.stream, text)).encode()
    return hashlib.blake2b(whole, digest_size=12).hexdigest()
