"""A durable stream in Python: `log.durable("answer-7")`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connections, transaction

from ..exceptions import InvalidEvent
from ..internals import commit_hooks
from ..log import EventLog
from ..streams import StreamHandle
from ..threads import twin
from ..wire import dumps
from . import content, creating, offsets, protocol, reading
from .models import Durable
from .refusals import Closed, Invalid, Refused


class Read(NamedTuple):
    """A page of a durable stream: a list of messages, or bytes. `offset` is where to read on."""

    data: Any
    offset: str
    up_to_date: bool
    closed: bool


@dataclass(frozen=True)
class Touch:
    """What follows a commit of the caller's. Two of one stream are equal."""

    log: EventLog
    row: Durable

    def __call__(self) -> None:
        protocol.touch(self.log, self.row)


class DurableHandle:
    """The verbs of the protocol, for one stream. Each has an async twin with an `a` in front."""

    def __init__(self, log: EventLog, name: str) -> None:
        if not log.backend.in_database:
            raise ValueError(f"durable streams need a log in the database, and {log!r} is none")
        self.log = log
        self.name = StreamHandle(log, name).name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.log!r}>"

    def create(
        self,
        content_type: str = content.JSON,
        data: Any = None,
        *,
        ttl: float | timedelta | None = None,
        closed: bool = False,
    ) -> bool:
        """Make the stream, with `data` in it if there is some. False if it is there, and was made
        in the same way. Not within a transaction: what it writes is committed by itself."""
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        wanted = creating.Wanted(
            content_type=content_type,
            data=body(content_type, data),
            ttl=None if seconds is None else round(seconds),
            closed=closed,
        )
        return creating.create(self.log, self.name, wanted).status == 201

    acreate = twin(create)

    def append(self, data: Any) -> str | None:
        """Add messages (a list of them, or one), text or bytes; the offset after that.

        Within a transaction of the caller's it appears when that commits, and nobody knows its
        offset before: None.
        """
        return self._write(data, closes=False)

    aappend = twin(append)

    def close(self, data: Any = None) -> str | None:
        """End it, after `data` if there is some. To close it once more does nothing."""
        return self._write(data, closes=True)

    aclose = twin(close)

    def _write(self, data: Any, closes: bool) -> str | None:
        if self.log.backend.in_transaction():
            self._defer(data, closes)
            return None
        row = reading.rows_of(self.log).filter(name=self.name).first()
        content_type = row.content_type if row else content.JSON
        sent = body(content_type, data)
        write = protocol.Write(content_type, sent, closes)
        return protocol.append(self.log, self.name, write).offset

    def _defer(self, data: Any, closes: bool) -> None:
        """Check what can be known now; the log gives the events their positions after the commit."""
        view = reading.find(self.log, self.name)
        row = protocol.writable(view.row if view.is_durable else None, view.info, self.name, 0)
        if view.closed:
            if closes and data is None:
                return
            raise Closed(self.name, offsets.shown(view.state().epoch, view.tail))
        write = protocol.Write(row.content_type, body(row.content_type, data), closes)
        items = protocol.prepare(self.log, self.name, write)
        if isinstance(items, Refused):
            raise items
        self._live_on(row)
        self.log.backend.append(items)
        if closes:
            self.log.backend.step(protocol.closing(self.name))

    def _live_on(self, row: Durable) -> None:
        """From the commit on, once: before it, who reads would wait for the row."""
        connection, touch = connections[self.log.backend.alias], Touch(self.log, row)
        has_ttl = row.ttl is not None and connection.in_atomic_block
        if has_ttl and touch not in commit_hooks(connection):
            transaction.on_commit(touch, using=connection.alias, robust=True)

    def read(self, offset: str = offsets.START) -> Read:
        """A page of what comes after an offset."""
        view = reading.find(self.log, self.name)
        page = view.page(view.start(offsets.parse(offset)))
        data: Any = content.body(view.row.content_type, page.rows)
        if content.is_json(view.row.content_type):
            data = content.parsed(data)
        return Read(data, page.offset, page.up_to_date, page.closed)

    aread = twin(read)

    def delete(self) -> None:
        """Remove it; or, while there are forks, hide it."""
        protocol.delete(self.log, self.name)

    adelete = twin(delete)


def body(content_type: str, data: Any) -> bytes:
    """What a client would have sent."""
    if data is None:
        return b""
    if not content.is_json(content_type):
        if isinstance(data, str):
            return data.encode()
        if isinstance(data, bytes | bytearray | memoryview):
            return bytes(data)
        raise Invalid(f"a stream of {content_type} takes text or bytes")
    try:
        return dumps(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent("data", f"is no JSON: {error}") from None
