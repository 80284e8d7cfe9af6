"""What the signals of Django's tasks make of a task's streams.

They are those of Django 6.0, and of the package django-tasks, which had them first and brings them
to Django 5.2. Where both are there, a task may be of either.
"""

import logging
import sys
from collections.abc import Callable
from datetime import UTC
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from ...streams import one_line
from .. import tasks

logger = logging.getLogger("events")


def connect() -> None:
    found = [name for name in ("django.tasks", "django_tasks") if is_there(name)]
    if not found:
        raise ImproperlyConfigured(
            "events.contrib.django_tasks needs Django 6.0 or newer, or the package django-tasks: "
            "install one of them, or take it out of INSTALLED_APPS."
        )
    for name in found:
        signals = import_module(f"{name}.signals")
        signals.task_enqueued.connect(enqueued)
        signals.task_started.connect(started)
        signals.task_finished.connect(finished)


def is_there(name: str) -> bool:
    """Django's own if this Django has them; the package where there are no others, or where a
    project has said that it uses it."""
    if name == "django_tasks" and find_spec("django.tasks") and not apps.is_installed(name):
        return False
    return find_spec(name) is not None


def safely(receiver: Callable[..., None]) -> Callable[..., None]:
    """What a receiver raises would end up in whoever enqueues or runs the task."""

    @wraps(receiver)
    def received(sender: object, task_result: Any, **kwargs: Any) -> None:
        try:
            if tasks.is_wanted(task_result.task.module_path):
                receiver(task_result, **kwargs)
        except Exception:
            logger.exception("Task %s: it could not be reported.", task_result.id)

    return received


@safely
def enqueued(result: Any, **kwargs: Any) -> None:
    say_enqueued(tasks.Task(result.id), result)


@safely
def started(result: Any, **kwargs: Any) -> None:
    report = tasks.Task(result.id)
    say_enqueued(report, result)
    report.started(result.attempts, result.worker_ids[-1] if result.worker_ids else None)


@safely
def finished(result: Any, **kwargs: Any) -> None:
    report = tasks.at_hand(result.id) or tasks.Task(result.id).look_up()
    if result.status == "SUCCESSFUL":
        report.completed()
    elif result.status == "FAILED":
        report.failed(reason(result))
    else:  # a backend of another's, which will try again
        report.retried(reason(result))
    report.leave()


def say_enqueued(report: tasks.Task, result: Any) -> None:
    moment = result.task.run_after
    if moment is not None:
        # A database gives it back in another zone, or in none; the text has to be the same.
        moment = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
        moment = moment.astimezone(UTC).isoformat()
    report.enqueued(result.task.module_path, moment)


def reason(result: Any) -> str:
    """The error that ends the task, which is being handled when its end is said."""
    error = sys.exc_info()[1]
    if error is not None:
        return one_line(error)
    return result.errors[-1].exception_class_path if result.errors else ""
