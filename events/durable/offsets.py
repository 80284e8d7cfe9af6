"""Where a reader stands: a position in the log, and whose positions those are.

`{52 bits of the log's epoch:016d}_{position:016d}`, the position that was consumed. As texts they
sort as positions do, all streams and their forks share them, and after another life of the log
an old one is known to be old.
"""

import re
import time
from typing import NamedTuple

from ..cursors import State
from .refusals import Invalid

OFFSET = re.compile(r"([0-9]{16})_([0-9]{16})")
START, NOW = "-1", "now"

# The cursor that has caches join readers who wait: the number of such an interval, in seconds,
# since this moment.
INTERVAL, SINCE = 20, 1_728_432_000


class Offset(NamedTuple):
    epoch: int
    position: int


def parse(text: str) -> Offset | str:
    """An offset, START or NOW."""
    if text in (START, NOW):
        return text
    found = OFFSET.fullmatch(text)
    if found is None:
        raise Invalid("the offset must be -1, now, or one that this server has given")
    offset = Offset(int(found[1]), int(found[2]))
    return offset if any(offset) else START


def number(epoch: str) -> int:
    """What stands for a log's epoch."""
    return int(epoch, 16) >> 12


def is_of(offset: Offset, state: State) -> bool:
    """Does an offset mean the same place in the log as it stands now?"""
    return any(
        number(epoch) == offset.epoch and state.goes_on(epoch, offset.position)
        for epoch in (state.epoch, *(epoch for epoch, _ in state.terms))
    )


def shown(epoch: str, position: int) -> str:
    return f"{number(epoch):016}_{position:016}"


def next_cursor(echoed: str | None) -> str:
    """Beyond the one that a reader echoes, so that no cache answers it with what it has."""
    now = int(time.time() - SINCE) // INTERVAL
    if echoed is not None and echoed.isascii() and echoed.isdigit() and len(echoed) < 16:
        now = max(now, int(echoed) + 1)
    return str(now)
