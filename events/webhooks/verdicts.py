"""What an answer means, and when to try again."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from . import conf

# An endpoint may ask for no more patience than this.
MOST_PATIENCE = 86_400.0
# New events in a row that an endpoint refuses before it counts as silent: its address is wrong, or
# it knows our signature no more, and to hold all of its events one by one would help nobody.
REFUSALS = 10


class Verdict(Enum):
    DELIVERED = "it has the event"
    REFUSED = "it does not want this event: that is held, and all others go on"
    SILENT = "it does not answer, or cannot: it is left alone for a while, and its cursor stays"
    GONE = "it wants nothing more"


# Answers that are about the endpoint and not about the event.
ABOUT_ITSELF = {407, 408, 425, 429}


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is None if there was none, and `error` says why."""

    status: int | None
    milliseconds: int = 0
    text: str = ""
    error: str = ""
    # Seconds, if it said so.
    retry_after: float | None = None

    @property
    def verdict(self) -> Verdict:
        if self.status is None or self.status in ABOUT_ITSELF:
            return Verdict.SILENT
        if 200 <= self.status < 300:
            return Verdict.DELIVERED
        if self.status == 410:
            return Verdict.GONE
        return Verdict.REFUSED if 400 <= self.status < 500 else Verdict.SILENT

    @property
    def told(self) -> str:
        return self.error or f"it answered {self.status}"


def next_delay(attempts: int, retry_after: float | None) -> float | None:
    """Seconds until the next attempt after so many that failed; None after the last one.

    Up to a tenth more than in the schedule, so that those that failed together do not return
    together. Who says `Retry-After` is asked no sooner.
    """
    schedule = conf.get("RETRY")
    if attempts > len(schedule):
        return None
    delay = float(schedule[attempts - 1]) * random.uniform(1, 1.1)  # nosec B311 # no secret
    return max(delay, min(retry_after or 0.0, MOST_PATIENCE))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Of the header `Retry-After`: seconds or a date."""
    if not value:
        return None
    if value.strip().isdigit() and value.isascii():
        return float(value.strip()[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
