"""What a handler is: a function and its options. Types are checked at import, values by a check."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from zlib import crc32

from ..cursors import Kinds, make_query
from ..validation import shown, valid_stream

MAX_NAME = 100
MAX_SHARDS = 1024
RETRY = (10, 60, 600, 3600, 21600)


class Driver(Protocol):
    """Does the work of the handlers whose specs name it, in place of the runner's threads."""

    def start(self, names: Sequence[str]) -> Callable[[], object]:
        """Beside a runner, whose handlers these are (or all, if they are none). The answer ends it."""

    def run_now(
        self, specs: Sequence["Spec"], *, raising: bool, stopping: Callable[[], bool]
    ) -> int:
        """Do what is due, in this thread; how many steps that took."""


@dataclass(frozen=True)
class Spec:
    name: str
    function: Callable[[Any], Any]
    kind: Kinds
    log: str
    since: str | int
    stream: str | None
    shards: int
    batch: int
    atomic: bool
    retry: tuple[float, ...]
    on_gap: str
    driver: Driver | None = None

    def problems(self) -> Iterator[str]:
        """What is wrong with the values of the options."""
        if not self.name or len(self.name) > MAX_NAME or not self.name.isprintable():
            yield f"its name must be 1 to {MAX_NAME} printable characters"
        if self.name.startswith("-"):
            yield "its name must not begin with '-', as options of commands do"
        try:
            # One stream, and no prefix.
            valid_stream("" if self.stream is None else self.stream)
            make_query(self.since, 1, None, self.kind, None, page_size=1, max_page_size=1)
        except ValueError as error:
            yield str(error)
        if not 1 <= self.shards <= MAX_SHARDS:
            yield f"shards must be from 1 to {MAX_SHARDS}, not {self.shards}"
        if self.batch < 1:
            yield f"batch must be at least 1, not {self.batch}"
        # Not `< 0`: NaN is not less than anything.
        if not all(0 <= seconds < 10**9 for seconds in self.retry):
            yield f"retry must be seconds from 0, not {shown(self.retry)}"
        if self.on_gap not in ("stop", "skip"):
            yield f"on_gap must be 'stop' or 'skip', not {shown(self.on_gap)}"


def make_spec(function: object, **options: Any) -> Spec:
    """A handler of options that have the right types; TypeError if they have not."""
    if not callable(function):
        raise TypeError(f"a handler must be a function, not {shown(function)}")
    kind = options["kind"]
    if kind is not None and not isinstance(kind, str):
        kind = tuple(kind) if isinstance(kind, Iterable) else (kind,)
        if not all(isinstance(one, str) for one in kind):
            raise TypeError(f"kind must be a string or a list of strings, not {shown(kind)}")
    for name, types in TYPES.items():
        value = options[name]
        # To Python, True is an integer.
        right = isinstance(value, bool) if types is bool else not isinstance(value, bool)
        if not (right and isinstance(value, types)):
            wanted = getattr(types, "__name__", str(types)).replace("NoneType", "None")
            raise TypeError(f"{name} must be {wanted}, not {shown(value)}")
    retry = options["retry"]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in retry):
        raise TypeError(f"retry must be numbers of seconds, not {shown(retry)}")
    return Spec(function=function, **{**options, "kind": kind, "retry": tuple(retry)})


TYPES: dict[str, Any] = {
    "name": str,
    "log": str,
    "since": str | int,
    "stream": str | None,
    "shards": int,
    "batch": int,
    "atomic": bool,
    "retry": tuple | list,
    "on_gap": str,
}


def is_in(stream: str, number: int, of: int) -> bool:
    return of == 1 or hash_of(stream) % of == number


def hash_of(stream: str) -> int:
    """What decides on a stream's shard."""
    return crc32(stream.encode())
