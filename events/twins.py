"""The asynchronous twin of a synchronous verb."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def twin(
    verb: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The same verb, to be awaited. It asks the object for the verb, so that a subclass that
    overrides `read` has overridden `aread` as well."""

    @wraps(verb)
    async def awaited(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await sync_to_async(getattr(self, verb.__name__))(*args, **kwargs)  # type: ignore[no-any-return]

    awaited.__name__ = f"a{verb.__name__}"
    return awaited
