"""Where Django executes what it writes: each statement passes by `statements`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.db.models import Model
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from . import statements
from .rows import Tracking

tracked: dict[type[Model], Tracking] = {}
_raw = ContextVar("events_tracking_raw", default=False)


def install() -> None:
    """Once: have each statement that writes pass by here."""
    save_table = Model.__dict__["_save_table"]
    if hasattr(save_table, "__wrapped__"):
        return
    for compiler, tell in (
        (SQLInsertCompiler, statements.insert),
        (SQLUpdateCompiler, statements.update),
        (SQLDeleteCompiler, statements.delete),
    ):
        # Django 6 has an UPDATE … RETURNING beside the plain one.
        for method in ("execute_sql", "execute_returning_sql"):
            if hasattr(compiler, method):
                nothing: int | list[Any] = 0 if method == "execute_sql" else []
                setattr(compiler, method, _watched(getattr(compiler, method), tell, nothing))
    setattr(Model, "_save_table", _noting_raw(save_table))  # noqa: B010  (unknown to the stubs)


def _watched(
    execute: Callable[..., Any], tell: Callable[..., Any], nothing: int | list[Any]
) -> Callable[..., Any]:
    @wraps(execute)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        tracking = tracked.get(self.query.get_meta().concrete_model)
        # One of its methods may call the other.
        if tracking is None or _raw.get() or self.__dict__.get("_is_tracked"):
            return execute(self, *args, **kwargs)
        self._is_tracked = True
        try:
            answer = tell(tracking, self, lambda: execute(self, *args, **kwargs))
            return nothing if answer is None else answer
        finally:
            self._is_tracked = False

    return watched


def _noting_raw(save_table: Callable[..., Any]) -> Callable[..., Any]:
    """An UPDATE does not know that it is a fixture's."""

    @wraps(save_table)
    def noting_raw(self: Model, raw: bool = False, *args: Any, **kwargs: Any) -> Any:
        token = _raw.set(bool(raw))
        try:
            return save_table(self, raw, *args, **kwargs)
        finally:
            _raw.reset(token)

    return noting_raw
