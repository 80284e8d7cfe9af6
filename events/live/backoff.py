"""How long a broker waits before it reads the store again after a failure."""

import logging

logger = logging.getLogger("events")

# Seconds between attempts while the store cannot be read, at the most.
MAX_BACKOFF = 10.0


class Backoff:
    """How long to wait after one failure, and after many; only the first is logged."""

    def __init__(self, log: str, interval: float) -> None:
        self.log = log
        self.interval = self.pause = interval

    def failed(self) -> float:
        """To be called while the exception is handled: seconds until the next attempt."""
        if self.pause == self.interval:
            logger.exception("Log %r cannot be read; trying again.", self.log)
        self.pause = min(self.pause * 2, MAX_BACKOFF)
        return self.pause

    def succeeded(self) -> None:
        self.pause = self.interval
