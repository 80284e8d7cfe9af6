"""The handlers that there are: those of the decorator, and of whatever else is a source of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..conf import DEFAULT_LOG
from ..cursors import Kinds
from .spec import RETRY, Spec, make_spec

if TYPE_CHECKING:
    from .control import Handler

F = TypeVar("F", bound=Callable[..., Any])

# Asked every second, so that handlers may come and go while a worker runs.
Source = Callable[[], Iterable[Spec]]

_decorated: list[Spec] = []
sources: list[Source] = [lambda: _decorated]


def handler(
    kind: Kinds = None,
    *,
    name: str,
    log: str = DEFAULT_LOG,
    since: str | int = "latest",
    stream: str | None = None,
    shards: int = 1,
    batch: int = 1,
    atomic: bool = True,
    retry: tuple[float, ...] | list[float] = RETRY,
    on_gap: str = "stop",
) -> Callable[[F], F]:
    """Have `manage.py run_handlers` call the function with each entry, once; or, with a `batch`
    above 1, with lists of them.

    `name` is the identity of the cursor: a function that moves keeps it. See
    docs/reference/handlers.md.
    """
    options = {
        "kind": kind, "name": name, "log": log, "since": since, "stream": stream,
        "shards": shards, "batch": batch, "atomic": atomic, "retry": retry, "on_gap": on_gap,
    }  # fmt: skip
    # Here, so that the line with the mistake is in the traceback.
    make_spec(print, **options)

    def register(function: F) -> F:
        _decorated.append(make_spec(function, **options))
        return function

    return register


def all_specs() -> list[Spec]:
    """Every registration, those of one name as well: that is for a check to complain of."""
    return [spec for source in sources for spec in source()]


class Handlers:
    """The registered handlers by name: `handlers["mailer"].status()`."""

    def specs(self) -> dict[str, Spec]:
        return {spec.name: spec for spec in all_specs()}

    def __getitem__(self, name: str) -> Handler:
        # Not above: models cannot be imported before the apps are ready, and this module is.
        from .control import Handler

        known = self.specs()
        if name not in known:
            raise KeyError(
                f"There is no handler {name!r}; known: {', '.join(map(repr, known)) or 'none'}."
            )
        return Handler(known[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs())

    def __contains__(self, name: object) -> bool:
        return name in self.specs()

    def __len__(self) -> int:
        return len(self.specs())


handlers = Handlers()
