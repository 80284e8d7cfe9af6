"""What a project's own tests need; see docs/how-to/testing.md.

In Django's TestCase `emit()` is stored at once, and what a transaction inside the test emitted is
read as soon as that has ended.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, overload

from django.conf import settings
from django.test import override_settings
from django.test.utils import TestContextDecorator

from .backends import memory
from .conf import DEFAULT_LOG
from .cursors import Kinds
from .log import EventLog, logs
from .types import Entry


class Captured(Sequence[Entry]):
    """The entries that a log got since the block began. Looks again whenever it is asked, until
    the block ends: then it stays as it is."""

    def __init__(self, log: EventLog, stream: str | None, kind: Kinds) -> None:
        self._log = log
        self._stream = stream
        self._kind = kind
        self._since = log.info().head
        self._frozen: list[Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        return self._read() if self._frozen is None else self._frozen

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return [entry.payload for entry in self.entries]

    def freeze(self) -> None:
        self._frozen = self._read()

    def _read(self) -> list[Entry]:
        found: list[Entry] = []
        since = self._since
        while True:
            page = self._log.read(since, stream=self._stream, kind=self._kind)
            found += page.entries
            since = page.cursor
            if since >= page.head:
                return found

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<Captured {self.entries!r}>"


@contextmanager
def capture_events(
    log: str = DEFAULT_LOG, *, stream: str | None = None, kind: Kinds = None
) -> Iterator[Captured]:
    """Collect what is stored in a log during the block. What is rolled back is not there."""
    captured = Captured(logs[log], stream, kind)
    try:
        yield captured
    except BaseException:
        # It may have broken the transaction: the error of a look at the log must not hide it.
        with suppress(Exception):
            captured.freeze()
        raise
    captured.freeze()


def run_handlers(*names: str) -> int:
    """Have handlers (all, or those named) do what is due now, in the test's own transaction; how many
    steps that took. What one raises is raised. One without a cursor begins at the earliest entry.

    For projects with `events.handlers` in INSTALLED_APPS.
    """
    # Not above: the app has models, and is optional.
    from .handlers import handlers, turn

    specs = [handlers[name].spec for name in names or handlers]
    return sum(turn.run_now(spec, since="earliest", raising=True) for spec in specs)


class memory_log(override_settings):
    """A fresh memory log in place of a configured one, for tests without a database.

    A decorator of tests and test classes, and a context manager.
    """

    def __init__(self, log: str = DEFAULT_LOG, **options: Any) -> None:
        self.log = log
        super().__init__()
        self.settings = {"BACKEND": "memory", **options}

    def decorate_class(self, cls: type) -> type:
        # Around each test, so that each has a fresh log. `override_settings` would copy the
        # options into the class here and now, and they are only known in `enable`.
        return TestContextDecorator.decorate_class(self, cls)

    def enable(self) -> None:
        memory.forget(self.log)
        configured = getattr(settings, "EVENTS", None)
        others = configured if isinstance(configured, Mapping) else {}
        self.options = {"EVENTS": {**others, self.log: self.settings}}
        super().enable()

    def disable(self) -> None:
        super().disable()
        memory.forget(self.log)


class ManualClock:
    """A clock that stands still until it is told to move: `OPTIONS = {"clock": clock}`."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
