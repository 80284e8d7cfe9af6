"""The newest entries of a log, in order, encoded once, for everybody in the process.

A reader is an integer. What it has not seen yet is either in the window, where it is found by the
topic that the reader shares with all that want the same, or in the log.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import merge
from operator import itemgetter
from typing import Any, NamedTuple, Self, TypeVar

from ..cursors import Query
from ..types import Gap, Row
from ..wire import text
from .remembered import remembered
from .waking import Crowds, Wake, wake_all

# Bytes of encoded entries in a window.
WINDOW_BYTES = 16 * 2**20
# Bytes of entries that a reader takes at a time, unless one alone is larger.
BATCH_BYTES = 256 * 1024
# Forms that a batch remembers.
MAX_FORMS = 4

T = TypeVar("T")


class Sealed(NamedTuple):
    """An entry and its wire form, with the size of that in bytes."""

    position: int
    row: Row
    text: str
    size: int


def seal(row: Row) -> Sealed:
    encoded = text(row)
    size = len(encoded) if encoded.isascii() else len(encoded.encode())
    return Sealed(row.position, row, encoded, size)


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next for a reader, and where it stands when it has taken that. `live` says that it
    has caught up for the first time, `end` why nothing more will come."""

    entries: list[Sealed]
    cursor: int
    gap: Gap | None = None
    live: bool = False
    end: str | None = None
    # What a transport sends for it, made once for all connections that send the same.
    forms: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, make: Callable[[Self], T]) -> T:
        """What `make` makes of this batch; the last few forms are remembered."""
        form: T | None = self.forms.get(key)
        if form is None:
            if len(self.forms) >= MAX_FORMS:
                self.forms.clear()
            form = self.forms[key] = make(self)
        return form


def portion(entries: Iterable[Sealed]) -> list[Sealed]:
    """The first of these entries, as many as make a batch."""
    size = 0
    some: list[Sealed] = []
    for entry in entries:
        size += entry.size
        if some and size > BATCH_BYTES:
            break
        some.append(entry)
    return some


class Topic:
    """The readers that want the same entries. `dropped` is the position of the last of these that
    the window let go, so that it has everything for a reader who is there or beyond."""

    def __init__(self, window: "Window", query: Query) -> None:
        self.window = window
        self.query = query
        self.wants = query.wants
        self.dropped = window.first - 1
        # By user.
        self.wakes: dict[Hashable, set[Wake]] = {}
        self.batches: dict[int, Batch] = {}

    def after(self, cursor: int) -> Batch:
        """What a reader at `cursor`, not before `dropped`, takes next; perhaps nothing."""
        batch = self.batches.get(cursor)
        if batch is None:
            batch = self._batch(cursor)
            size = sum(entry.size for entry in batch.entries)
            remembered.add(self, cursor, batch, MAX_FORMS * size)
        return batch

    def _batch(self, cursor: int) -> Batch:
        new = []
        for entry in self.window.newest_first(self.query):
            if entry.position <= cursor:
                break
            if self.wants(entry.row):
                new.append(entry)
        new.reverse()
        some = portion(new)
        whole = len(some) == len(new)
        return Batch(some, self.window.position if whole else some[-1].position)

    def forget(self) -> None:
        """The batches, which were made of a window that is another one now."""
        remembered.forget(self)

    def wake(self) -> None:
        for wakes in list(self.wakes.values()):
            wake_all(wakes)


