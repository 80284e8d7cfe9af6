"""What can go wrong with a log on Redis alone; the rest is in `events.exceptions`."""

from ...exceptions import LogBusy, LogUnavailable


class StillAway(LogUnavailable, LogBusy):
    """Redis could not be had a moment ago. Somebody has said so already, and tries again."""
