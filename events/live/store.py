"""How a broker gets at the store: from a thread of its own, and again after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

logger = logging.getLogger("events")

T = TypeVar("T")

# Seconds between attempts while the store cannot be read, at the most.
MAX_BACKOFF = 10.0


class StoreThread:
    """A thread of its own with its own connections; or, in a test, the thread of the caller."""

    def __init__(self, name: str, in_callers_thread: bool) -> None:
        self.thread = None if in_callers_thread else ThreadPoolExecutor(1, name)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        if self.thread is None:
            return await sync_to_async(work)(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, safely, work, *arguments)

    def close(self) -> None:
        if self.thread is not None:
            self.thread.submit(connections.close_all)
            self.thread.shutdown(wait=False)


def safely(work: Callable[..., T], *arguments: object) -> T:
    """Do it in a thread of ours, and leave no connection that is broken or that others want."""
    try:
        found = work(*arguments)
    except BaseException:
        connections.close_all()
        raise
    give_back()
    return found


def give_back() -> None:
    """Return this thread's connections to their pools, where Django has some. Otherwise they are
    kept; but from a pool, which is small and the whole site's, nobody else would ever get them."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict.get("OPTIONS", {}).get("pool"):
            connection.close()


class Patience:
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
