"""A background task as streams, whatever runs it. `celery` and `django_tasks` call this.

    task:<id>     task.enqueued · stream.opened · task.started 1 · task.retried 1 · task.started 2 · stream.completed
                                                      │                                  │
    task:<id>:1                                stream.opened · task.progress … · stream.failed
    task:<id>:2                                                                   stream.opened · … · stream.completed

Each attempt is a stream of its own, since what has ended stays so. Of an attempt whose worker was
killed the watchdog says so; the task's own stream stays open, because nobody can know whether the
broker will deliver the task again.

A task does not fail because its report fails: that is logged, and the task goes on.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, connections, transaction

from ..exceptions import EventsError, InvalidTransition, KeyConflict, StreamClosed
from ..log import logs
from ..streams import StreamHandle, stream_name
from ..types import Status

logger = logging.getLogger("events")

DEFAULTS: dict[str, Any] = {
    "LOG": "default",
    # Seconds without a word from an attempt after which it has failed; left out: the log's own.
    "IDLE_TIMEOUT": ...,
    # Tasks that are not reported: names, or patterns such as "shop.tasks.*".
    "SKIP": (),
}


class TaskStopped(EventsError):
    """Raised by `progress()` in a task that somebody has stopped. Let it through."""


def option(key: str) -> Any:
    return {**DEFAULTS, **getattr(settings, "EVENTS_TASKS", {})}[key]


def is_wanted(name: str) -> bool:
    return not any(fnmatchcase(name, pattern) for pattern in option("SKIP"))


def stream_of(id: object) -> str:
    """The name of a task's stream: `task:<id>`."""
    return stream_name("task", id)


def progress(done: float, total: float | None = None, /, **more: Any) -> None:
    """Tell how far the task has come that this is called from. Does nothing outside of a task.

    Raises TaskStopped, and nothing else, if somebody has stopped the task's stream.
    """
    task = _current.get()
    if task is not None:
        task.progress({**more, "done": done, "total": total})


async def aprogress(done: float, total: float | None = None, /, **more: Any) -> None:
    await sync_to_async(progress)(done, total, **more)


class Task:
    """What is told of one task."""

    # What may be raised into the middle of a report, and is meant for the task.
    passed_on: tuple[type[BaseException], ...] = ()
    stopped_error: type[TaskStopped] = TaskStopped

    def __init__(self, id: object) -> None:
        self.id = str(id)
        self.log = logs[option("LOG")]
        self.life = self.log.stream(stream_of(id))
        # The attempt at hand.
        self.attempt: StreamHandle | None = None
        self.number = 0
        self.worker: str | None = None
        self.was_stopped = self.has_ended = False
        # The task that has called this one within its own process.
        self.outer: Task | None = None

    def enqueued(self, name: str, eta: str | None = None) -> None:
        """Said by whoever enqueues the task, and again by its worker, which may be faster than the
        commit of the other. The key stores it once."""
        payload = {"task": name, "eta": eta} if eta else {"task": name}
        key = stream_name("task", self.id, "enqueued")
        self._tell(self.life.emit, "task.enqueued", payload, key=key)

    def started(self, first: int, worker: str | None) -> None:
        """Begin an attempt, and be what `progress()` tells about."""
        self.outer = _current.get()
        _current.set(self)
        self.number, self.worker = first - 1, worker
        self._tell(self.life.open, idle_timeout=None)
        self._tell(self._begin)

    def _begin(self) -> None:
        """Open the first attempt that nobody has opened: a task that is delivered again has a
        number that was used. The ledger lets one open it, whoever else tries."""
        timeout = option("IDLE_TIMEOUT")
        options = {} if timeout is ... else {"idle_timeout": timeout}
        for number in count(self.number + 1):
            attempt = self.log.stream(stream_name("task", self.id, number))
            with suppress(InvalidTransition):
                if attempt.open(**options):
                    break
        self.attempt, self.number = attempt, number
        payload = {"attempt": number, "stream": attempt.name, "worker": self.worker}
        self.life.emit("task.started", payload)

    def progress(self, payload: dict[str, Any]) -> None:
        if self._tell(self._progress, payload):
            self.was_stopped = True
            raise self.stopped_error(f"the task {self.id} was stopped")

    def _progress(self, payload: dict[str, Any]) -> bool:
        """Is it stopped?"""
        if self.life.status == Status.STOPPED:
            return True
        # The log may have been away when the attempt began.
        if self.attempt is None:
            self._begin()
        assert self.attempt is not None
        try:
            self.attempt.emit("task.progress", payload)
        except StreamClosed:
            if self.attempt.status == Status.STOPPED:
                return True
            # Taken for dead by the watchdog: it goes on as the next attempt.
            self._begin()
            self.attempt.emit("task.progress", payload)
        return False

    def look_up(self) -> "Task":
        """Find the attempt at hand, from outside of its process."""
        page = self._tell(self.life.read, last=1, kind="task.started")
        for entry in page.entries if page else ():
            self.attempt = self.log.stream(entry.payload["stream"])
            self.number = entry.payload["attempt"]
        return self

    def completed(self) -> None:
        self._end("complete")
        self._tell(self.life.complete)

    def failed(self, reason: str) -> None:
        verb = "stop" if self.was_stopped else "fail"
        self._end(verb, reason)
        self._tell(getattr(self.life, verb), reason)

    def stopped(self, reason: str) -> None:
        self._end("stop", reason)
        self._tell(self.life.stop, reason)

    def retried(self, reason: str, eta: str | None = None) -> None:
        if self._end("fail", reason):
            payload = {"attempt": self.number, "reason": reason, "eta": eta}
            self._tell(self.life.emit, "task.retried", payload)

    def left(self, verb: str, reason: str) -> None:
        """The attempt is over, and how the task ends is for somebody else to say."""
        self._end(verb, reason)

    def _end(self, verb: str, *reason: str) -> bool:
        """End the attempt at hand; False if it had ended."""
        if self.has_ended:
            return False
        self.has_ended = True
        if self.attempt is not None:
            self._tell(getattr(self.attempt, verb), *reason)
        return True

    def leave(self) -> None:
        _current.set(self.outer)

    def _tell(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return self._call(verb, *args, **kwargs)
        except self.passed_on:
            raise
        except (InvalidTransition, KeyConflict, StreamClosed) as error:
            logger.warning("Task %s: %s.", self.id, error)
        except Exception:
            logger.exception("Task %s: its report could not be stored.", self.id)
        return None

    def _call(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        connection = connections[self.log.backend.alias]
        if connection.in_atomic_block:
            # A report that the database refuses must not break the caller's transaction.
            with transaction.atomic(using=connection.alias):
                return verb(*args, **kwargs)
        try:
            return verb(*args, **kwargs)
        except (InterfaceError, OperationalError):
            # A time limit has interrupted a statement, or the connection was cut since its last use.
            if connection.connection is not None and not connection.autocommit:
                raise  # what the caller has not committed would be lost with it
            connection.close()
            return verb(*args, **kwargs)


_current: ContextVar[Task | None] = ContextVar("events_task", default=None)


def at_hand(id: object) -> Task | None:
    """The task of this id that this thread is at work on."""
    task = _current.get()
    while task is not None and task.id != str(id):
        task = task.outer
    return task
