"""The position of a log at a moment. Times rise with positions, so it is found by halving over
positions: some 20 look-ups, and no index on time, which every append would have to write."""

from collections.abc import Sequence
from math import inf

from django.db.backends.utils import CursorWrapper

from .dialects import Dialect
from .rows import LOG_ID, chunks

# Where each round trip is one step: look-ups in one of them, shared by the moments.
PROBES = 32


def halving(moments: str) -> str:
    """The last position above the floor whose entry is from before each of these moments, or the
    floor itself, as a common table `found`."""
    return f"""found (moment, position, width) AS (
    SELECT moment, floor, head - floor FROM events_log, ({moments}) AS asked
    WHERE name = %(log)s
    UNION ALL
    SELECT moment, COALESCE((
        SELECT CASE WHEN timestamp < moment THEN events_event.position END FROM events_event
        WHERE log_id = {LOG_ID} AND events_event.position >= found.position + ((width + 1) >> 1)
        ORDER BY events_event.position LIMIT 1), found.position), width >> 1
    FROM found WHERE width > 0
)"""  # nosec B608 # our own words


# Of one moment, %(before)s.
EXPIRED = halving("SELECT %(before)s AS moment")


def positions_at(
    cursor: CursorWrapper, dialect: Dialect, log: str, moments: Sequence[int]
) -> list[int]:
    """The last position before each of these moments; the floor, if there is none."""
    if not dialect.seeks_by_subquery:
        return searched(cursor, log, moments) if moments else []
    found: dict[int, int] = {}
    for some in chunks(moments):
        asked = " UNION ALL ".join(f"SELECT {moment} AS moment" for moment in some)
        cursor.execute(
            f"WITH RECURSIVE {halving(asked)} SELECT moment, MAX(position) FROM found GROUP BY moment",  # nosec B608 # our own words
            {"log": log},
        )
        found.update(cursor.fetchall())
    return [found.get(moment, 0) for moment in moments]


def searched(cursor: CursorWrapper, log: str, moments: Sequence[int]) -> list[int]:
    """The same by a few statements, in which every bound is written out."""
    cursor.execute("SELECT id, floor, head FROM events_log WHERE name = %s", [log])
    row = cursor.fetchone()
    if row is None:
        return [0] * len(moments)
    log_id, floor, head = row
    # Between these two is what is looked for, both included.
    low, high = dict.fromkeys(moments, floor), dict.fromkeys(moments, head)
    while True:
        asked = {moment: probes(low[moment], high[moment], PROBES // len(low)) for moment in low}
        places = sorted({place for some in asked.values() for place in some})
        if not places:
            return [low[moment] for moment in moments]
        times = times_from(cursor, log_id, places)
        for moment, some in asked.items():
            before = [place for place in some if times[place] < moment]
            low[moment] = max([low[moment], *before])
            high[moment] = min([high[moment], *(one - 1 for one in some if one not in before)])


def probes(low: int, high: int, number: int) -> list[int]:
    """So many places above one and up to another, at equal distances, and one at least."""
    parts = max(2, number)
    places = {low + -(-(high - low) * part // parts) for part in range(1, parts)}
    return sorted(places) if high > low else []


def times_from(cursor: CursorWrapper, log_id: int, places: Sequence[int]) -> dict[int, float]:
    """The time of the first entry at or after each of these positions; none is later than any."""
    found: dict[int, float] = {}
    for some in chunks(places):
        columns = ", ".join(
            "(SELECT timestamp FROM events_event FORCE INDEX (events_event_position) "
            f"WHERE log_id = {log_id} AND position >= {place} ORDER BY position LIMIT 1)"  # nosec B608 # our own numbers
            for place in some
        )
        cursor.execute(f"SELECT {columns}")
        row = [inf if time is None else time for time in cursor.fetchone()]
        found.update(zip(some, row, strict=True))
    return found
