"""Everything of other libraries that they do not promise: each behind one function, which says
what it relies on. `tests/test_internals.py` fails where a new version changes it.

Seen in Python 3.11 to 3.13, asgiref 3.13, Django 5.2 to 6.1, Channels 4.3 and Django REST
framework 3.18.
"""

import asyncio
import json.encoder
import re
import select
import sys
from argparse import ArgumentParser
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextvars import Context, ContextVar
from functools import wraps
from inspect import iscoroutine
from types import coroutine
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.sql import Query, UpdateQuery
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler
from django.http import HttpRequest, StreamingHttpResponse

# json


def compact_dumps() -> Callable[[object], str]:
    """Makes compact JSON without NaN, as a `JSONEncoder` does that is told so; but that one makes
    its machine anew for every value, which takes a third of the time. Relies on `c_make_encoder`,
    on the order of what it takes, and on its answer, a series of texts."""
    encoder = json.JSONEncoder(
        separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
    )
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    text: Any = json.encoder.encode_basestring
    machine = make(None, encoder.default, text, None, ":", ",", False, False, False)
    return lambda value: "".join(machine(value, 0))


# asyncio


def start_in_task(
    awaitable: Awaitable[None], task: asyncio.Task[Any], context: Context
) -> Awaitable[None] | None:
    """Run the beginning of an awaitable as if the task, which waits, had awaited it; the rest, if
    it has to wait, is for the task to await. Relies on `_enter_task` and `_leave_task`, which say
    whose turn it is (so that a timeout within ends the right task), and on a coroutine to yield the
    futures that it waits for."""
    # A coroutine can be driven directly; wrap any other awaitable, which may lack `send()` and
    # `throw()`.
    steps: Any = (awaitable if iscoroutine(awaitable) else _awaited(awaitable)).__await__()
    loop, caller = task.get_loop(), asyncio.current_task()
    if caller is not None:
        _leave_task(loop, caller)
    _enter_task(loop, task)
    try:
        return _rest(steps, context.run(next, steps))
    except StopIteration:
        return None
    finally:
        _leave_task(loop, task)
        if caller is not None:
            _enter_task(loop, caller)


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


@coroutine
def _rest(steps: Any, waits_for: Any) -> Generator[Any, Any, None]:
    while True:
        try:
            try:
                yield waits_for
            except BaseException as error:
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(None)
        except StopIteration:
            return


# asgiref


def has_sync_caller() -> bool:
    """Does a synchronous caller wait for this coroutine, perhaps with a transaction open? Relies on
    `AsyncToSync.executors`, which have the thread of such a caller."""
    return bool(getattr(AsyncToSync.executors, "current", None)) or loop_has_sync_caller()


def loop_has_sync_caller() -> bool:
    """Was the running loop made for a synchronous caller, as in an asynchronous test? Relies on
    `AsyncToSync.loop_thread_executors`, by loop."""
    return asyncio.get_running_loop() in AsyncToSync.loop_thread_executors


def release_request_thread() -> None:
    """Give back the thread that a request keeps for its synchronous code; the next `sync_to_async`
    gets a new one. Relies on `SyncToAsync.thread_sensitive_context` and
    `context_to_thread_executor`, which are filled when needed."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor is not None:
        executor.shutdown(wait=False)


def request_has_thread() -> bool:
    """Is there a thread for synchronous code that `release_request_thread` could give back, or one
    that all requests share? Relies on the same as `release_request_thread`."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    return context is None or context in SyncToAsync.context_to_thread_executor


# Channels


def loop_of_readers(layer: Any) -> asyncio.AbstractEventLoop | None:
    """The loop in which somebody waits for a message of an in-memory layer. Relies on its
    `channels`, which are queues, and on a queue's `_loop`, which is set the first time that
    somebody waits for it."""
    for queue in list(layer.channels.values()):
        loop: asyncio.AbstractEventLoop | None = getattr(queue, "_loop", None)
        if loop is not None and loop.is_running():
            return loop
    return None


# redis-py


def is_silent(connection: Any) -> bool:
    """Is this connection open, and is there nothing to be read from it? Then its server has not closed
    it either. `can_read` says the same in seven times as long. Relies on `_sock`, which is None while
    the connection is closed."""
    if connection._sock is None or not HAS_POLL:
        return False
    return not _poll_of(connection).poll(0)


def answers_within(connection: Any, seconds: float) -> bool:
    """Is there something to read from this open connection, or will there be in so many seconds? That
    may be more or less than its own timeout. Relies on `_sock`."""
    return not HAS_POLL or bool(_poll_of(connection).poll(seconds * 1000))


HAS_POLL = hasattr(select, "poll")


def _poll_of(connection: Any) -> Any:
    """What watches its socket, made once for each."""
    sock, poll = connection.__dict__.get("_events_poll", (None, None))
    if sock is not connection._sock:
        poll = select.poll()
        poll.register(connection._sock, select.POLLIN)
        connection._events_poll = connection._sock, poll
    return poll


# HTTP


def passes_untouched(response: StreamingHttpResponse, content: object) -> bool:
    """Has no middleware put something around the content of this response? Relies on `_iterator`,
    where Django keeps what it was given."""
    return getattr(response, "_iterator", None) is content


def django_request(request: Any) -> HttpRequest:
    """Django's own request within one of Django REST framework. Relies on `_request`."""
    found: HttpRequest = request._request
    return found


# Tests


def in_test_environment() -> bool:
    """Has `setup_test_environment()` been called? Relies on `_TestState.saved_data`, which is there
    from then until its counterpart."""
    utils = sys.modules.get("django.test.utils")
    return utils is not None and hasattr(utils._TestState, "saved_data")


