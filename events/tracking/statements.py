"""An INSERT, UPDATE or DELETE of a tracked model, and what is told of it, in one transaction."""

from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import Any

from django.db import connections, transaction
from django.db.models import Model, Q, QuerySet

from ..internals import inserted_keys, rows_to_write
from ..log import logs
from .rows import Tracking

Rows = dict[Any, Model]
Write = Callable[[], Any]
# Of an INSERT, UPDATE or DELETE. The stubs of Django leave out what is read here.
Compiler = Any

# Rows that are read back, and told of, at a time.
PORTION = 1000
# Rows in one UPDATE or DELETE, where they have to be named: with server-side binding PostgreSQL
# takes 65,535 parameters.
STATEMENT = 20_000


def insert(tracking: Tracking, compiler: Compiler, write: Write) -> Any:
    with transaction.atomic(using=compiler.using, savepoint=False):
        answer = write()
        for some in _portions(inserted_keys(compiler, answer), PORTION):
            rows = _now(tracking, compiler, some)
            _emit(tracking, compiler.using, [tracking.created(row) for row in rows.values()])
    return answer


def update(tracking: Tracking, compiler: Compiler, write: Write) -> Any:
    touched = {field for field, _, _ in compiler.query.values}
    fields = [field for field in tracking.fields if field in touched]
    if not fields:
        return write()
    with transaction.atomic(using=compiler.using, savepoint=False):
        before = _read(rows_to_write(compiler, tracking.model))
        answer = _write_to(before, compiler, write)
        for some in _portions(before, PORTION):
            after = _now(tracking, compiler, some)
            events = (tracking.changed(before[pk], row, fields) for pk, row in after.items())
            _emit(tracking, compiler.using, [event for each in events for event in each])
    return answer


def delete(tracking: Tracking, compiler: Compiler, write: Write) -> Any:
    with transaction.atomic(using=compiler.using, savepoint=False):
        before = _read(rows_to_write(compiler, tracking.model), to_delete=True)
        events = {pk: tracking.deleted(row) for pk, row in before.items()}
        answer = _write_to(before, compiler, write)
        for some in _portions(before, PORTION):
            left = {} if answer == len(before) else _now(tracking, compiler, some)
            _emit(tracking, compiler.using, [events[pk] for pk in some if pk not in left])
    return answer


def _now(tracking: Tracking, compiler: Compiler, keys: list[Any]) -> Rows:
    """From the table: a manager of the model's may hide rows."""
    return _read(QuerySet(tracking.model, using=compiler.using).filter(pk__in=keys))


def _read(rows: QuerySet[Model], *, to_delete: bool = False) -> Rows:
    """Locked, where the database can, in one order for all; so nobody changes them until our
    commit. And on MySQL such a read sees them as they are, not as the transaction began. No more
    than an UPDATE would: on PostgreSQL, those who refer to the row need not wait for it."""
    no_key = not to_delete and connections[rows.db].features.has_select_for_no_key_update
    return {row.pk: row for row in rows.order_by("pk").select_for_update(no_key=no_key)}


def _write_to(before: Rows, compiler: Compiler, write: Write) -> Any:
    """Execute the statement for the rows that are known, and none that has come to match since. Its
    answer; None if there is nothing to do. Where rows cannot be locked there is one writer, the
    statement is as it was, and others wait."""
    if not connections[compiler.using].features.has_select_for_update:
        return write()
    whole, answer = compiler.query, None
    for some in _portions(before, STATEMENT):
        compiler.query = whole.clone()
        compiler.query.add_q(Q(pk__in=some))
        answer = write() if answer is None else answer + write()
    return answer


def _portions(values: Iterable[Any], size: int) -> list[list[Any]]:
    rest = iter(values)
    return list(iter(lambda: list(islice(rest, size)), []))


def _emit(tracking: Tracking, using: str, events: list[dict[str, Any]]) -> None:
    log = logs[tracking.log]
    if not events:
        return
    if log.backend.alias == using:
        log.append_many(events)
    else:
        emit = partial(copy_context().run, log.append_many, events)
        transaction.on_commit(emit, using=using, robust=True)
