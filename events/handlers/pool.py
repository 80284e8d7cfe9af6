"""Threads that do what they are given, and close their database connections when that is nothing."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from django.db import connections

logger = logging.getLogger("events")

# Seconds without work after which a thread closes its connections, and ends.
IDLE = 2.0


class Pool:
    """A thread is started when none is idle, so that little work is done by few."""

    def __init__(self, threads: int) -> None:
        self.most = threads
        self.condition = threading.Condition()
        self.waiting: deque[Callable[[], None]] = deque()
        self.threads: set[threading.Thread] = set()
        self.idle = 0
        self.closing = False

    def submit(self, work: Callable[[], None]) -> None:
        with self.condition:
            self.waiting.append(work)
            if self.idle >= len(self.waiting):
                self.condition.notify()
            elif len(self.threads) < self.most:
                thread = threading.Thread(target=self._run, name="events-handlers")
                self.threads.add(thread)
                thread.start()

    def close(self) -> None:
        """Wait for what has begun. What has not is forgotten."""
        with self.condition:
            self.closing = True
            self.waiting.clear()
            self.condition.notify_all()
            threads = list(self.threads)
        for thread in threads:
            thread.join()

    def _run(self) -> None:
        try:
            while work := self._next():
                work()
        finally:
            connections.close_all()

    def _next(self) -> Callable[[], None] | None:
        with self.condition:
            self.idle += 1
            self.condition.wait_for(lambda: self.waiting or self.closing, IDLE)
            self.idle -= 1
            if self.waiting:
                return self.waiting.popleft()
            self.threads.discard(threading.current_thread())
            return None
