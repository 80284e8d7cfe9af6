"""Threads for the store, the database connections that they hold, and verbs that are awaited."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .internals import release_request_thread, request_has_thread

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


def twin(
    verb: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """The same verb, to be awaited. It asks the object for the verb, so that a subclass that
    overrides `read` has overridden `aread` as well."""

    @wraps(verb)
    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await sync_to_async(getattr(self, verb.__name__))(*args, **kwargs)  # type: ignore[no-any-return]

    awaited.__name__ = f"a{verb.__name__}"
    return awaited


class StoreThread:
    """A thread of its own with its own connections, from the first work until it is closed; or, in
    a test, the thread of the caller.

    The connection to the database `beside_pool` is no pool's: its work waits for no request that
    keeps one.
    """

    def __init__(
        self, name: str, *, beside_pool: str | None = None, in_callers_thread: bool = False
    ) -> None:
        self.name = name
        self.beside_pool = beside_pool
        self.in_callers_thread = in_callers_thread
        self.executor: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        if self.in_callers_thread:
            return await sync_to_async(work)(*arguments)
        if self.executor is None:
            self.executor = ThreadPoolExecutor(1, self.name, self._begin)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, closing_connections, work, *arguments)

    def _begin(self) -> None:
        if self.beside_pool is not None:
            connections[self.beside_pool] = own_connection(self.beside_pool)

    def close(self) -> None:
        executor, self.executor = self.executor, None
        if executor is not None:
            executor.submit(connections.close_all)
            executor.shutdown(wait=False)


def at_end_of_child(work: Callable[[], object], priority: int = 0) -> None:
    """Call `work` when the process ends, if it is a child of multiprocessing, or of Celery's
    billiard: these end without atexit. Those of a higher priority come first."""
    for library in ("multiprocessing", "billiard"):
        if util := sys.modules.get(f"{library}.util"):
            util.Finalize(None, work, exitpriority=priority)


def own_connection(alias: str) -> BaseDatabaseWrapper:
    """A connection that is no request's: beside a pool, and kept."""
    connection = connections.create_connection(alias)
    own = {**connection.settings_dict["OPTIONS"]}
    own.pop("pool", None)
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": own, "CONN_MAX_AGE": None}
    return connection


def closing_connections(work: Callable[..., T], *arguments: object) -> T:
    """Call it in a thread of ours. After an error its connections may be broken, so they are
    closed; otherwise they are kept, but for those of a pool, which is small and the whole site's:
    nobody else would ever get these."""
    try:
        result = work(*arguments)
    except BaseException:
        connections.close_all()
        raise
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict.get("OPTIONS", {}).get("pool"):
            connection.close()
    return result


async def release_thread() -> None:
    """Give back the thread and the connections that Django keeps for this request. The next
    `sync_to_async` gets a new thread."""
    if request_has_thread():
        await sync_to_async(give_back_thread)()


def give_back_thread() -> None:
    """The same, called in that thread. A connection inside a transaction is left alone: that is a
    test's."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    release_request_thread()


# Per-loop registries keyed by log. Values reference their loop, so drop them explicitly.
Registry = dict[asyncio.AbstractEventLoop, dict[str, T]]


def here(registry: Registry[T]) -> dict[str, T]:
    """The values of the running loop, by log."""
    # A loop that was closed while something ran in it has dropped nothing.
    for loop in [loop for loop in list(registry) if loop.is_closed()]:
        registry.pop(loop, None)
    return registry.setdefault(asyncio.get_running_loop(), {})


def forget(registry: Registry[T], log: str, value: T) -> None:
    """Drop the running loop's value for a log, unless that is another by now."""
    loop = asyncio.get_running_loop()
    by_log = registry.get(loop, {})
    if by_log.get(log) is value:
        del by_log[log]
    if not by_log:
        registry.pop(loop, None)
