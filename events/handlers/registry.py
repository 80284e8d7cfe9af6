"""The handlers that there are: those of the decorator, and of whatever else is a source of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..conf import DEFAULT_LOG
from ..cursors import Kinds
from .spec import RETRY, Driver, Spec, make_spec

if TYPE_CHECKING:
    from .control import Handler

F = TypeVar("F", bound=Callable[..., Any])

# Asked every second, so that handlers may come and go while a worker runs; it may ask a database.
Source = Callable[[], Iterable[Spec]]

_decorated: list[Spec] = []
# By what the names of theirs begin with.
sources: dict[str, Source] = {"": lambda: _decorated}
# Started beside every runner.
drivers: list[Driver] = []


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


def decorated() -> list[Spec]:
    """Every registration in the code, those of one name as well: a check complains of these."""
    return list(_decorated)


class Handlers:
    """Handlers by name: `handlers["mailer"].status()`. Iterating gives those in the code."""

    def specs(self) -> dict[str, Spec]:
        """Of the other sources as well."""
        return {spec.name: spec for source in sources.values() for spec in source()}

    def __getitem__(self, name: str) -> "Handler":
        # Not above: models cannot be imported before the apps are ready, and this module is.
        from .control import Handler

        found = self._find(name)
        if found is None:
            known = ", ".join(map(repr, self)) or "none"
            raise KeyError(f"There is no handler {name!r}; known: {known}.")
        return Handler(found)

    def __iter__(self) -> Iterator[str]:
        return iter({spec.name: spec for spec in _decorated})

    def __contains__(self, name: object) -> bool:
        return self._find(name) is not None

    def _find(self, name: object) -> Spec | None:
        """The last one registered; a source that may ask a database is asked for its own alone."""
        begins = name if isinstance(name, str) else ""
        some = [source for start, source in sources.items() if begins.startswith(start)]
        specs = [spec for source in some for spec in source() if spec.name == name]
        return specs[-1] if specs else None

    def __len__(self) -> int:
        return len(list(iter(self)))


handlers = Handlers()
