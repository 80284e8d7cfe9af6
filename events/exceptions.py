"""What can go wrong, as a tree.

EventsError
├── InvalidEvent        (ValueError)          the event breaks a rule; nothing was stored
├── KeyConflict         the key was used before, for something else
├── StreamClosed        the stream has ended; nothing was stored
├── InvalidTransition   the stream cannot go from its status to that one
├── CursorExpired       entries after the cursor are gone; `.gap` says which
├── LogDoesNotExist     (KeyError)            EVENTS names no such log
├── LogBusy             (OperationalError)    the log's lock was not to be had in time; nothing was stored
├── LogUnavailable      (OperationalError)    Redis cannot be had
└── NotConfirmed        (OperationalError)    stored, but too few replicas have said that they have it
"""

from typing import TYPE_CHECKING, Self

from django.db import OperationalError

if TYPE_CHECKING:
    from .types import Gap


class EventsError(Exception):
    """Anything that this app raises on its own account."""


class InvalidEvent(EventsError, ValueError):
    """An event breaks a rule. `place` is where (`payload.items[3].price`), `rule` is what is wrong."""

    def __init__(self, place: str, rule: str) -> None:
        super().__init__(f"{place}: {rule}")
        self.place = place
        self.rule = rule

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.place, self.rule)


class KeyConflict(EventsError):
    """A key that already names an entry was used with another kind, stream or payload."""


class StreamClosed(EventsError):
    """An event was sent to a stream that has completed, failed or stopped."""


class InvalidTransition(EventsError):
    """A stream was asked for a status that it cannot reach from where it is."""


class CursorExpired(EventsError):
    """Entries after a cursor are no longer there; `gap` says which ones."""

    def __init__(self, gap: "Gap") -> None:
        super().__init__(gap)
        self.gap = gap

    def __str__(self) -> str:
        gap = self.gap
        what = f"{gap.lost} entries after position {gap.requested} are gone ({gap.reason})"
        if gap.reason == "ahead":
            what = f"position {gap.requested} is beyond the head"
        return f"{what}; the log goes on at position {gap.first_available}"


class LogDoesNotExist(EventsError, KeyError):
    """The EVENTS setting names no such log."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class LogBusy(EventsError, OperationalError):
    """Somebody else held the log for longer than its lock timeout, or what was committed before could
    not be placed for as long; nothing was stored."""


class LogUnavailable(EventsError, OperationalError):
    """Redis cannot be reached, or did not answer. The message says whether something may be stored,
    and so does `may_be_stored`."""

    may_be_stored = False


class NotConfirmed(EventsError, OperationalError):
    """The events are stored, and fewer replicas than OPTIONS['wait'] have said that they have them:
    a failover now may take them back. With a key, to emit them again is safe."""
