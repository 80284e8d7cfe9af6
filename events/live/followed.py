"""The streams that somebody follows, and how they stand."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..types import TERMINAL, Row, StreamInfo
from .window import deleted_stream


class Streams:
    """The streams that somebody follows, as they stood at the last look."""

    def __init__(self) -> None:
        self.followers: Counter[str] = Counter()
        # The log of which the rest tells: the positions of another mean something else.
        self.epoch = ""
        self.known: dict[str, StreamInfo | None] = {}
        # By stream, the position of its `stream.deleted`.
        self.deleted: dict[str, int] = {}
        # Streams that may have changed since they were looked at.
        self.doubtful: set[str] = set()
        # Streams whose last event has not been read yet: to be looked at after the next read.
        self.ahead: set[str] = set()

    @contextmanager
    def followed(self, stream: str | None) -> Iterator[None]:
        if stream is None:
            yield
            return
        self.followers[stream] += 1
        if stream not in self.known:
            self.doubtful.add(stream)
        try:
            yield
        finally:
            self.followers[stream] -= 1
            if not self.followers[stream]:
                del self.followers[stream]
                self.known.pop(stream, None)
                self.deleted.pop(stream, None)
                self.doubtful.discard(stream)
                self.ahead.discard(stream)

    def take_doubtful(self) -> list[str]:
        names = [*(self.doubtful | self.ahead)]
        self.doubtful.clear()
        self.ahead.clear()
        return names

    def suspect(self, rows: Sequence[Row]) -> None:
        """Note the streams whose state these events may have changed."""
        for row in rows:
            if row.kind.startswith("stream."):
                name = row.stream or deleted_stream(row)
                if name in self.followers:
                    self.doubtful.add(name)
                    if not row.stream:
                        self.deleted[name] = row.position
            elif row.stream in self.followers and self.known.get(row.stream) is None:
                self.doubtful.add(row.stream)

    def learn(
        self, names: Sequence[str], found: dict[str, StreamInfo], position: int
    ) -> Iterator[str]:
        """Take in how these streams stand, and name those that have ended. A stream whose last event
        is beyond `position`, up to where the log was read, is looked at again."""
        for name in names:
            if name not in self.followers:
                continue
            before, now = self.known.get(name), found.get(name)
            self.known[name] = now
            if now is not None and now.last_position > position:
                self.ahead.add(name)
            replaced = before and (now is None or now.first_position != before.first_position)
            if replaced or name in self.deleted or (now and now.status in TERMINAL):
                yield name

    def start_anew(self) -> None:
        """The log is another one: look at all again."""
        self.epoch = ""
        self.deleted.clear()
        self.doubtful.update(self.followers)
