"""What can go wrong with a log on Redis alone.

EventsError
├── LogUnavailable   (OperationalError)   Redis cannot be had
│   └── StillAway    (LogBusy)            nor could it a moment ago, so it was not tried again
└── NotConfirmed     (OperationalError)   stored, but too few replicas have said that they have it
"""

from django.db import OperationalError

from ...exceptions import EventsError, LogBusy


class LogUnavailable(EventsError, OperationalError):
    """Redis cannot be reached, or did not answer. The message says whether something may be stored."""


class StillAway(LogUnavailable, LogBusy):
    """Redis could not be had a moment ago. Somebody has said so already, and tries again."""


class NotConfirmed(EventsError, OperationalError):
    """The events are stored, and fewer replicas than OPTIONS['wait'] have said that they have them:
    a failover now may take them back. With a key, to emit them again is safe."""
