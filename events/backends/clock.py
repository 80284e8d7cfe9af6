"""Which times are believed: a log's times never run backwards, so one from the far future would
be the time of everything that comes after it."""

import logging
from functools import lru_cache

from ..exceptions import EventsError
from ..types import from_micros, wire_micros

logger = logging.getLogger("events")

# Seconds since 1970: the years from 2000 to 2200. A clock in milliseconds is far beyond.
PLAUSIBLE = 946_684_800, 7_258_118_400
# Microseconds that a process may be ahead of its database.
MOST_AHEAD = 86_400 * 1_000_000
# Microseconds by which the clocks of two machines may differ without anybody's being told.
SKEW = 300 * 1_000_000


def to_plausible_micros(seconds: float) -> int:
    first, last = PLAUSIBLE
    if not first <= seconds < last:
        raise EventsError(
            f"the clock says {seconds!r}, which is no time between 2000 and 2200 in seconds since "
            "1970; nothing was stored"
        )
    return round(seconds * 1_000_000)


def compare(micros: int, database: int) -> None:
    """Refuse a time that is too far ahead of the database's own."""
    if micros - database > MOST_AHEAD:
        raise EventsError(
            f"the clock says {wire_micros(micros)}, more than a day ahead of the database's, which "
            f"says {wire_micros(database)}; nothing was stored. OPTIONS['clock'] may go its own way"
        )


def look_ahead(log: str, latest: int, now: int) -> None:
    """Tell, once, of a log whose newest event is from the future."""
    if latest - now > SKEW:
        _tell(log, latest)


@lru_cache(maxsize=1000)
def _tell(log: str, latest: int) -> None:
    logger.error(
        "Log %r: its newest event is from %s, which is in the future. Until then every event gets "
        "that time. If it came of a wrong clock: manage.py renew_epoch --reset-clock",
        log,
        from_micros(latest),
    )
