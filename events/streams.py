"""A stream: the events of one name in a log, numbered without holes, with a status."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, Literal, Self, Unpack

from asgiref.sync import sync_to_async

from .backends.base import FOREVER
from .base_log import BaseLog, Payload, Start
from .conf import positive
from .context import current
from .cursors import Here
from .exceptions import InvalidEvent, InvalidTransition
from .lifecycle import KINDS
from .threads import twin
from .types import Entry, Page, Status, StreamInfo
from .validation import MAX_STREAM, Item, shown, valid_payload, valid_stream
from .writer import AT_MOST, EVERY, Writer

logger = logging.getLogger("events")

UNSET: Any = object()
Timeout = float | timedelta | None

# Characters of an error in the reason of a failure.
MAX_REASON = 500


class StreamHandle:
    """The verbs of a log, for one stream."""

    def __init__(self, log: BaseLog, name: str) -> None:
        if not valid_stream(name):
            raise InvalidEvent("stream", "must not be empty")
        self.log = log
        self.name = name

    def __repr__(self) -> str:
        return f"<StreamHandle {self.name!r} of {self.log!r}>"

    def emit(self, kind: str, payload: Payload = None, *, key: str | None = None) -> Entry:
        """Store an event in this stream."""
        return self.log.append(kind, payload, stream=self.name, key=key)

    async def aemit(self, kind: str, payload: Payload = None, *, key: str | None = None) -> Entry:
        return await self.log.aappend(kind, payload, stream=self.name, key=key)

    def writer(self, kind: str, *, every: float = EVERY, at_most: int = AT_MOST) -> Writer:
        """Join pieces of text that arrive within `every` seconds to one event, `{"text": …}`, of
        at most `at_most` bytes: `with run.writer("delta") as write: write(token)`; or `async with`,
        and `await write(token)`."""
        return Writer(self, kind, every, at_most)

    # Its life. Each verb returns its event, or None if the stream has that status already.

    def open(self, idle_timeout: Timeout = UNSET) -> Entry | None:
        """Begin. Without an event for longer than `idle_timeout` seconds the stream fails (None:
        never; left out: the log's IDLE_TIMEOUT)."""
        if idle_timeout is UNSET:
            idle_timeout = self.log.settings.idle_timeout
        return self._step("open", None, seconds_or_none(idle_timeout))

    aopen = twin(open)

    def wait(self) -> Entry | None:
        """Wait for somebody or something: until `resume()`, silence does not fail the stream."""
        return self._step("wait")

    # `await` is a word of Python's own.
    await_ = twin(wait)

    def resume(self) -> Entry | None:
        return self._step("resume")

    aresume = twin(resume)

    def complete(self, payload: Payload = None) -> Entry | None:
        """End it well. After this, an event in the stream is a StreamClosed."""
        return self._step("complete", payload)

    acomplete = twin(complete)

    def fail(self, reason: str = "") -> Entry | None:
        return self._step("fail", {"reason": reason})

    afail = twin(fail)

    def stop(self, reason: str = "") -> Entry | None:
        """End it from outside. Whoever works on it sees that in `status`, or gets a StreamClosed
        from its next event."""
        return self._step("stop", {"reason": reason})

    astop = twin(stop)

    def _step(
        self, verb: str, payload: Payload = None, idle_timeout: float | None = None
    ) -> Entry | None:
        settings = self.log.settings
        text = valid_payload(payload, settings.max_payload_bytes, settings.encoder)
        item = Item(KINDS[verb], self.name, text, None, idle_timeout, current())
        return self.log.backend.step(item)

    def info(self) -> StreamInfo | None:
        """How the stream stands; None if no event was ever sent to it."""
        return self.log.backend.stream(self.name)

    ainfo = twin(info)

    @property
    def status(self) -> Status | None:
        """Where it stands in its life, now; None if it was never opened."""
        info = self.info()
        return info.status if info else None

    async def astatus(self) -> Status | None:
        info = await self.ainfo()
        return info.status if info else None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, type: object, error: BaseException | None, traceback: object) -> None:
        self._conclude(error)

    async def __aenter__(self) -> Self:
        try:
            await self.aopen()
        except asyncio.CancelledError as error:
            # The thread still opens the stream, and nobody else would end it.
            await sync_to_async(self._give_up)(error)
            raise
        return self

    async def __aexit__(self, type: object, error: BaseException | None, trace: object) -> None:
        await sync_to_async(self._conclude)(error)

    def _give_up(self, error: BaseException) -> None:
        if self.status == Status.RUNNING:
            self._conclude(error)

    def _conclude(self, error: BaseException | None) -> None:
        """Complete the stream, or fail it after an error, unless it has ended already."""
        try:
            if error is None:
                self.complete()
            else:
                self.fail(one_line(error))
        except InvalidTransition:
            pass
        except Exception:
            if error is None:
                raise
            # Raising here would hide the error that ends the block.
            logger.warning("Stream %r: its failure could not be stored.", self.name, exc_info=True)

    def read(
        self, since: Start = "earliest", limit: int | None = None, **wanted: Unpack[Here]
    ) -> Page:
        """A page of this stream's events; see `EventLog.read`."""
        return self.log.read(since, limit, stream=self.name, **wanted)

    aread = twin(read)

    def tail(
        self,
        since: Start = "earliest",
        *,
        on_gap: Literal["raise", "skip"] = "raise",
        **wanted: Unpack[Here],
    ) -> AsyncGenerator[Entry]:
        """Follow this stream to its end; see `EventLog.tail`."""
        return self.log.tail(since, stream=self.name, on_gap=on_gap, **wanted)

    def delete(self) -> int:
        """Remove the stream and its events, and say so in the log: `stream.deleted`."""
        return self.log.backend.delete_stream(self.name)

    adelete = twin(delete)


def stream_name(part: object, /, *parts: object) -> str:
    """Make a stream's name of any texts, another one for each other list of texts.

    The parts are joined by colons. Letters, digits, hyphens and underscores stay as they are, and
    every other byte becomes a dot and two hexadecimal digits: `stream_name("red team", 7)` is
    `red.20team:7`. What is too long is cut, and a hash of the whole is put behind it.
    """
    name = ":".join(_PART.sub(_escaped, str(text)) for text in (part, *parts))
    if not name[:1].isalnum():
        name = f"0.-{name}"  # no other name has a dot without two digits behind it
    if len(name) > MAX_STREAM:
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        name = f"{name[: MAX_STREAM - 34]}..{digest}"
    return name


_PART = re.compile(r"[^A-Za-z0-9_-]")


def _escaped(found: re.Match[str]) -> str:
    return "".join(f".{byte:02x}" for byte in found[0].encode("utf-8", "surrogatepass"))


def seconds_or_none(timeout: Timeout) -> float | None:
    seconds: float | None = None if isinstance(timeout, str) else positive(timeout, whole=False)
    if timeout is None or (seconds is not None and seconds < FOREVER):
        return seconds
    raise ValueError(
        f"idle_timeout must be seconds, a timedelta or None for never, not {shown(timeout)}"
    )


def one_line(error: BaseException) -> str:
    """An error as the text of a reason."""
    return as_reason(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def as_reason(text: str) -> str:
    """A text as a payload may hold it, and no longer than a reason should be."""
    return text.replace("\0", "").encode(errors="replace").decode()[:MAX_REASON]
