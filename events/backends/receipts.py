"""An append inside a transaction of the caller's: what it can answer before the commit.

A receipt, because nobody knows a position yet; or the entry that has the key already.
"""

import json
import logging
from collections.abc import Mapping, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import KeyConflict, StreamClosed
from ..internals import in_test_case_only
from ..lifecycle import STEPS, next_status
from ..types import TERMINAL, Entry, Row, Status
from ..validation import Item

logger = logging.getLogger("events")


def in_callers_atomic(connection: BaseDatabaseWrapper) -> bool:
    """Is a transaction open that is not just Django's TestCase around a test?

    What a test emits is readable at once, as it would be in production.
    """
    return connection.in_atomic_block and not in_test_case_only(connection)


def defer(
    items: Sequence[Item], entries: Mapping[str, Row], waiting: Mapping[str, Item], now: int
) -> tuple[list[Entry], list[Item]]:
    """The answers to an append, and the items that now have to wait for the commit.

    `entries` and `waiting` are what is known of the items' keys: of two open transactions with
    one key, whoever gives out positions decides.
    """
    waiting = dict(waiting)
    answers, new = [], []
    for item in items:
        key = item.key
        first = None if key is None else entries.get(key)
        if first is not None:
            check_same(item, first)
            answers.append(Entry.lazy(first))
            continue
        if key is not None and key in waiting:
            check_same(item, waiting[key])
        else:
            new.append(item)
            if key is not None:
                waiting[key] = item
        answers.append(receipt(item, now))
    return answers, new


def receipt(item: Item, micros: int) -> Entry:
    return Entry.lazy(item.at(0, 0, micros))


def follow_statuses(items: Sequence[Item], statuses: dict[str, Status | None]) -> bool:
    """Lead the statuses on, and refuse what a stream does not allow. False if all that the items
    are is a step to where their stream is already."""
    before = dict(statuses)
    for item in items:
        status = statuses.get(item.stream)
        if item.kind in STEPS:
            statuses[item.stream] = next_status(item.kind, item.stream, status) or status
        elif status in TERMINAL:
            raise StreamClosed(f"the stream {item.stream!r} has {status}; nothing was stored")
    return statuses != before or not any(item.kind in STEPS for item in items)


def check_same(item: Item, first: Row | Item) -> None:
    """A key used again must stand for the same event."""
    same = (item.kind, item.stream) == (first.kind, first.stream)
    if not (same and _same_json(item.text, first.text)):
        raise KeyConflict(
            f"the key {item.key!r} was used before, for another event: a {first.kind!r}"
            + (f" in stream {first.stream!r}" if first.stream else "")
        )


def _same_json(one: str, other: str) -> bool:
    """Equal but for the order of keys, which says nothing in JSON."""
    return one == other or _sorted(one) == _sorted(other)


def _sorted(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def warn(log: str, stream: str, status: str) -> None:
    """What is committed is not lost, even if its stream has ended in the meantime."""
    logger.warning(
        "Log %r: a transaction committed an event of stream %r after that had %s.",
        log,
        stream,
        status,
    )
