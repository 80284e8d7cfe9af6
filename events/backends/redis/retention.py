"""Letting go of old entries, a few at a time from the oldest on. Nothing is ever stored below the floor."""

from ...types import new_epoch
from ..base import Progress
from .client import Client
from .rows import to_row
from .scripts import PRUNE, Keys, call


def let_go(
    client: Client,
    keys: Keys,
    upto: int,
    most: int | None,
    batch_size: int,
    progress: Progress | None = None,
    total: int = 0,
) -> int:
    """Remove the entries up to a position; with `most`, only so many. How many went.

    With all that were to go, the floor goes up to the position itself.
    """
    done = 0
    while True:
        size = batch_size if most is None else min(batch_size, most - done)
        [found] = call(client, ("XRANGE", keys.entries, "-", f"{upto}-0", "COUNT", max(1, size)))
        rows = [to_row(row) for row in found][:size]
        is_last = len(rows) < batch_size
        if not rows and most is not None:
            return done
        last = rows[-1].position if rows else upto
        floor = upto if is_last and most is None else last
        streams = {row.stream for row in rows if row.stream}
        used = [keys.log, keys.entries, keys.used, *map(keys.positions, streams)]
        arguments = [new_epoch(), last, floor, keys.list_width]
        done += int(PRUNE.run(client, used, arguments))
        if progress:
            progress(done, max(total, done))
        if is_last or done == most:
            return done


def count_up_to(client: Client, keys: Keys, floor: int, upto: int, is_dense: bool) -> int:
    """How many entries there are from the floor to a position."""
    if is_dense:
        return max(0, upto - floor)
    count, after = 0, floor
    while True:
        [found] = call(client, ("XRANGE", keys.entries, f"({after}-0", f"{upto}-0", "COUNT", 1000))
        count += len(found)
        if len(found) < 1000:
            return count
        after = int(found[-1][0].partition(b"-")[0])