# Transactions


def in_test_case_only(connection: BaseDatabaseWrapper) -> bool:
    """Are all of the open atomic blocks those of Django's TestCase around a test? Relies on
    `atomic_blocks`, and on the mark `_from_testcase` of each."""
    blocks: Any = connection.atomic_blocks
    return all(block._from_testcase for block in blocks)


def commit_hooks(connection: BaseDatabaseWrapper) -> Iterator[object]:
    """What waits for the commit, and no savepoint has taken back: the latest first. Relies on
    `run_on_commit`, a list of tuples whose second member is the callable."""
    for _, hook, *_ in reversed(connection.run_on_commit):
        yield hook


# Statements of the ORM


def compiled(rows: QuerySet[Any], **values: object) -> tuple[str, tuple[Any, ...]]:
    """The SELECT that a QuerySet stands for, or the UPDATE to these values, and its parameters: for
    statements that are run so often that making them anew takes longer than running them. Relies on
    `get_compiler`, on `as_sql`, and on `add_update_values` of an UpdateQuery."""
    query: Any = rows.query
    if values:
        query = query.chain(UpdateQuery)
        query.add_update_values(values)
    sql, parameters = query.get_compiler(using=rows.db).as_sql()
    return sql, tuple(parameters)


# Called with what is told of the model, the statement's compiler, and what executes it. None is
# the answer of a statement that was not executed.
Watcher = Callable[[Any, Any, Callable[[], Any]], Any]

_is_fixture = ContextVar("events_is_fixture", default=False)


def watch_writes(
    models: Mapping[type[Model], Any], insert: Watcher, update: Watcher, delete: Watcher
) -> None:
    """From now on, have each INSERT, UPDATE and DELETE of one of these models pass by a watcher;
    but for those of fixtures. Relies on the compilers' `execute_sql`, on `execute_returning_sql`
    beside it (Django 6), and on `raw`, the first argument of `Model._save_table`."""
    save_table = Model.__dict__["_save_table"]
    if hasattr(save_table, "__wrapped__"):
        return
    for compiler, watcher in (
        (SQLInsertCompiler, insert),
        (SQLUpdateCompiler, update),
        (SQLDeleteCompiler, delete),
    ):
        for method, nothing in (("execute_sql", 0), ("execute_returning_sql", [])):
            if hasattr(compiler, method):
                execute = getattr(compiler, method)
                setattr(compiler, method, _watched(models, execute, watcher, nothing))
    setattr(Model, "_save_table", _noting_fixtures(save_table))  # noqa: B010  (unknown to the stubs)


def _watched(
    models: Mapping[type[Model], Any],
    execute: Callable[..., Any],
    watcher: Watcher,
    nothing: int | list[Any],
) -> Callable[..., Any]:
    @wraps(execute)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        told = models.get(self.query.get_meta().concrete_model)
        # One of its methods may call the other.
        if told is None or _is_fixture.get() or self.__dict__.get("_is_watched"):
            return execute(self, *args, **kwargs)
        self._is_watched = True
        try:
            answer = watcher(told, self, lambda: execute(self, *args, **kwargs))
            return nothing if answer is None else answer
        finally:
            self._is_watched = False

    return watched


def _noting_fixtures(save_table: Callable[..., Any]) -> Callable[..., Any]:
    """An UPDATE does not know that it is a fixture's."""

    @wraps(save_table)
    def noting_fixtures(self: Model, raw: bool = False, *args: Any, **kwargs: Any) -> Any:
        token = _is_fixture.set(bool(raw))
        try:
            return save_table(self, raw, *args, **kwargs)
        finally:
            _is_fixture.reset(token)

    return noting_fixtures


def inserted_keys(compiler: Any, answer: Sequence[Sequence[Any]]) -> list[Any]:
    """The primary keys of the rows that an INSERT has made, as far as they are known. Relies on the
    query's `on_conflict` and `objs`, and on the compiler's `returning_fields`, which name the
    columns of the answer."""
    query = compiler.query
    if query.on_conflict is not None:
        return []
    pk = query.get_meta().pk
    returned = list(compiler.returning_fields or ())
    if answer and pk in returned:
        return [row[returned.index(pk)] for row in answer]
    keys = [instance.pk for instance in query.objs]
    return [key for key in keys if key is not None and not hasattr(key, "resolve_expression")]


def rows_to_write(compiler: Any, model: type[Model]) -> QuerySet[Model]:
    """The rows that an UPDATE or DELETE is about to write to, in a form that can be locked. Relies
    on the methods of a Query that a QuerySet is made of."""
    found = compiler.query.chain(klass=Query)
    found.get_initial_alias()
    found.clear_ordering(force=True)
    found.clear_select_clause()
    # Whole rows, whatever the caller left out: what is deferred would be read after the write, and
    # a model that looks at its own columns when it is made would read them one by one, for ever.
    found.clear_deferred_loading()
    # One table has each row once, and DISTINCT cannot be locked.
    found.distinct = False
    found.model = model
    if found.count_active_tables() == 1 and found.group_by is None:
        found.default_cols = True
        return QuerySet(model, query=found, using=compiler.using)
    # A join or a GROUP BY cannot be locked: the rows that it finds can.
    found.add_fields([model._meta.pk.name])
    return QuerySet(model, using=compiler.using).filter(pk__in=found)


def take_times_ago(parser: ArgumentParser) -> None:
    """Have `--since -15m` taken for a value, as `--since -15` is, and not for an option."""
    parser._negative_number_matcher = re.compile(r"-\d+[smhd]?$")
