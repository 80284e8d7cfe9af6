"""Events of a model's life, whoever saves it.

    # apps.py, in AppConfig.ready()
    track(Task, fields=["status"], stream="task-{pk}")

From then on a task that is created, changed or deleted is told of, in the transaction that does
it: `task.created` with {"pk", "status"}, `task.status` with {"pk", "old", "new"} and
`task.deleted` with {"pk"}. Old and new are what the database says, with the row locked in
between, and where they are equal nothing is told.

Seen is what Django's ORM writes: save(), create() and their like, the admin, bulk_create,
bulk_update, QuerySet.update and delete, cascades, related managers, any manager and queryset,
proxies, and children of the model (which have a row in its table). So the statements themselves
are watched, where Django's compilers execute them: signals miss half of these, and a QuerySet
class of our own would miss the managers that bring theirs, and could not be pickled.

Not seen is what Django does not write, or not as this model:

- raw SQL, triggers, ON DELETE in the database, other programs, TRUNCATE (`flush`);
- the models of migrations, which are other classes;
- fixtures (`raw=True`), on purpose;
- bulk_create with ignore_conflicts or update_conflicts: it does not say which rows are new;
- on MySQL and old MariaDB, which do not answer with them, the rows of a bulk_create whose primary
  keys the database chooses;
- a change of the primary key itself (save() makes that a new row, which is told).

A log that lives in another database than the model is told after the commit: never of what was
rolled back, but a process that dies in between has told nothing.
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

    `stream` is the name of a stream, with fields in it (`"task-{pk}"`), or makes one of an
    instance as it is in the database. A name is 1 to 128 of A-Z a-z 0-9 . _ : - and begins with a
    letter or digit; a row that makes another one is refused by the log. Where the values are
    texts, give a function: `lambda task: stream_name(task.team, "tasks")`, with `stream_name` of
    `events.streams`. `name` is what the kinds begin with; the model's in snake
    case, if left out. An event that the log refuses (too large, its stream has ended) undoes the
    write that it would have told of, and the transaction around it, as a failing save() does.

    A parent's fields are tracked at the parent, whose `save()` changes them too, and a proxy's at
    the model that it stands for.
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
        raise ImproperlyConfigured(f"{label} cannot be tracked: it is not a column.")
    if field.model._meta.concrete_model is not model:
        raise ImproperlyConfigured(f"{label} cannot be tracked: track {field.model.__name__}.")
    if field.primary_key or field.generated or isinstance(field, BinaryField):
        raise ImproperlyConfigured(f"{label} cannot be tracked: it is a key, generated or binary.")
    if field.name in ("created", "deleted"):
        raise ImproperlyConfigured(
            f"{label} cannot be tracked: its events would be named like those of whole rows."
        )
    return field


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
