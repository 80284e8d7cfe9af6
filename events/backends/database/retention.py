"""Letting go of old entries: a floor first, in one small step, then the rows below it.

Readers and writers never meet the deletion itself: it works below the floor, a few rows at a
time, and takes no lock that an append wants.
"""

import time
from operator import methodcaller

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper

from ...models import Deletion, Log
from ..base import DELETE_BATCH, Progress
from .dialects import Dialect
from .lock import LedgerLock
from .times import positions_at
from .transactions import is_transient

# Where streams were deleted, raising the floor has to count the holes that it passes, under
# the lock; so it goes by steps of this many positions.
FLOOR_STEP = 10_000
# Seconds. A batch that takes longer has waited for writers, and the pause after one is no longer.
LONG, LONGEST_PAUSE = 0.05, 0.1


def last_to_go(
    cursor: CursorWrapper, dialect: Dialect, log: Log, cutoff: int | None, max_entries: int | None
) -> int:
    """The position up to which entries are to go: the expired ones, then the oldest of the rest."""
    floor = log.floor
    if cutoff is not None:
        floor = max(floor, *positions_at(cursor, dialect, log.name, [cutoff]))
    if max_entries is None or log.head - floor <= max_entries:
        return floor
    # Without holes the arithmetic will do; with them the entries must be counted.
    return (
        last_beyond(cursor, log.pk, floor, max_entries) if log.removed else log.head - max_entries
    )


def let_go(
    lock: LedgerLock,
    log: Log,
    target: int,
    batch_size: int = DELETE_BATCH,
    progress: Progress | None = None,
) -> int:
    """Remove the entries up to `target`; how many there were."""
    step = FLOOR_STEP if log.removed else target
    floor = log.floor
    while floor < target:
        floor = min(floor + step, target)
        lock.run(methodcaller("raise_floor", floor))
    finish_deletions(lock, log)
    with lock.connection.cursor() as cursor:
        return delete_below(cursor, lock.dialect, log.pk, target, batch_size, progress)


def finish_deletions(lock: LedgerLock, log: Log) -> None:
    """Remove the entries of deleted streams, also of those whose process died over it."""
    for deletion in Deletion.objects.using(lock.alias).filter(log=log):
        while lock.run(methodcaller("delete_entries", deletion.stream, deletion.below)):
            pass
        deletion.delete()


def last_beyond(cursor: CursorWrapper, log_id: int, floor: int, keep: int) -> int:
    """The newest position above `floor` that is not among the `keep` newest entries."""
    cursor.execute(
        "SELECT position FROM events_event WHERE log_id = %s AND position > %s "
        "ORDER BY position DESC LIMIT 1 OFFSET %s",
        [log_id, floor, keep],
    )
    found = cursor.fetchone()
    return found[0] if found else floor


def count_below(cursor: CursorWrapper, log_id: int, target: int) -> int:
    cursor.execute(
        "SELECT COUNT(*) FROM events_event WHERE log_id = %s AND position <= %s", [log_id, target]
    )
    return int(cursor.fetchone()[0])


def delete_below(
    cursor: CursorWrapper,
    dialect: Dialect,
    log_id: int,
    target: int,
    batch_size: int,
    progress: Progress | None,
) -> int:
    """Delete the rows up to `target`, oldest first; each batch commits by itself.

    By primary key, since on MariaDB a range would wait for its neighbours' locks. After each
    batch comes a pause that is a multiple of what the batch took, so that a writer beside it
    finds the disk, and on SQLite the one write lock, mostly free. There a batch is small as well:
    a writer that finds the lock taken sleeps, for longer each time, before it looks again. Where the
    batch itself has to wait, the next one is larger, or writers would add more than goes. The floor
    is looked at each time: if the database was flushed meanwhile, what is there now is not
    what was to go.
    """
    total = count_below(cursor, log_id, target) if progress else 0
    done, after = 0, -1
    size = least = min(batch_size, dialect.delete_most)
    while True:
        began = time.monotonic()
        found = next_to_go(cursor, log_id, after, target, size)
        if not found:
            return done
        try:
            done += dialect.delete(cursor, "events_event", [row[0] for row in found])
        except DatabaseError as error:
            # Two pruners may meet; what this one did not delete it finds again.
            if not is_transient(error):
                raise
            continue
        after = found[-1][1]
        if progress:
            progress(done, max(total, done))
        took = time.monotonic() - began
        size = min(2 * size, 10 * least, batch_size) if took > LONG else max(size // 2, least)
        time.sleep(min(dialect.delete_pause * took, LONGEST_PAUSE))


def next_to_go(
    cursor: CursorWrapper, log_id: int, after: int, target: int, size: int
) -> list[tuple[int, int]]:
    """The next rows of a batch and their positions, none of them above the floor."""
    cursor.execute(
        "SELECT id, position FROM events_event WHERE log_id = %s AND position > %s "
        "AND position <= %s AND position <= (SELECT floor FROM events_log WHERE id = %s) "
        "ORDER BY position LIMIT %s",
        [log_id, after, target, log_id, size],
    )
    return list(cursor.fetchall())
