"""What a project holds in its hands: a log, and the registry of those that it has configured."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from .backends.base import DELETE_BATCH, BaseBackend, Progress
from .coalesce import append_together
from .conf import DEFAULT_LOG, LogSettings, log_settings, positive
from .cursors import Kinds, Query, Since, make_query, whole
from .exceptions import CursorExpired, LogDoesNotExist
from .internals import has_sync_caller
from .live.tail import follow
from .policy import Policy
from .streams import UNSET, StreamHandle
from .twins import twin
from .types import Entry, LogInfo, Page
from .validation import Item, shown, valid_item, valid_items

Payload = dict[str, Any] | None
Items = Iterable[tuple[str, Payload] | tuple[str] | Mapping[str, Any]]


class EventLog:
    """One log. Every verb that touches the store has an async twin with an `a` in front."""

    def __init__(self, settings: LogSettings) -> None:
        self.name = settings.name
        self.settings = settings
        self.backend: BaseBackend = import_string(settings.backend)(settings)
        self.policy: Policy = import_string(settings.policy)()

    def __repr__(self) -> str:
        return f"<EventLog {self.name!r}: {type(self.backend).__name__}>"

    # Writing

    def append(
        self, kind: str, payload: Payload = None, *, stream: str = "", key: str | None = None
    ) -> Entry:
        """Store one event: with the caller's transaction if there is one, else at once.

        With a `key`, a repetition answers with the first entry instead of storing another.
        """
        return self.backend.append([self._item(kind, payload, stream, key)])[0]

    def append_many(self, items: Items) -> list[Entry]:
        """Store all of these events, next to each other, or none of them."""
        return self.backend.append(self._items(items))

    async def aappend(
        self, kind: str, payload: Payload = None, *, stream: str = "", key: str | None = None
    ) -> Entry:
        """As `append`. Calls that arrive together share one trip to the database."""
        if has_sync_caller() or not self.backend.coalesces:
            return await sync_to_async(self.append)(kind, payload, stream=stream, key=key)
        item = self._item(kind, payload, stream, key)
        return (await append_together(self.backend, [item]))[0]

    async def aappend_many(self, items: Items) -> list[Entry]:
        if has_sync_caller() or not self.backend.coalesces:
            return await sync_to_async(self.append_many)(items)
        return await append_together(self.backend, self._items(items))

    def _item(self, kind: object, payload: object, stream: object, key: object) -> Item:
        return valid_item(kind, payload, stream, key, self.settings.max_payload_bytes)

    def _items(self, items: object) -> list[Item]:
        return valid_items(items, self.settings.max_payload_bytes)

    # Reading

    def read(
        self,
        since: Since = "earliest",
        limit: int | None = None,
        *,
        stream: str | None = None,
        kind: Kinds = None,
        epoch: str | None = None,
    ) -> Page:
        """A page of what comes after `since`: `earliest`, `latest`, or a position consumed.

        `kind` is `turn.started`, `turn.*`, or a list of such; a `limit` of 0 only looks where
        the log stands. Go on with `since=page.cursor`, and pass `epoch=page.epoch` along if
        the cursor is kept for long.
        """
        found = self.backend.read(self.query(since, limit, stream=stream, kind=kind, epoch=epoch))
        return Page(
            entries=[Entry.from_row(row) for row in found.rows],
            cursor=found.cursor,
            head=found.state.head,
            epoch=found.state.epoch,
            gap=found.gap,
        )

    aread = twin(read)

    def tail(
        self,
        since: Since = "earliest",
        *,
        stream: str | None = None,
        kind: Kinds = None,
        on_gap: Literal["raise", "skip"] = "raise",
        epoch: str | None = None,
    ) -> AsyncGenerator[Entry]:
        """Follow the log, for ever: `async for entry in log.tail(): …`.

        What the reader can no longer have raises CursorExpired, or with `on_gap="skip"` goes
        unmentioned. With a `stream`, it ends when that has ended or is deleted; a stream that
        does not exist yet is waited for.
        """
        if on_gap not in ("raise", "skip"):
            raise ValueError(f"on_gap must be 'raise' or 'skip', not {shown(on_gap)}")
        query = self.query(since, stream=stream, kind=kind, epoch=epoch)
        return self._tail(query, strict=on_gap == "raise")

    async def _tail(self, query: Query, *, strict: bool) -> AsyncGenerator[Entry]:
        async with follow(self.backend, query) as tail:
            async for batch in tail:
                if batch.gap and strict:
                    raise CursorExpired(batch.gap)
                for entry in batch.entries:
                    yield Entry.from_row(entry.row)

    def query(
        self,
        since: object = "earliest",
        limit: object = None,
        *,
        stream: str | None = None,
        kind: Kinds = None,
        epoch: str | None = None,
    ) -> Query:
        """The arguments of a read, checked; a ValueError names what is wrong."""
        return make_query(
            since,
            limit,
            stream,
            kind,
            epoch,
            page_size=self.settings.page_size,
            max_page_size=self.settings.max_page_size,
        )

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
        return self.backend.prune(
            None if ttl is UNSET or ttl is None else _bound("ttl", ttl),
            None
            if max_entries is UNSET or max_entries is None
            else _bound("max_entries", max_entries),
            batch_size=whole("batch_size", batch_size, least=1),
            dry_run=dry_run,
            progress=progress,
        )

    aprune = twin(prune)

    def clear(self) -> int:
        """Remove every entry. Positions go on from where they were."""
        return self.backend.clear()

    aclear = twin(clear)

    def renew_epoch(self) -> str:
        """Give the log a new identity after a restore, so that older cursors are told so."""
        return self.backend.renew_epoch()

    arenew_epoch = twin(renew_epoch)

    # Streams

    def stream(self, name: str) -> StreamHandle:
        """A handle on a named thread through this log. Nothing is stored until it is used."""
        return StreamHandle(self, name)


def _bound(name: Literal["ttl", "max_entries"], given: float | timedelta) -> Any:
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
        try:
            return self._made[name]
        except KeyError:
            return self._made.setdefault(name, self._make(name))

    def _make(self, name: str) -> EventLog:
        configured = log_settings()
        if name not in configured:
            raise LogDoesNotExist(
                f"There is no log {name!r}; EVENTS has {', '.join(map(repr, configured))}."
            )
        return EventLog(configured[name])

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
