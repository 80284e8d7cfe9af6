"""What `manage.py check` says about tasks as streams.

events_tasks.E001   EVENTS_TASKS is not a dictionary, or a value in it is wrong
events_tasks.W001   an unknown key in EVENTS_TASKS
events_tasks.W002   reports go to a log in memory, which other processes do not see
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from ..conf import BACKENDS, log_settings
from ..streams import seconds_or_none
from .tasks import DEFAULTS, option


@register("events")
def check_tasks(**kwargs: Any) -> list[CheckMessage]:
    given = getattr(settings, "EVENTS_TASKS", {})
    if not isinstance(given, Mapping):
        return [error("EVENTS_TASKS is not a dictionary.")]
    return [
        *(unknown(key) for key in given if key not in DEFAULTS),
        *map(error, problems()),
        *about_log(option("LOG")),
    ]


def problems() -> Iterator[str]:
    if option("LOG") not in log_settings():
        yield f"EVENTS_TASKS['LOG'] is {option('LOG')!r}, which EVENTS does not have."
    if isinstance(option("SKIP"), str):
        yield "EVENTS_TASKS['SKIP'] is a string; write a list of names and patterns."
    try:
        if option("IDLE_TIMEOUT") is not ...:
            seconds_or_none(option("IDLE_TIMEOUT"))
    except ValueError as problem:
        yield f"EVENTS_TASKS['IDLE_TIMEOUT']: {problem}."


def about_log(name: str) -> Iterator[CheckMessage]:
    log = log_settings().get(name)
    if log is not None and log.backend == BACKENDS["memory"]:
        yield Warning(
            f"Tasks are reported to the log {name!r}, which is in memory: what a worker tells is "
            "not seen by any other process.",
            hint="Name a log in a database: EVENTS_TASKS = {'LOG': …}.",
            id="events_tasks.W002",
        )


def unknown(key: object) -> CheckMessage:
    return Warning(
        f"EVENTS_TASKS has an unknown key, {key!r}.",
        hint=f"It knows {', '.join(DEFAULTS)}.",
        id="events_tasks.W001",
    )


def error(problem: str) -> CheckMessage:
    return Error(problem, hint="See docs/reference/tasks.md.", id="events_tasks.E001")
