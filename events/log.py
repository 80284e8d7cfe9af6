"""What a project holds in its hands: a log, and the registry of those that it has configured."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from . import hooks
from .backends.base import DELETE_BATCH, Progress, Pruning
from .base_log import BaseLog, Items, Payload
from .conf import DEFAULT_LOG, log_settings, positive
from .cursors import checked_integer
from .exceptions import LogDoesNotExist
from .streams import UNSET, StreamHandle
from .threads import twin
from .types import Entry, LogInfo
from .validation import shown


class EventLog(BaseLog):
    """One log. Every verb that touches the store has an async twin with an `a` in front."""

    def info(self) -> LogInfo:
        """Where the log stands, at a cost that does not grow with it."""
        return self.backend.info()

    ainfo = twin(info)

    # Looking after

    def reconcile(self) -> list[str]:
        """Do what dead processes have left undone: give committed events their positions, remove
        what is left of deleted streams, and fail those that have been silent for too long; the
        names of these.

        Any number of processes may do it; each stream fails once.
        """
        for chore in hooks.chores:
            chore(self)
        return self.backend.fail_idle()

    areconcile = twin(reconcile)

    # Letting go

    def prune(
        self,
        ttl: float | timedelta | None = UNSET,
        max_entries: int | None = UNSET,
        *,
        batch_size: int = DELETE_BATCH,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Remove entries older than `ttl` seconds, then the oldest beyond `max_entries`.

        Without either, by the log's own settings. Answers how many were removed. A bound of zero
        would empty the log by mistake: `clear()` does so on purpose.
        """
        if ttl is UNSET and max_entries is UNSET:
            ttl, max_entries = self.settings.ttl, self.settings.max_entries
        how = Pruning(checked_integer("batch_size", batch_size, least=1), dry_run, progress)
        return self.backend.prune(_bound("ttl", ttl), _bound("max_entries", max_entries), how)

    aprune = twin(prune)

    def clear(self) -> int:
        """Remove every entry. Positions go on from where they were."""
        return self.backend.clear()

    aclear = twin(clear)

    def renew_epoch(self, *, reset_clock: bool = False) -> str:
        """Give the log a new identity after a restore, so that older cursors are told so. With
        `reset_clock`, events from the future, which a wrong clock has left, get the time of now."""
        return self.backend.renew_epoch(reset_clock)

    arenew_epoch = twin(renew_epoch)

    # Streams

    def stream(self, name: str) -> StreamHandle:
        """A handle on a stream of this log. Nothing is stored until it is used."""
        return StreamHandle(self, name)

    def durable(self, name: str) -> Any:
        """A handle on a stream that is written and read over the Durable Streams protocol."""
        for handle in hooks.durable:
            return handle(self, name)
        raise ImproperlyConfigured("Durable streams need 'events.durable' in INSTALLED_APPS.")


def _bound(name: Literal["ttl", "max_entries"], given: float | timedelta | None) -> Any:
    if given is None or given is UNSET:
        return None
    number = None if isinstance(given, str) else positive(given, whole=name == "max_entries")
    if number is not None:
        return number
    wanted = "seconds above 0 or a timedelta" if name == "ttl" else "a whole number from 1"
    raise ValueError(f"{name} must be {wanted}, not {shown(given)}; clear() empties a log")


class Logs:
    """The configured logs by name: `logs["default"]`."""

    def __init__(self) -> None:
        self._made: dict[str, EventLog] = {}

    def __getitem__(self, name: str) -> EventLog:
        if (made := self._made.get(name)) is not None:
            return made
        configured = log_settings()
        if name not in configured:
            known = ", ".join(map(repr, configured))
            raise LogDoesNotExist(f"There is no log {name!r}; EVENTS has {known}.")
        return self._made.setdefault(name, EventLog(configured[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(log_settings())

    def __contains__(self, name: object) -> bool:
        return name in log_settings()

    def forget(self) -> None:
        """Make every log anew when it is next asked for."""
        self._made.clear()


logs = Logs()


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    # After conf's own receiver, which is connected first because it is imported first.
    if setting == "EVENTS":
        logs.forget()


def emit(
    kind: str,
    payload: Payload = None,
    *,
    stream: str = "",
    key: str | None = None,
    log: str = DEFAULT_LOG,
) -> Entry:
    """Store one event in a log; see `EventLog.append`."""
    return logs[log].append(kind, payload, stream=stream, key=key)


async def aemit(
    kind: str,
    payload: Payload = None,
    *,
    stream: str = "",
    key: str | None = None,
    log: str = DEFAULT_LOG,
) -> Entry:
    return await logs[log].aappend(kind, payload, stream=stream, key=key)


def emit_many(items: Items, *, log: str = DEFAULT_LOG) -> list[Entry]:
    """Store all of these events or none; see `EventLog.append_many`."""
    return logs[log].append_many(items)


async def aemit_many(items: Items, *, log: str = DEFAULT_LOG) -> list[Entry]:
    return await logs[log].aappend_many(items)
