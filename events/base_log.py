"""What is appended to a log and read from it; `log` adds what looks after one."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Unpack

from asgiref.sync import sync_to_async
from django.utils.module_loading import import_string
from django.utils.timezone import is_naive, make_aware

from .backends.base import BaseBackend
from .coalesce import append_together
from .conf import LogSettings
from .context import acurrent, current
from .cursors import Kinds, Query, Rows, Since, Streams, Wanted, make_query, unreadable
from .exceptions import CursorExpired
from .internals import has_sync_caller, loop_has_sync_caller
from .live.tail import follow
from .policy import Policy
from .threads import StoreThread, twin
from .types import Entry, Page, to_micros
from .validation import shown, valid_item, valid_items

# Where a read begins: also at a moment.
Start = Since | datetime
Payload = dict[str, Any] | None
Items = Iterable[tuple[str, Payload] | tuple[str] | Mapping[str, Any]]


class BaseLog:
    """A log as its streams see it: their handles need one, and `EventLog` makes the handles."""

    def __init__(self, settings: LogSettings) -> None:
        self.name = settings.name
        self.settings = settings
        self.backend: BaseBackend = import_string(settings.backend)(settings)
        self.policy: Policy = import_string(settings.policy)()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {type(self.backend).__name__}>"

    # Writing

    def append(
        self, kind: str, payload: Payload = None, *, stream: str = "", key: str | None = None
    ) -> Entry:
        """Store one event: with the caller's transaction if there is one, else at once.

        With a `key`, a repetition answers with the first entry instead of storing another.
        """
        item = valid_item(self.settings, current(), kind, payload, stream, key)
        return self.backend.append([item])[0]

    def append_many(self, items: Items) -> list[Entry]:
        """Store all of these events, in this order, or none of them."""
        return self.backend.append(valid_items(self.settings, items, current()))

    async def aappend(
        self, kind: str, payload: Payload = None, *, stream: str = "", key: str | None = None
    ) -> Entry:
        """As `append`. Calls that arrive together share one trip to the database."""
        if has_sync_caller() or not self.backend.coalesces:
            return await sync_to_async(self.append)(kind, payload, stream=stream, key=key)
        item = valid_item(self.settings, await acurrent(), kind, payload, stream, key)
        return (await append_together(self.backend, [item]))[0]

    async def aappend_many(self, items: Items) -> list[Entry]:
        if has_sync_caller() or not self.backend.coalesces:
            return await sync_to_async(self.append_many)(items)
        checked = valid_items(self.settings, items, await acurrent())
        return await append_together(self.backend, checked)

    # Reading

    def read(
        self,
        since: Start = "earliest",
        limit: int | None = None,
        *,
        stream: Streams = None,
        kind: Kinds = None,
        epoch: str | None = None,
        last: int | None = None,
    ) -> Page:
        """A page of what comes after `since`: `earliest`, `latest`, a position consumed, or a
        moment, from which on all that is still there is read.

        `kind` is `turn.started`, `turn.*`, or a list of such; `stream` is a name, `red:*`, or a list
        of such. `last=50`, in place of `since`, begins with the newest 50 entries that match. A
        `limit` of 0 only looks where the log stands. Go on with `since=page.cursor`, and pass
        `epoch=page.epoch` along if the cursor is kept for long.
        """
        since = position_of(self.backend, since)
        query = self.query(since, limit, stream=stream, kind=kind, epoch=epoch, last=last)
        found, entries = read_entries(self.backend, query)
        return Page(entries, found.cursor, found.state.head, found.state.epoch, found.gap)

    aread = twin(read)

    def tail(
        self,
        since: Start = "earliest",
        *,
        stream: Streams = None,
        kind: Kinds = None,
        on_gap: Literal["raise", "skip"] = "raise",
        epoch: str | None = None,
        last: int | None = None,
    ) -> AsyncGenerator[Entry]:
        """Follow the log, for ever: `async for entry in log.tail(): …`.

        What the reader can no longer have raises CursorExpired, or with `on_gap="skip"` goes
        unmentioned. With one `stream`, it ends when that has ended or is deleted; a stream that
        does not exist yet is waited for.
        """
        if on_gap not in ("raise", "skip"):
            raise ValueError(f"on_gap must be 'raise' or 'skip', not {shown(on_gap)}")
        moment = since if isinstance(since, datetime) else None
        query = self.query(0 if moment else since, stream=stream, kind=kind, epoch=epoch, last=last)
        return self._tail(query, moment, strict=on_gap == "raise")

    async def _tail(
        self, query: Query, moment: datetime | None, *, strict: bool
    ) -> AsyncGenerator[Entry]:
        if moment is not None:
            # Not sync_to_async: its thread would keep a connection for as long as this goes on.
            thread = StoreThread(
                f"events-moment-{self.name}", in_callers_thread=loop_has_sync_caller()
            )
            try:
                query = replace(query, since=await thread.run(position_of, self.backend, moment))
            finally:
                thread.close()
        async with follow(self.backend, query) as tail:
            async for batch in tail:
                if batch.gap and strict:
                    raise CursorExpired(batch.gap)
                for sealed in batch.entries:
                    try:
                        entry = Entry.from_row(sealed.row)
                    except ValueError:
                        if strict:
                            raise CursorExpired(unreadable(sealed.position)) from None
                        continue
                    yield entry

    def query(
        self, since: object = "earliest", limit: object = None, **wanted: Unpack[Wanted]
    ) -> Query:
        """The arguments of a read, checked; a ValueError names what is wrong."""
        page_size, most = self.settings.page_size, self.settings.max_page_size
        return make_query(since, limit, **wanted, page_size=page_size, max_page_size=most)


def position_of(backend: BaseBackend, since: Any) -> Any:
    """Where a moment is in the log; anything else stays what it is."""
    if not isinstance(since, datetime):
        return since
    if is_naive(since):
        # As a DateTimeField has it.
        since = make_aware(since)
    # The floor of `info()`, so that what has expired is no gap; it drains the outbox, too.
    return max(backend.info().floor, backend.position_at(to_micros(since)))


def read_entries(backend: BaseBackend, query: Query) -> tuple[Rows, list[Entry]]:
    """A page, parsed. A row that only a parser finds damaged has the page read again."""
    found = backend.read(query)
    try:
        return found, [Entry.from_row(row) for row in found.rows]
    except ValueError:
        found = backend.read(replace(query, careful=True))
        return found, [Entry.from_row(row) for row in found.rows]
