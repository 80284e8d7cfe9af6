"""Reading a durable stream: the stream first, its entries second.

So what is said of the stream is never newer than the entries: one that was closed when it was
looked at has no entry that a later read would not find.

A fork's past is its sources'. Positions are the log's, so a fork is a chain of segments, each of
one stream and up to one position, and an offset means the same in all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import QuerySet

from ..cursors import Query, Rows, Since, State
from ..internals import compiled
from ..log import EventLog
from ..types import TERMINAL, Row, StreamInfo
from . import content, offsets
from .models import Durable
from .offsets import NOW, START, Offset
from .refusals import Lost, Missing

# Entries in one answer, and bytes of them.
ROWS, BYTES = 1000, 2**20
ENDLESS = 2**63 - 1


class Segment(NamedTuple):
    """A stream's entries after one position, up to another."""

    name: str
    after: int
    upto: int


@dataclass
class Page:
    """What a reader gets: some entries, and where it stands after them."""

    rows: list[Row]
    epoch: str
    position: int
    up_to_date: bool = False
    closed: bool = False

    @property
    def offset(self) -> str:
        return offsets.shown(self.epoch, self.position)


@dataclass
class View:
    """A stream as a reader finds it. One that was never PUT is a stream of JSON, and its row is in
    no table."""

    log: EventLog
    row: Durable
    info: StreamInfo
    segments: list[Segment] = field(default_factory=list)
    # That of which a position is that it begins at.
    epoch: str | None = None

    @property
    def is_durable(self) -> bool:
        return self.row.pk is not None

    @property
    def closed(self) -> bool:
        return self.info.status in TERMINAL

    @property
    def tail(self) -> int:
        """The position behind everything that there is to read."""
        final: int | None = self.row.final if self.closed else None
        return self.info.last_position if final is None else final

    def state(self) -> State:
        return self.log.backend.read(Query(limit=0)).state

    def start(self, offset: Offset | str) -> int | None:
        """The position of an offset; None for the start. One of another epoch is said to be lost,
        as is one from before this stream: it may have been another's of the same name."""
        if offset == START:
            return None
        if offset == NOW:
            return self.tail
        assert isinstance(offset, Offset)  # nosec B101 # for the type checker
        state = self.state()
        beyond = offset.position > state.head
        before = self.is_durable and offset.position < self.segments[0].after
        if beyond or before or not offsets.is_of(offset, state):
            raise Lost("this offset belongs to another life of the stream; begin anew")
        self.epoch = state.epoch
        return offset.position

    def page(self, since: int | None) -> Page:
        """As much as fits into one answer."""
        rows, state = list[Row](), None
        position = self.segments[0].after if since is None else since
        for segment in self.segments:
            if segment.upto <= position and segment is not self.segments[-1]:
                continue
            found, some = self._read(segment, since)
            state = found.state
            kept = fitting(some, BYTES - sum(len(row.text) for row in rows))
            rows += kept
            position = max(
                [position, segment.after, *(row.position for row in kept if not self._is_end(row))]
            )
            if len(kept) < len(some) or not self._reaches(segment, found):
                return Page(self._data(rows), state.epoch, position)
        assert state is not None  # nosec B101 # for the type checker
        return Page(self._data(rows), state.epoch, position, True, self.closed)

    def check(self, since: int | None) -> None:
        """Lost, if something after that is gone: a live reader could not be told later."""
        position = self.segments[0].after if since is None else since
        for segment in self.segments:
            if position < segment.upto:
                self._read(segment, since, 1)

    def _read(
        self, segment: Segment, since: int | None, limit: int | None = None
    ) -> tuple[Rows, list[Row]]:
        after = segment.after if since is None else max(since, segment.after)
        whole = since is None and not self.is_durable
        start: Since = "earliest" if whole else after
        query = Query(start, limit or ROWS, segment.name, epoch=self.epoch)
        found = self.log.backend.read(query)
        if found.gap is not None and self._loses(segment, after, found):
            raise Lost(f"entries are gone: {found.gap.reason}")
        return found, [row for row in found.rows if row.position <= segment.upto]

    def _reaches(self, segment: Segment, found: Rows) -> bool:
        """Is that all of a segment, as far as it reached when the stream was looked at?"""
        if found.caught_up or found.cursor >= segment.upto:
            return True
        last = self.info.last_position if segment is self.segments[-1] else segment.upto
        return bool(found.rows) and found.rows[-1].position >= last and not found.partial

    def _loses(self, segment: Segment, after: int, found: Rows) -> bool:
        """May the gap hold an entry of this stream? As a tail has it."""
        gap = found.gap
        assert gap is not None  # nosec B101 # for the type checker
        if gap.reason != "pruned":
            return True
        info = self.info
        if segment.name != info.stream:
            return True
        return info.first_position < gap.first_available and info.last_position > gap.requested

    def _is_end(self, row: Row) -> bool:
        return self.is_durable and content.ends(row)

    def _data(self, rows: list[Row]) -> list[Row]:
        return [row for row in rows if content.is_data(row, self.is_durable)]

    def inherited(self, since: int | None) -> Iterator[Page]:
        """The pages of a fork's past."""
        own = self.segments[-1]
        past = View(self.log, self.row, self.info, self.segments[:-1])
        while past.segments and (since is None or since < own.after):
            page = past.page(since)
            yield page
            since = page.position
            if page.up_to_date:
                return


