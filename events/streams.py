"""A stream: a named thread through a log, with a dense numbering of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .cursors import Kinds, Since
from .exceptions import InvalidEvent
from .twins import twin
from .types import Entry, Page
from .validation import valid_stream

if TYPE_CHECKING:
    from .log import EventLog


class StreamHandle:
    """The verbs of a log, for one stream."""

    def __init__(self, log: EventLog, name: str) -> None:
        if not valid_stream(name):
            raise InvalidEvent("stream", "must not be empty")
        self.log = log
        self.name = name

    def __repr__(self) -> str:
        return f"<StreamHandle {self.name!r} of {self.log!r}>"

    def emit(
        self, kind: str, payload: dict[str, Any] | None = None, *, key: str | None = None
    ) -> Entry:
        """Store an event in this stream."""
        return self.log.append(kind, payload, stream=self.name, key=key)

    async def aemit(
        self, kind: str, payload: dict[str, Any] | None = None, *, key: str | None = None
    ) -> Entry:
        return await self.log.aappend(kind, payload, stream=self.name, key=key)

    def read(
        self,
        since: Since = "earliest",
        limit: int | None = None,
        *,
        kind: Kinds = None,
        epoch: str | None = None,
    ) -> Page:
        """A page of this stream's events."""
        return self.log.read(since, limit, stream=self.name, kind=kind, epoch=epoch)

    aread = twin(read)

    def delete(self) -> int:
        """Remove the stream and its events, and say so in the log: `stream.deleted`."""
        return self.log.backend.delete_stream(self.name)

    adelete = twin(delete)
