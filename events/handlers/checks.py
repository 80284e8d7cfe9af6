"""What `manage.py check` says about handlers.

events_handlers.E001   a handler that cannot work: its name is another's, or an option is wrong
events_handlers.W001   an atomic handler on SQLite, which keeps all other writers waiting while it runs
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections

from ..backends.base import BaseBackend
from ..log import logs
from .registry import decorated
from .spec import Spec


@register("events")
def check_handlers(**kwargs: Any) -> list[CheckMessage]:
    """By the code and the settings alone: `check` should not need a database to be up."""
    specs = decorated()
    messages: list[CheckMessage] = [
        Error(
            f"There are {count} handlers called {name!r}.",
            hint="The name is the identity of the cursor: give each its own.",
            id="events_handlers.E001",
        )
        for name, count in Counter(spec.name for spec in specs).items()
        if count > 1
    ]
    for spec in specs:
        messages += [
            Error(
                f"The handler {spec.name!r} cannot work: {problem}.",
                hint="See docs/reference/handlers.md.",
                id="events_handlers.E001",
            )
            for problem in problems(spec)
        ]
    on_sqlite = [
        spec.name
        for spec in specs
        if spec.atomic and not any(problems(spec)) and is_sqlite(spec.log)
    ]
    if on_sqlite:
        messages.append(
            Warning(
                "SQLite has one writer, and while one of these handlers runs that is it: "
                f"{', '.join(map(repr, on_sqlite))}.",
                hint="Use another database, or keep them short. Silence events_handlers.W001 if that will do.",
                id="events_handlers.W001",
            )
        )
    return messages


def problems(spec: Spec) -> Iterator[str]:
    yield from spec.problems()
    if spec.log not in logs:
        yield f"there is no log {spec.log!r}; EVENTS has {', '.join(map(repr, logs))}"
        return
    backend = backend_of(spec.log)
    if backend is not None and not backend.keeps_cursors:
        yield (
            f"the log {spec.log!r} is in no database, where its cursor could move in the "
            "transaction of its effects"
        )


def is_sqlite(log: str) -> bool:
    backend = backend_of(log)
    return backend is not None and connections[backend.alias].vendor == "sqlite"


def backend_of(log: str) -> BaseBackend | None:
    """None if the log's settings are wrong, of which the checks of `events` complain."""
    try:
        backend = logs[log].backend
        return backend if not backend.keeps_cursors or connections[backend.alias] else None
    except Exception:
        return None
