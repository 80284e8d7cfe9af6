"""Counting, for whoever looks at a log as a whole: how it stands, and what came when.

Nothing here grows with the log, and nothing is sequenced: a page that drained the outbox by looking
at it would never show that it is not drained.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

from ...lifecycle import STEPS
from ...types import Status, from_micros
from ..clock import SKEW
from ..figures import BOUND, GRACE, Figures, Moment, Stretch
from .dialects import Dialect
from .outbox import BACKLOG, bounded, set_aside_rows
from .pages import Snapshot
from .rows import LOG_ID, chunks
from .times import positions_at

# The newest events, up to so many, are counted one by one; older ones are sampled, so many from
# each stretch.
EXACT, SAMPLE = 20_000, 50

ROWS = f"FROM events_event WHERE log_id = {LOG_ID}"

ASKED = {
    **BACKLOG,
    "first": f"SELECT position {ROWS} ORDER BY position LIMIT 1",  # nosec B608 # our own words, here and below
    "first_at": f"SELECT timestamp {ROWS} ORDER BY position LIMIT 1",  # nosec B608
    "oldest": f"SELECT position {ROWS} AND position > %(floor)s ORDER BY position LIMIT 1",  # nosec B608
    "oldest_at": f"SELECT timestamp {ROWS} AND position > %(floor)s ORDER BY position LIMIT 1",  # nosec B608
    "newest": f"SELECT position {ROWS} AND position > %(floor)s ORDER BY position DESC LIMIT 1",  # nosec B608
    "newest_at": f"SELECT timestamp {ROWS} AND position > %(floor)s ORDER BY position DESC LIMIT 1",  # nosec B608
    **{
        status.value: bounded(
            f"FROM events_stream WHERE log_id = {LOG_ID} AND status = '{status.value}'"
        )
        for status in (Status.RUNNING, Status.WAITING)
    },
    # Those that were silent for longest come first, so a bounded look finds the overdue ones.
    "idle": "SELECT COUNT(*) FROM (SELECT last_event_at, idle_timeout FROM events_stream "
    f"WHERE log_id = {LOG_ID} AND status = 'running' ORDER BY last_position LIMIT {BOUND + 1}) "
    "AS silent WHERE last_event_at + idle_timeout * 1000000 < %(overdue)s",  # nosec B608
    "latest": "SELECT latest FROM events_log WHERE name = %(log)s",
    "deletions": bounded(f"FROM events_deletion WHERE log_id = {LOG_ID}"),
}


def figures(
    cursor: CursorWrapper, log: str, now: int, most: int | None, standing: Snapshot
) -> Figures:
    """Of a log that stands there, and is to have so many entries at the `most`."""
    head, floor = standing.state[:2]
    names = list(ASKED)
    cursor.execute(
        f"SELECT {', '.join(f'({ASKED[name]})' for name in names)}",  # nosec B608 # our own words
        {"log": log, "floor": floor, "overdue": now - GRACE * 1_000_000},
    )
    found = dict(zip(names, cursor.fetchone(), strict=True))
    count = standing.resident
    first = found["first"] or head + 1
    latest = found["latest"] or 0
    return Figures(
        now=now,
        head=head,
        floor=floor,
        # What a pruning that was cut short has left below the floor goes as well.
        expired=max(0, floor - first + 1),
        count=count,
        beyond=0 if most is None else max(0, count - most),
        has_holes=standing.removed > 0,
        oldest=moment(found["oldest"], found["oldest_at"]),
        newest=moment(found["newest"], found["newest_at"]),
        oldest_age=max(0, now - (found["first_at"] or now)) / 1_000_000,
        pending_age=max(0, now - (found["pending_since"] or now)) / 1_000_000,
        set_aside=set_aside_rows(cursor, log) if found["refused"] else [],
        **{
            name: found[name]
            for name in ("pending", "first_pending", "refused", "running", "waiting", "idle")
        },
        deletions=found["deletions"],
        ahead=latest if latest - now > SKEW else 0,
    )


def moment(position: int | None, micros: int | None) -> Moment | None:
    return None if position is None or micros is None else Moment(position, from_micros(micros))


class Part(NamedTuple):
    """A stretch by its positions: those after one and up to another."""

    number: int
    after: int
    upto: int
    exact: bool

    @property
    def width(self) -> int:
        return self.upto - self.after


def stretches(
    cursor: CursorWrapper,
    dialect: Dialect,
    log: str,
    edges: Sequence[int],
    cutoff: int | None,
    stream: str | None = None,
) -> list[Stretch]:
    """What came between each two moments that follow one another, in a log or in a stream of it;
    entries from before `cutoff` have expired."""
    floor, *places = positions_at(cursor, dialect, log, [cutoff or 0, *edges])
    places = [max(floor, position) for position in places]
    parts = list(parted(places, length(cursor, log, stream, places) if stream else None))
    kinds: list[Counter[str]] = [Counter() for _ in parts]
    totals: list[int] = [0] * len(parts)
    for number, kind, count, total in counted(cursor, log, parts, stream):
        kinds[number][kind] = count
        totals[number] = total or 0
    made = []
    for (start, end), part, seen, total in zip(pairwise(edges), parts, kinds, totals, strict=True):
        if part.exact:
            made.append(Stretch(start, end, seen.total(), seen))
            continue
        if stream is None:
            # What is missing in the sample went with its stream.
            total = part.width * seen.total() // len(sample(part))
        made.append(Stretch(start, end, total, scaled(seen, total, stream is not None), True))
    return made


def parted(places: Sequence[int], length: int | None) -> Iterator[Part]:
    """The stretches, of which those are counted that have no more than EXACT positions from there
    to the newest; or all of them, in a stream that is no longer than that."""
    newest = places[-1]
    for number, (after, upto) in enumerate(pairwise(places)):
        few = upto - after <= SAMPLE
        yield Part(
            number, after, upto, few or (newest - after if length is None else length) <= EXACT
        )


def length(cursor: CursorWrapper, log: str, stream: str, places: Sequence[int]) -> int:
    """How many events of a stream there are in all of these places; its numbers are dense."""
    found = (
        f"{ROWS} AND stream = %(stream)s AND position > {places[0]} AND position <= {places[-1]}"
    )
    cursor.execute(
        f"SELECT COALESCE((SELECT seq {found} ORDER BY position DESC LIMIT 1) - "
        f"(SELECT seq {found} ORDER BY position LIMIT 1) + 1, 0)",  # nosec B608 # our own numbers
        {"log": log, "stream": stream},
    )
    return int(cursor.fetchone()[0])


def counted(
    cursor: CursorWrapper, log: str, parts: Sequence[Part], stream: str | None
) -> Iterator[tuple[int, str, int, int | None]]:
    """Of each part its number, a kind in it, and how often that is there or in the sample; of one
    that is sampled from a stream, the total as well. Each part for itself: of a list of thousands
    of positions, PostgreSQL may think that reading the whole table is as good."""
    for some in chunks([part for part in parts if part.width]):
        cursor.execute(
            " UNION ALL ".join(counting(part, stream) for part in some),
            {"log": log, **({"stream": stream} if stream else {})},
        )
        yield from cursor.fetchall()


def counting(part: Part, stream: str | None) -> str:
    within = f"position > {part.after} AND position <= {part.upto}"
    total = "NULL"
    if stream is not None:
        within += " AND stream = %(stream)s"
    rows = f"{ROWS} AND {within}"
    if not part.exact and stream is None:
        rows += f" AND position IN ({', '.join(map(str, sample(part)))})"
    elif not part.exact:
        total = (
            f"(SELECT seq {rows} ORDER BY position DESC LIMIT 1) - "
            f"(SELECT seq {rows} ORDER BY position LIMIT 1) + 1"  # nosec B608 # our own numbers
        )
        rows = f"FROM (SELECT kind {rows} ORDER BY position LIMIT {SAMPLE}) AS sampled"  # nosec B608
    return f"SELECT {part.number}, kind, COUNT(*), {total} {rows} GROUP BY kind"  # nosec B608


def sample(part: Part) -> list[int]:
    """The positions to look at: one of each so many, and always the same ones, so that a page that
    is loaded again says the same. Not the first of each: kinds that take turns would hide."""
    width = 1
    while part.width > SAMPLE * width:
        width *= 2
    chosen = (
        place * width + (place * 2_654_435_761 >> 7) % width
        for place in range(part.after // width, part.upto // width + 1)
    )
    return [position for position in chosen if part.after < position <= part.upto]


def scaled(seen: Counter[str], total: int, in_stream: bool) -> dict[str, int]:
    """The counts of a sample, made to add up to the total. A stream takes a step once, so it does
    not stand for others that were not looked at."""
    counts = {kind: seen.pop(kind) for kind in STEPS if in_stream and kind in seen}
    left = total - sum(counts.values())
    looked_at = seen.total()
    for kind, count in seen.most_common():
        counts[kind] = left * count // looked_at
    if seen:
        counts[seen.most_common(1)[0][0]] += total - sum(counts.values())
    return counts
