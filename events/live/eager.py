"""Send at once, on behalf of a task that waits.

To wake a task so that it makes one system call costs as much as the call. A server's `send`
seldom has to wait, so most often the beginning is all there is; the rest is left to the task.
(Python 3.12 has eager tasks; those are new tasks, dearer, and 3.11 has none.)
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # for whoever drives coroutines himself
from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from inspect import iscoroutine
from typing import Any

from .bell import Bell

Send = Callable[[dict[str, Any]], Awaitable[None]]

# Where the scope has the server's own `send`, for who has nothing to tell those between.
RAW_SEND = "events.send"


class Begun:
    """What is left of an awaitable that had to wait: to be awaited, once."""

    def __init__(self, steps: Generator[Any, Any, Any], waits_for: Any) -> None:
        self.steps = steps
        self.waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self.waits_for
        while True:
            try:
                try:
                    result = yield waits_for
                except GeneratorExit:
                    self.steps.close()
                    raise
                except BaseException as error:
                    waits_for = self.steps.throw(error)
                else:
                    waits_for = self.steps.send(result)
            except StopIteration as done:
                return done.value


async def whole(awaitable: Awaitable[None]) -> None:
    await awaitable


class Deputy:
    """Sends in place of the task that made it, while that waits for its bell with nothing to do.

    What is begun here runs as that task and in a context like its own, so that a timeout within
    it, for one, ends the right task. Without a `send` everything is left to the task.
    """

    def __init__(self, send: Send | None, bell: Bell) -> None:
        task = asyncio.current_task()
        assert task is not None  # nosec B101 # for the type checker
        self.task = task
        self.loop = task.get_loop()
        self.context = copy_context()
        self.send = send
        self.bell = bell
        self.idle = False
        self.begun: Begun | None = None
        self.failure: BaseException | None = None

    @property
    def is_free(self) -> bool:
        """Does the task wait, and would nothing wake it but us?"""
        return self.idle and not self.bell.rung

    async def wait(self, idle: bool = True) -> None:
        """For the bell. Who is not `idle` has something that must not be overtaken."""
        self.idle = idle and self.send is not None
        try:
            await self.bell.wait()
        finally:
            self.idle = False

    def begin(self, message: dict[str, Any]) -> bool:
        """Send it, if that needs no waiting; otherwise, or if it fails, wake the task for it."""
        assert self.send is not None  # nosec B101 # for the type checker
        try:
            self.begun = self._begin(self.send(message))
            if self.begun is None:
                return True
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:
            # It is the task's, not that of whoever came along with the message.
            self.failure = failure
        self.idle = False
        self.bell.ring()
        return False

    def _begin(self, awaitable: Awaitable[None]) -> Begun | None:
        # Others need have nothing but `__await__` and `__next__`; a coroutine makes do with that.
        steps: Any = (awaitable if iscoroutine(awaitable) else whole(awaitable)).__await__()
        caller = asyncio.current_task(self.loop)
        if caller is not None:
            _leave_task(self.loop, caller)
        _enter_task(self.loop, self.task)
        try:
            return Begun(steps, self.context.run(next, steps))
        except StopIteration:
            return None
        finally:
            _leave_task(self.loop, self.task)
            if caller is not None:
                _enter_task(self.loop, caller)

    async def finish(self) -> bool:
        """What was begun and had to wait, if any."""
        if self.failure is not None:
            raise self.failure
        begun, self.begun = self.begun, None
        if begun is None:
            return False
        await begun
        return True