def fitting(rows: list[Row], most: int) -> list[Row]:
    """The first of them, one at the least."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row.text)
        if number and size > most:
            return rows[:number]
    return rows


def rows_of(log: EventLog) -> QuerySet[Durable]:
    alias: str = log.backend.alias
    return Durable.objects.using(alias).filter(log=log.name)


def row_of(log: EventLog, name: str) -> Durable | None:
    """The row alone: each append asks for it, and making the statement takes longer than it."""
    alias: str = log.backend.alias
    with connections[alias].cursor() as cursor:
        cursor.execute(_row(alias), [log.name, name])
        found = cursor.fetchone()
    return found and Durable.from_db(alias, COLUMNS, found)


COLUMNS = [column.attname for column in Durable._meta.concrete_fields]


@cache
def _row(alias: str) -> str:
    return compiled(Durable.objects.using(alias).filter(log=".", name="."))[0]


def is_expired(row: Durable, now: int) -> bool:
    return row.deadline is not None and row.deadline <= now


def find(log: EventLog, name: str) -> View:
    """The stream as it stands; Missing, or Lost if it is deleted and its forks are not."""
    row = rows_of(log).filter(name=name).select_related("source").first()
    if row is not None and row.deleted:
        raise Lost(f"the stream {name!r} is deleted")
    if row is not None and is_expired(row, log.backend.now()):
        raise Missing(f"there is no stream {name!r}")
    chain = list(past(row))
    infos = log.backend.find_streams([name, *(one.name for one in chain)])
    info = infos.get(name)
    if info is None:
        raise Missing(f"there is no stream {name!r}")
    view = View(log, row or Durable(log=log.name, name=name, content_type=content.JSON), info)
    view.segments = segments(chain, infos, view)
    return view


def past(row: Durable | None) -> Iterator[Durable]:
    """A fork, and what it stands on, the newest first."""
    while row is not None:
        yield row
        row = row.source


def segments(chain: list[Durable], infos: dict[str, Any], view: View) -> list[Segment]:
    """From the oldest on. No segment goes beyond where a younger stream has forked."""
    if not chain:
        return [Segment(view.info.stream, view.info.first_position - 1, ENDLESS)]
    found, upto = list[Segment](), ENDLESS
    for one in chain:
        if one.name not in infos:
            raise Lost(f"what {view.info.stream!r} was forked from is gone")
        found.append(Segment(one.name, infos[one.name].first_position, upto))
        if one.forked_at is not None:
            upto = min(upto, one.forked_at)
    return found[::-1]
