"""A buffer before a stream: pieces of text that arrive together become one event.

A model gives fifty tokens a second, and a row for each is a row too many. So the first piece waits
for others: `every` seconds, or until there are `at_most` bytes. What is in the buffer is stored
when the block ends, also when it ends by an exception.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

EVERY = 0.05
AT_MOST = 8 * 1024
# Bytes that UTF-8 may need for a character.
WIDE = 4


class Run(Protocol):
    def emit(self, kind: str, payload: dict[str, Any]) -> object: ...
    async def aemit(self, kind: str, payload: dict[str, Any]) -> object: ...


class Writer:
    """What `run.writer("delta")` answers with. Its events are `{"text": …}`."""

    def __init__(self, run: Run, kind: str, every: float, at_most: int) -> None:
        self.run, self.kind = run, kind
        self.every, self.at_most = every, at_most
        self.pieces: list[str] = []
        self.size = 0
        # When the buffer is to be stored, once there is something in it.
        self.due = 0.0
        self.task: asyncio.Task[None] | None = None
        self.hurry = asyncio.Event()

    def _add(self, text: str) -> bool:
        """Put a piece into the buffer; is that full?"""
        if not self.pieces:
            self.due = time.monotonic() + self.every
        self.pieces.append(text)
        self.size += len(text.encode(errors="replace"))
        return self.size >= self.at_most

    def _taken(self) -> Iterator[dict[str, str]]:
        """What is in the buffer, as payloads; of a piece that is larger than an event, its parts."""
        text = "".join(self.pieces)
        step = len(text) if self.size <= self.at_most else max(1, self.at_most // WIDE)
        self.pieces.clear()
        self.size = 0
        for start in range(0, len(text), step or 1):
            yield {"text": text[start : start + step]}

    # In a thread

    def __enter__(self) -> Callable[[str], None]:
        return self.write

    def write(self, text: str) -> None:
        """Without a timer: what waits is stored with the first piece that comes after its time."""
        if self._add(text) or time.monotonic() >= self.due:
            self.flush()

    def flush(self) -> None:
        for payload in self._taken():
            self.run.emit(self.kind, payload)

    def __exit__(self, *error: object) -> None:
        self.flush()

    # In a loop

    async def __aenter__(self) -> Callable[[str], Awaitable[None]]:
        return self.awrite

    async def awrite(self, text: str) -> None:
        if self.task is not None and self.task.done():
            await self._stored()
        is_full = self._add(text)
        if self.task is None:
            self.task = asyncio.create_task(self._store())
        if is_full:
            await self._stored()

    async def _store(self) -> None:
        while self.pieces:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every):
                    await self.hurry.wait()
            self.hurry.clear()
            for payload in self._taken():
                await self.run.aemit(self.kind, payload)

    async def _stored(self) -> None:
        """Have it stored now, and raise what keeps it from that. Shielded: who is cancelled here has
        handed its text over already."""
        if self.task is not None:
            self.hurry.set()
            await asyncio.shield(self.task)
            self.task = None

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._stored()
        except asyncio.CancelledError:
            # A loop that is closed cancels the task as well, with what is in the buffer.
            if self.task is not None and self.task.cancelled():
                for payload in self._taken():
                    await self.run.aemit(self.kind, payload)
            raise
