"""A log in the process's own memory: for development, tests, and what may be lost.

It knows the entries of this process only, and starts anew, with another epoch, with the
process. Inside a transaction on the `default` database it waits for the commit, so that a
project can swap backends without touching a line that emits.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from threading import RLock
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from .. import hints
from ..conf import LogSettings
from ..cursors import Query, Rows, State, finish, locate
from ..exceptions import KeyConflict
from ..types import Entry, LogInfo, Row, Status, StreamInfo, from_micros, new_epoch
from ..validation import Item
from ..wire import dumps
from .base import BaseBackend, Progress, check_same, in_callers_atomic, receipt

T = TypeVar("T")

logger = logging.getLogger("events")


class _Ledger:
    """One log's entries. Outlives the backends, which are made anew with the settings."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.epoch = new_epoch()
        self.head = 0
        self.floor = 0
        self.removed = 0
        self.latest = 0
        self.rows: list[Row] = []
        self.keys: dict[str, Row] = {}
        self.streams: dict[str, StreamInfo] = {}

    def append(self, items: Sequence[Item], now: int) -> list[Row]:
        """All or none: what could be refused is looked at before the first is placed."""
        firsts: dict[str, Item | Row] = {}
        for item in items:
            if item.key is not None:
                first = self.keys.get(item.key) or firsts.setdefault(item.key, item)
                check_same(item, first)
        return [self._place(item, now) for item in items]

    def _place(self, item: Item, now: int) -> Row:
        if item.key is not None and item.key in self.keys:
            return self.keys[item.key]
        self.head += 1
        self.latest = max(now, self.latest)
        seq = 0
        if item.stream:
            seq = self._advance(item.stream)
        row = Row(self.head, item.kind, item.stream, seq, self.latest, item.text, item.key)
        self.rows.append(row)
        if item.key is not None:
            self.keys[item.key] = row
        return row

    def _advance(self, stream: str) -> int:
        """Let the stream take the position just given out; the seq of its event."""
        known = self.streams.get(stream)
        moment = from_micros(self.latest)
        self.streams[stream] = (
            replace(known, seq=known.seq + 1, last_position=self.head, last_event_at=moment)
            if known
            else StreamInfo(stream, None, 1, self.head, self.head, None, None, moment)
        )
        return self.streams[stream].seq

    def after(self, position: int) -> int:
        """The index of the first row after a position."""
        return bisect_right(self.rows, position, key=lambda row: row.position)

    def expired(self, cutoff: int | None) -> int:
        """The last position that is older than `cutoff`."""
        index = 0 if cutoff is None else bisect_left(self.rows, cutoff, key=lambda row: row.micros)
        return self.rows[index - 1].position if index else 0

    def beyond(self, max_entries: int | None) -> int:
        """The last position that is not among the `max_entries` newest."""
        if max_entries is None or len(self.rows) <= max_entries:
            return 0
        return self.rows[-max_entries - 1].position

    def raise_floor(self, floor: int) -> int:
        """Forget everything up to a position; how many entries that were."""
        if floor <= self.floor:
            return 0
        index = self.after(floor)
        gone = self.rows[:index]
        del self.rows[:index]
        self._forget_keys(gone)
        self.removed -= floor - self.floor - index
        self.floor = floor
        return index

    def delete_stream(self, stream: str, now: int) -> int:
        if self.streams.pop(stream, None) is None:
            return 0
        gone = [row for row in self.rows if row.stream == stream]
        self.rows = [row for row in self.rows if row.stream != stream]
        self._forget_keys(gone)
        self.removed += len(gone)
        text = dumps({"stream": stream, "events": len(gone)})
        self._place(Item("stream.deleted", "", text, None), now)
        return len(gone)

    def _forget_keys(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.key is not None:
                del self.keys[row.key]


_ledgers: dict[str, _Ledger] = {}
_ledgers_lock = RLock()


def forget(name: str) -> None:
    """Start a log anew, as a new process would. For tests."""
    with _ledgers_lock:
        _ledgers.pop(name, None)


class _Deferred:
    """Items that wait for the commit of a transaction. Also lists them for key look-ups."""

    def __init__(self, backend: MemoryBackend, items: Sequence[Item]) -> None:
        self.backend = backend
        self.log = backend.name
        self.items = list(items)

    def __call__(self) -> None:
        items, self.items = self.items, []
        for item in items:
            try:
                self.backend.append_now([item])
            except KeyConflict as error:
                logger.error("Log %r: a committed %s is dropped: %s", self.log, item.kind, error)


class MemoryBackend(BaseBackend):
    def __init__(self, settings: LogSettings) -> None:
        super().__init__(settings)
        with _ledgers_lock:
            _ledgers.setdefault(self.name, _Ledger())

    @property
    def ledger(self) -> _Ledger:
        return _ledgers.get(self.name) or _ledgers.setdefault(self.name, _Ledger())

    def in_transaction(self) -> bool:
        return in_callers_atomic(connections[DEFAULT_DB_ALIAS])

    def append(self, items: Sequence[Item]) -> list[Entry]:
        if self.in_transaction():
            return self._defer(items)
        self._settle()
        return self.append_now(items)

    def append_now(self, items: Sequence[Item]) -> list[Entry]:
        ledger = self.ledger
        with ledger.lock:
            rows = ledger.append(items, self.now())
            self._evict(self.settings.ttl, self.settings.max_entries)
        hints.send(self.name)
        return [Entry.from_row(row) for row in rows]

    def _defer(self, items: Sequence[Item]) -> list[Entry]:
        own = {
            item.key: item
            for deferred in self._waiting()
            for item in deferred.items
            if item.key is not None
        }
        answers, new = [], []
        for item in items:
            row = self.ledger.keys.get(item.key) if item.key is not None else None
            if row is not None:
                check_same(item, row)
                answers.append(Entry.from_row(row))
                continue
            if item.key is not None and item.key in own:
                check_same(item, own[item.key])
            else:
                new.append(item)
                if item.key is not None:
                    own[item.key] = item
            answers.append(receipt(item, self.now()))
        transaction.on_commit(_Deferred(self, new))
        return answers

    def _waiting(self) -> list[_Deferred]:
        """What this transaction has deferred and no savepoint has taken back."""
        hooks = [hook[1] for hook in connections[DEFAULT_DB_ALIAS].run_on_commit]
        return [hook for hook in hooks if isinstance(hook, _Deferred) and hook.log == self.name]

    def _settle(self) -> None:
        """In a TestCase no hook ever runs: what was committed inside the test is stored now."""
        if connections[DEFAULT_DB_ALIAS].in_atomic_block and not self.in_transaction():
            for deferred in self._waiting():
                deferred()

    def read(self, query: Query) -> Rows:
        self._settle()
        ledger = self.ledger
        with ledger.lock:
            state = self._state(ledger)
            start, _ = locate(query, state)
            stop = start + query.span if query.span is not None else state.head
            rows: list[Row] = []
            for row in ledger.rows[ledger.after(start) : ledger.after(stop)]:
                if len(rows) == query.limit:
                    break
                if query.wants(row):
                    rows.append(row)
        return finish(query, state, rows)

    def info(self) -> LogInfo:
        self._settle()
        ledger = self.ledger
        with ledger.lock:
            head, floor, epoch = self._state(ledger)
            return LogInfo(self.name, epoch, head, floor, len(ledger.rows) - ledger.after(floor))

    def _state(self, ledger: _Ledger) -> State:
        floor = max(ledger.floor, ledger.expired(self.cutoff(self.settings.ttl)))
        return State(ledger.head, floor, ledger.epoch)

    def stream(self, name: str) -> StreamInfo | None:
        self._settle()
        return self.ledger.streams.get(name)

    def streams(
        self,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        status: Status | None = None,
    ) -> list[StreamInfo]:
        self._settle()
        with self.ledger.lock:
            known = sorted(self.ledger.streams.values(), key=attrgetter("last_position"))
        if status is not None:
            known = [stream for stream in known if stream.status == status]
        if after is not None:
            return [stream for stream in known if stream.last_position > after][:limit][::-1]
        if before is not None:
            known = [stream for stream in known if stream.last_position < before]
        return known[::-1][:limit]

    def _evict(self, ttl: float | None, max_entries: int | None) -> int:
        ledger = self.ledger
        gone = ledger.raise_floor(ledger.expired(self.cutoff(ttl)))
        return gone + ledger.raise_floor(ledger.beyond(max_entries))

    def prune(
        self,
        ttl: float | None,
        max_entries: int | None,
        *,
        batch_size: int = 500,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        self.refuse_in_transaction("prune")
        ledger = self.ledger
        with ledger.lock:
            if dry_run:
                target = max(ledger.expired(self.cutoff(ttl)), ledger.beyond(max_entries))
                return ledger.after(target)
            return self._evict(ttl, max_entries)

    def clear(self) -> int:
        self.refuse_in_transaction("clear")
        ledger = self.ledger
        with ledger.lock:
            return ledger.raise_floor(ledger.head)

    def delete_stream(self, stream: str) -> int:
        self.refuse_in_transaction("delete a stream")
        ledger = self.ledger
        with ledger.lock:
            return ledger.delete_stream(stream, self.now())

    def renew_epoch(self) -> str:
        ledger = self.ledger
        with ledger.lock:
            ledger.epoch = new_epoch()
            return ledger.epoch
