"""Rows that somebody has changed by hand, so that nobody can read them.

Every row that we write can be read. To parse each payload again would cost more than the rest of
a page, so a page looks at the ends of the texts, and parses them only where those are odd; the
broker, which reads an entry once for everybody, always does.
"""

import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import NoReturn

from ...types import FIRST, LAST, Row
from ...wire import dumps

logger = logging.getLogger("events")


def rows_seem_sound(rows: Sequence[Row]) -> bool:
    """Is every payload there, and like an object as we write it?"""
    try:
        for row in rows:
            text = row[5]
            if text[-1] != "}" or text[0] != "{" or text[1] not in '"}':
                return False
    except (TypeError, IndexError):
        return False
    return True


def examined(log: str, epoch: str, rows: Sequence[Row]) -> tuple[list[Row], set[int]]:
    """The rows, and the positions of those that cannot be read."""
    sound, bad = [], set()
    for row in rows:
        try:
            sound.append(_parsed(row))
        except (ValueError, TypeError, RecursionError) as error:
            sound.append(row)
            bad.add(row.position)
            _report(log, epoch, row.position, str(error))
    return sound, bad


def _parsed(row: Row) -> Row:
    if not FIRST <= row.micros <= LAST:
        raise ValueError(f"no calendar has the time {row.micros}")
    if not isinstance(row.text, str):
        raise ValueError("the payload is no text")
    payload = _decode(row.text)
    context = _decode(row.context) if row.context else {}
    if not isinstance(payload, dict) or not isinstance(context, dict):
        raise ValueError("the payload or the context is no JSON object")
    # Somebody else's white space could break the lines that entries are sent in.
    return row if row.text[:2] in ('{"', "{}") else row._replace(text=dumps(payload))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_decode = json.JSONDecoder(parse_constant=_refuse).decode


@lru_cache(maxsize=1000)
def _report(log: str, epoch: str, position: int, reason: str) -> None:
    """Once for each row: it is met again and again."""
    logger.error(
        "Log %r: the entry at position %s cannot be read and is passed over: %s",
        log,
        position,
        reason,
    )
