"""Reading: a page is a prefix of what one look at the log's head shows, without holes.

The first look takes head and entries as one view. More entries, where a page needs them, come in
further slices, each with the head of its own moment: if the floor has passed what was read, or a
new term has begun, the page ends before that slice.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from ...cursors import SCAN_PAGES, Query, Rows, State, finish, last_start, locate
from ...types import FIRST, LAST, Row
from ...wire import PAGE_BYTES, fitting
from .client import Client
from .ledger import Ledger
from .rows import HASH, Head, to_head, to_row
from .scripts import MOMENTS, STREAM, Keys, call

logger = logging.getLogger("events")

# Entries in the first slice of a page, at most; and in any slice.
FIRST_SLICE, SLICE = 250, 1000


class Slice(NamedTuple):
    """Some entries, how the log stood when they were read, and the oldest entry's time."""

    head: Head
    rows: list[Row]
    oldest: int | None
    # Were there no more?
    ended: bool


class Reader:
    def __init__(
        self, client: Client, keys: Keys, ledger: Ledger, cutoff: Callable[[], int | None]
    ) -> None:
        self.client = client
        self.keys = keys
        self.ledger = ledger
        self.cutoff = cutoff

    def read(self, query: Query) -> Rows:
        if query.stream == "" and query.span is None:
            # What is in no stream has no list of its own.
            query = replace(query, span=SCAN_PAGES * SLICE)
        if query.last is not None:
            return self._read_last(query)
        while True:
            found = self._read(query)
            if found is not None:
                return found

    def state(self, whole: bool = False) -> State:
        """Where the log stands for its readers."""
        found = self._slice(Query(), 0, 0)
        return self._effective(found, None if whole else self.cutoff())

    def _read(self, query: Query) -> Rows | None:
        """A page; None if what it was about went away meanwhile."""
        since = query.since if isinstance(query.since, int) else 0
        count = 0 if query.since == "latest" else min(query.limit, FIRST_SLICE)
        if count and is_filtered(query):
            count = FIRST_SLICE
        some = self._slice(query, since, count)
        state = self._effective(some, None if query.whole else self.cutoff())
        start, gap = locate(query, state)
        if gap is not None and gap.reason == "ahead" and self.ledger.begin() != state.epoch:
            # The log was longer on a server that is gone: another term has begun.
            return None
        if count == 0:
            return finish(query, state, [])
        if start < since:
            some = self._slice(query, start, count)
            if not is_same(some, state, start):
                return None
        return self._collect(query, state, start, some)

    def _collect(self, query: Query, state: State, start: int, some: Slice) -> Rows | None:
        """What is wanted of this slice and of those after it, as much as a page takes."""
        stop = state.head if query.span is None else min(start + query.span, state.head)
        rows: list[Row] = []
        size, cut = 0, False
        while True:
            looked_at = [row for row in some.rows if start < row.position <= stop]
            wanted = [row for row in looked_at if query.wants(row)]
            rows += wanted[: query.limit - len(rows)]
            size += sum(len(row.text) for row in wanted)
            last = max(start, some.rows[-1].position) if some.rows else stop
            if some.ended or last >= stop or len(rows) == query.limit:
                break
            if size > PAGE_BYTES:
                cut = True
                break
            mean = sum(len(row.text) for row in some.rows) // len(some.rows)
            some = self._slice(query, last, max(1, min(SLICE, PAGE_BYTES // (mean + 1))))
            if not is_same(some, state, last):
                if not rows:
                    return None
                cut = True
                break
        fits = fitting(rows)
        bad = examined(self.ledger.name, fits) if query.careful or not seem_sound(fits) else set()
        return finish(query, state, fits, cut=cut or len(fits) < len(rows), bad=bad)

    def _slice(self, query: Query, after: int, count: int) -> Slice:
        """Entries after a position: of the stream if there is one, else of the log."""
        if query.stream:
            used = [self.keys.log, self.keys.entries, self.keys.positions(query.stream)]
            after = min(after, 2**53)
            found, first, rows = STREAM.run(self.client, used, [after, count])
        else:
            commands: list[tuple[object, ...]] = [("HMGET", self.keys.log, *HASH)]
            commands.append(("XRANGE", self.keys.entries, "-", "+", "COUNT", 1))
            if count and after < 2**63:
                commands.append(("XRANGE", self.keys.entries, f"({after}-0", "+", "COUNT", count))
            found, first, *more = call(self.client, *commands)
            rows = more[0] if more else []
        head = to_head(found)
        if not head.state.epoch:
            self.ledger.begin()
            return self._slice(query, after, count)
        oldest = to_row(first[0]).micros if first else None
        return Slice(head, [to_row(row) for row in rows], oldest, len(rows) < count)

    def _effective(self, found: Slice, cutoff: int | None) -> State:
        """The state with a floor that also counts what has expired."""
        state = found.head.state
        if cutoff is None or found.oldest is None or found.oldest >= cutoff:
            return state
        return state._replace(floor=max(state.floor, *self.positions_at([cutoff])))

    def positions_at(self, moments: Sequence[int]) -> list[int]:
        """For each moment, the last position whose entry is from before it."""
        used = [self.keys.log, self.keys.entries]
        return [int(one) for one in MOMENTS.run(self.client, used, moments)]

    def _read_last(self, query: Query) -> Rows:
        while True:
            state = self.state(query.whole)
            start = last_start(query, state, self._newest_first(query))
            found = self.read(replace(query, since=start, last=None, epoch=None))
            if found.gap is None or found.gap.reason == "unreadable":
                return found

    def _newest_first(self, query: Query) -> Iterator[Row]:
        if query.stream:
            yield from self._newest_of_stream(query.stream)
            return
        before = "+"
        while True:
            [rows] = call(
                self.client,
                ("XREVRANGE", self.keys.entries, before, "-", "COUNT", FIRST_SLICE),
            )
            yield from map(to_row, rows)
            if len(rows) < FIRST_SLICE:
                return
            before = "(" + rows[-1][0].decode()

    def _newest_of_stream(self, stream: str) -> Iterator[Row]:
        upto = -1
        while True:
            [some] = call(
                self.client,
                ("LRANGE", self.keys.positions(stream), upto - FIRST_SLICE + 1, upto),
            )
            ids = [one.decode() + "-0" for one in reversed(some)]
            if ids:
                found = call(self.client, *(("XRANGE", self.keys.entries, id, id) for id in ids))
                yield from (to_row(row) for rows in found for row in rows)
            if len(ids) < FIRST_SLICE:
                return
            upto -= FIRST_SLICE


def is_filtered(query: Query) -> bool:
    """Does it take more entries than it gives?"""
    chosen = query.exact or query.prefixes or query.streams or query.starts
    return bool(chosen) or query.stream == ""


def is_same(some: Slice, state: State, after: int) -> bool:
    """Is this slice what follows a position in the log that the page is about?"""
    return some.head.state.epoch == state.epoch and some.head.state.floor <= after


def seem_sound(rows: Sequence[Row]) -> bool:
    """Is every payload like an object as we write it?"""
    return all(row.text[:2] in ('{"', "{}") and row.text[-1] == "}" for row in rows)


def examined(log: str, rows: Sequence[Row]) -> set[int]:
    """The positions of those that somebody has damaged."""
    bad = set()
    for row in rows:
        try:
            if not isinstance(json.loads(row.text), dict) or not FIRST <= row.micros <= LAST:
                raise ValueError("no object, or no time")
            if row.context and not isinstance(json.loads(row.context), dict):
                raise ValueError("the context is no object")
        except (ValueError, RecursionError) as error:
            bad.add(row.position)
            _report(log, row.position, str(error))
    return bad


@lru_cache(maxsize=1000)
def _report(log: str, position: int, reason: str) -> None:
    logger.error(
        "Log %r: the entry at position %s cannot be read and is passed over: %s",
        log,
        position,
        reason,
    )
