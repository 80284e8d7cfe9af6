"""How each log stands, in numbers for a monitor: `manage.py events_status` and `events.metrics`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .backends.figures import BOUND
from .live.broker import followers
from .log import EventLog
from .types import Status

# What an app that a project need not install adds to a log's numbers: for the log's name, rows that
# say the same things of each of its own.
Part = Callable[[str], list[dict[str, Any]]]

parts: dict[str, Part] = {}

OPEN = (Status.RUNNING, Status.WAITING)


@dataclass(frozen=True, slots=True)
class LogStatus:
    """What is None cannot be known here. Counts of what should be few stop at 1,001."""

    log: str
    head: int
    floor: int
    count: int
    # Committed events that wait for their positions, and seconds since the first was emitted.
    outbox: int = 0
    outbox_age: float = 0.0
    # Committed events that could not get a position, for a person to look at.
    set_aside: int = 0
    open_streams: int = 0
    # Running streams that nobody has failed although they are past their idle timeout.
    overdue_streams: int | None = None
    # Connections and other readers in this process.
    followers: int = 0


def status_of(log: EventLog) -> LogStatus:
    """At a cost that does not grow with the log. Nothing is sequenced for it: who drained the
    outbox by looking at it would never see that it is not drained."""
    found, here = log.backend.figures(), followers(log.name)
    if found is None:
        info = log.info()
        opened = sum(len(log.backend.streams(BOUND + 1, status=status)) for status in OPEN)
        standing = (log.name, info.head, info.floor, info.count)
        return LogStatus(*standing, open_streams=opened, followers=here)
    return LogStatus(
        log.name,
        found.head,
        found.floor,
        found.count,
        found.pending,
        found.pending_age,
        found.refused,
        found.running + found.waiting,
        found.idle,
        here,
    )
