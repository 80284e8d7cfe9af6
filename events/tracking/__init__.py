"""Events of a model's life, whoever saves it; docs/reference/tracking.md lists them, and what is not
seen. Each is told in the transaction that makes it.

The statements themselves are watched, where Django's compilers execute them: signals miss half of
what its ORM writes, and a QuerySet class of our own would miss the managers that bring theirs, and
could not be pickled.
"""

import re
from collections.abc import Callable, Iterable
from string import Formatter
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import BinaryField, Field, Model

from ..conf import DEFAULT_LOG
from ..internals import watch_writes
from ..log import logs
from ..validation import valid_kind, valid_stream
from . import statements
from .rows import AnyField, Tracking

__all__ = ["track", "untrack"]

tracked: dict[type[Model], Tracking] = {}


def track(
    model: type[Model],
    fields: Iterable[str] = (),
    *,
    stream: str | Callable[[Any], str] = "",
    name: str | None = None,
    log: str = DEFAULT_LOG,
) -> None:
    """Tell a log of each row that is created, deleted, or changes in one of the fields.

    `stream` is the name of a stream, with columns in it (`"task-{pk}"`), or makes one of a row as
    it is in the database (see `events.streams.stream_name`). `name` is what the kinds begin with;
    the model's in snake case, if left out. An event that the log refuses undoes the write that it
    would have told of, and the transaction around it, as a failing save() does.
    """
    watch_writes(tracked, statements.insert, statements.update, statements.delete)
    if model._meta.abstract or model._meta.proxy or model._meta.swapped:
        raise ImproperlyConfigured(
            f"{model.__name__} has no table of its own: track the model that has."
        )
    if model in tracked:
        raise ImproperlyConfigured(
            f"{model._meta.label} is tracked already: name all of its fields in one call."
        )
    if log not in logs:
        raise ImproperlyConfigured(f"{model._meta.label} cannot be tracked: no log {log!r}.")
    if isinstance(fields, str):
        raise ImproperlyConfigured(f"fields must be a list, like [{fields!r}].")
    found = tuple(dict.fromkeys(_field(model, field) for field in fields))
    name = snake_case(model.__name__) if name is None else name
    for kind in ("created", "deleted", *(field.name for field in found)):
        valid_kind(f"{name}.{kind}")
    tracked[model] = Tracking(model, found, name, _namer(model, stream), log)


def untrack(model: type[Model]) -> None:
    """Tell nothing of it any more; for tests."""
    tracked.pop(model, None)


def _field(model: type[Model], name: str) -> AnyField:
    label = f"{model._meta.label}.{name}"
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        raise ImproperlyConfigured(f"{label} cannot be tracked: there is no such field.") from None
    if not isinstance(field, Field) or field not in model._meta.concrete_fields:
        problem = "it is not a column"
    elif field.model._meta.concrete_model is not model:
        problem = f"track {field.model.__name__}"
    elif field.primary_key or field.generated or isinstance(field, BinaryField):
        problem = "it is a key, generated or binary"
    elif field.name in ("created", "deleted"):
        problem = "its events would be named like those of whole rows"
    else:
        return field
    raise ImproperlyConfigured(f"{label} cannot be tracked: {problem}.")


def _namer(model: type[Model], stream: object) -> Callable[[Any], str]:
    if not isinstance(stream, str):
        if not callable(stream):
            raise ImproperlyConfigured("stream must be a string or a callable(instance).")
        return stream
    known = {"pk", *(field.attname for field in model._meta.concrete_fields)}
    pieces = list(Formatter().parse(stream))
    names = [name for _, name, _, _ in pieces if name is not None]
    for unknown in set(names) - known:
        raise ImproperlyConfigured(
            f"stream {stream!r}: {model._meta.label} has no column {unknown!r}; there are "
            f"{', '.join(sorted(known))}."
        )
    # A letter in the place of each column: what is wrong is then the text around them.
    valid_stream("".join(f"{text}x" if name else text for text, name, _, _ in pieces))
    return lambda row: stream.format(**{name: getattr(row, name) for name in names})


def snake_case(name: str) -> str:
    """AgentRun: agent_run; HTTPLog: http_log."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