class Window:
    """The entries up to `position`; nothing is known of those before `first`."""

    def __init__(self, most: int, position: int) -> None:
        self.most = most
        self.position = position
        self.entries: deque[Sealed] = deque()
        self.by_stream: dict[str, deque[Sealed]] = {}
        self.size = 0
        # By stream, so that an event wakes no reader that does not want it: a set's topic is with
        # each of its names and prefixes. How many topics there are with a prefix, by its length.
        self.topics: dict[str | None, dict[Hashable, Topic]] = {}
        self.prefixes: Counter[int] = Counter()
        self.crowds = Crowds()

    @property
    def first(self) -> int:
        return self.entries[0].position if self.entries else self.position + 1

    def newest_first(self, query: Query) -> Iterable[Sealed]:
        """All entries that the query may want, and perhaps others."""
        if query.stream is not None:
            return reversed(self.by_stream.get(query.stream, ()))
        if query.streams and not query.starts:
            some = [self.by_stream[name] for name in query.streams if name in self.by_stream]
            return merge(*map(reversed, some), key=itemgetter(0), reverse=True)
        return reversed(self.entries)

    @contextmanager
    def topic(self, query: Query, wake: Wake, who: Hashable) -> Iterator[Topic]:
        """Join the readers that want the same; `wake` is called when there is something for them.
        `who` reads."""
        patterns = query.patterns or (None,)
        key = (query.exact, query.prefixes, query.streams, query.starts)
        topic = self.topics.get(patterns[0], {}).get(key)
        if topic is None:
            topic = Topic(self, query)
            self.prefixes.update(map(len, query.starts))
            for pattern in patterns:
                self.topics.setdefault(pattern, {})[key] = topic
        topic.wakes.setdefault(who, set()).add(wake)
        try:
            yield topic
        finally:
            topic.wakes[who].discard(wake)
            if not topic.wakes[who]:
                del topic.wakes[who]
            if not topic.wakes and self.topics.get(patterns[0], {}).get(key) is topic:
                topic.forget()
                self.prefixes -= Counter(map(len, query.starts))
                for pattern in patterns:
                    del self.topics[pattern][key]
                    if not self.topics[pattern]:
                        del self.topics[pattern]

    def topics_for(self, stream: str) -> Iterator[Topic]:
        """The topics that an event of a stream may concern."""
        groups: tuple[str | None, ...] = (stream, None)
        if self.prefixes:
            groups += tuple(f"{stream[:length]}*" for length in self.prefixes)
        for group in groups:
            if group in self.topics:
                yield from self.topics[group].values()

    def extend(self, rows: Iterable[Row], position: int) -> None:
        """Take in new rows, up to `position`, and wake the readers that want some of them."""
        concerned: dict[Topic, None] = {}
        for row in rows:
            if row.kind == "stream.deleted" and not row.stream:
                self._forget(deleted_stream(row))
            entry = seal(row)
            self.entries.append(entry)
            self.by_stream.setdefault(row.stream, deque()).append(entry)
            self.size += entry.size
            for topic in self.topics_for(row.stream):
                if topic not in concerned and topic.wants(row):
                    concerned[topic] = None
        self.position = position
        while len(self.entries) > self.most or self.size > WINDOW_BYTES:
            self._drop()
        # Other topics' cached batches stay correct; only their cursor is older.
        for topic in concerned:
            topic.forget()
        self.crowds.wake([topic.wakes for topic in concerned])

    def _drop(self) -> None:
        entry = self.entries.popleft()
        self.size -= entry.size
        stream = entry.row.stream
        self.by_stream[stream].popleft()
        if not self.by_stream[stream]:
            del self.by_stream[stream]
        for topic in self.topics_for(stream):
            if topic.wants(entry.row):
                topic.dropped = entry.position
                topic.forget()

    def _forget(self, stream: str) -> None:
        """Let go of a deleted stream's events. No reader is told of a gap: they are gone for all."""
        if self.by_stream.pop(stream, None) is None:
            return
        self.entries = deque(entry for entry in self.entries if entry.row.stream != stream)
        self.size = sum(entry.size for entry in self.entries)
        for topic in self.topics_for(stream):
            topic.forget()

    def restart(self, position: int) -> None:
        """Forget everything: the log is another one, or this window has missed some of it."""
        self.entries.clear()
        self.by_stream.clear()
        self.size = 0
        self.position = position
        for topics in list(self.topics.values()):
            for topic in list(topics.values()):
                topic.dropped = position
                topic.forget()
                topic.wake()


def deleted_stream(row: Row) -> str:
    """The stream that a `stream.deleted` names."""
    payload: dict[str, Any] = json.loads(row.text)
    return str(payload.get("stream", ""))
