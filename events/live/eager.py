"""Send at once, on behalf of a task that waits.

To wake a task so that it makes one system call costs as much as the call. A server's `send`
seldom has to wait, so most often its beginning is all there is; the rest is left to the task.
`python -m benchmarks.fanout.pieces` measures what it saves. (Python 3.12 has eager tasks; those are
new tasks, which cost more, and 3.11 has none.)
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from ..internals import start_in_task
from .waking import Bell

Send = Callable[[dict[str, Any]], Awaitable[None]]

# Scope key holding the server's own `send`, for connections that need no middleware.
RAW_SEND = "events.send"
# And its `receive`, which still tells that a client has gone when Django has done with it.
RAW_RECEIVE = "events.receive"


class Deputy:
    """Sends in place of the task that made it, while that waits for its bell with nothing to do.
    Without a `send` everything is left to the task."""

    def __init__(self, send: Send | None, bell: Bell) -> None:
        task = asyncio.current_task()
        assert task is not None  # nosec B101 # for the type checker
        self.task = task
        self.context = copy_context()
        self.send = send
        self.bell = bell
        self.idle = False
        self.begun: Awaitable[None] | None = None
        self.failure: BaseException | None = None

    @property
    def is_free(self) -> bool:
        """Does the task wait, and would nothing wake it but us?"""
        return self.idle and not self.bell.rung

    async def wait(self, idle: bool = True) -> None:
        """Wait for the bell. Pass `idle=False` while something must not be overtaken."""
        self.idle = idle and self.send is not None
        try:
            await self.bell.wait()
        finally:
            self.idle = False

    def begin(self, message: dict[str, Any]) -> bool:
        """Send a message, if that needs no waiting; otherwise, or if it fails, wake the task."""
        assert self.send is not None  # nosec B101 # for the type checker
        try:
            self.begun = start_in_task(self.send(message), self.task, self.context)
            if self.begun is None:
                return True
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:
            # The task raises it in `finish()`; the broker, which brought the message, goes on.
            self.failure = failure
        self.idle = False
        self.bell.ring()
        return False

    async def finish(self) -> bool:
        """Await what was begun and had to wait, if anything; was there something?"""
        if self.failure is not None:
            raise self.failure
        begun, self.begun = self.begun, None
        if begun is None:
            return False
        await begun
        return True
