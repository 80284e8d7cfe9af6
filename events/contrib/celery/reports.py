"""What Celery's signals make of a task's streams.

A worker's child tells of what it runs itself. The worker's main process tells of what no child
can: a task that was revoked, exceeded its hard time limit, or lost its child.
"""

import sys
from typing import Any

from celery import signals
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from ...streams import one_line
from .. import tasks


class TaskStopped(tasks.TaskStopped, Ignore):  # type: ignore[misc]  # Celery has no types
    """For Celery such a task is to be ignored: it is not retried, and no failure."""


class Task(tasks.Task):
    # Raised by a signal's handler, wherever the task is: it may be in the middle of a report.
    passed_on = (SoftTimeLimitExceeded,)
    stopped_error = TaskStopped


def is_wanted(name: str) -> bool:
    # Celery's own come again and again, such as the look of a chord whether it is complete.
    return not name.startswith("celery.") and tasks.is_wanted(name)


def connect() -> None:
    signals.before_task_publish.connect(before_publish)
    signals.after_task_publish.connect(published)
    signals.task_prerun.connect(begun)
    signals.task_success.connect(succeeded)
    signals.task_failure.connect(failed)
    signals.task_retry.connect(retried)
    signals.task_revoked.connect(revoked)
    signals.task_postrun.connect(over)


def task_of(id: str) -> tasks.Task:
    return tasks.at_hand(id) or Task(id).look_up()


def before_publish(sender: str, headers: dict[str, Any], **kwargs: Any) -> None:
    """Before its next attempt can begin: in a process beside this one that is soon."""
    if headers.get("retries") and is_wanted(sender):
        error = sys.exc_info()[1]
        reason = "retried" if error is None else one_line(error)
        task_of(headers["id"]).retried(reason, headers.get("eta"))


def published(sender: str, headers: dict[str, Any], **kwargs: Any) -> None:
    if headers.get("id") and not headers.get("retries") and is_wanted(sender):
        Task(headers["id"]).enqueued(sender, headers.get("eta"))


def begun(task_id: str, task: Any, **kwargs: Any) -> None:
    if is_wanted(task.name):
        report, request = Task(task_id), task.request
        if not request.retries:
            report.enqueued(task.name, request.eta)
        report.started(request.retries + 1, request.hostname)


def succeeded(sender: Any, **kwargs: Any) -> None:
    if is_wanted(sender.name):
        task_of(sender.request.id).completed()


def failed(sender: Any, task_id: str, exception: BaseException, **kwargs: Any) -> None:
    if is_wanted(sender.name):
        task_of(task_id).failed(one_line(exception))


def retried(sender: Any, request: Any, reason: Any = None, **kwargs: Any) -> None:
    """Of a task that was run without being published; the others have said so by now."""
    report = tasks.at_hand(request.id)
    if report is not None:
        error = getattr(reason, "exc", None)
        report.retried("retried" if error is None else one_line(error))


def revoked(sender: Any, request: Any, terminated: bool, expired: bool, **kwargs: Any) -> None:
    if is_wanted(sender.name):
        report = task_of(request.id)
        if not request.retries:
            # The one who enqueues it may not have said so yet.
            report.enqueued(sender.name, request.eta)
        report.stopped("expired" if expired else "terminated" if terminated else "revoked")


def over(task_id: str, state: str | None, **kwargs: Any) -> None:
    """The end of an attempt; how it ended has been said, unless Celery has no signal for it."""
    report = tasks.at_hand(task_id)
    if report is None:
        return
    if report.was_stopped:
        report.stopped("stopped")
    elif state in ("IGNORED", "REJECTED"):
        report.left("stop", state.lower())
    elif state is None:
        error = sys.exc_info()[1]
        report.left("fail", "" if error is None else one_line(error))
    report.leave()
