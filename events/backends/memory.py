"""A log in the process's own memory: for development, tests, and what may be lost.

It knows the entries of this process only, and starts anew, with another epoch, with the
process. Inside a transaction on the `default` database it waits for the commit, so that a
project can swap backends without touching a line that emits.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Unpack

from django.db import connections, transaction

from .. import hints
from ..cursors import Query, Rows, State, finish, last_start, locate
from ..exceptions import EventsError, InvalidTransition, KeyConflict, StreamClosed
from ..internals import commit_hooks
from ..lifecycle import FAILED_IDLE
from ..types import Entry, LogInfo, Row, Status, StreamInfo, new_epoch
from ..validation import Item
from ..wire import dumps, fitting
from .base import Asked, BaseBackend, Pruning, check_adoptable
from .clock import look_ahead
from .memory_ledger import MemoryLedger
from .receipts import defer, follow_statuses, in_callers_atomic, warn

logger = logging.getLogger("events")

# They outlive the backends, which are made anew with the settings.
_ledgers: dict[str, MemoryLedger] = {}
if hasattr(os, "register_at_fork"):
    # From here on parent and child number differently, so the child is a process of its own.
    os.register_at_fork(after_in_child=_ledgers.clear)


def forget(name: str) -> None:
    """Start a log anew, as a new process would. For tests."""
    _ledgers.pop(name, None)


class _Deferred:
    """A hook that stores the items of a transaction after its commit. Until then a second append
    in the transaction finds their keys in it."""

    def __init__(self, backend: "MemoryBackend", items: Sequence[Item]) -> None:
        self.backend = backend
        self.log = backend.name
        self.items = list(items)

    def __call__(self) -> None:
        items, self.items = self.items, []
        try:
            # At once, so that nobody sees a part of a transaction.
            self.backend.append_now(items)
            return
        except EventsError:
            pass
        for item in items:
            try:
                self.backend.append_now([item])
            except StreamClosed:
                self.backend.append_late(item)
            except (KeyConflict, InvalidTransition) as error:
                logger.error("Log %r: a committed %s is dropped: %s", self.log, item.kind, error)


class MemoryBackend(BaseBackend):
    @property
    def ledger(self) -> MemoryLedger:
        return _ledgers.get(self.name) or _ledgers.setdefault(self.name, MemoryLedger())

    def in_transaction(self) -> bool:
        return in_callers_atomic(connections[self.alias])

    def append(self, items: Sequence[Item]) -> list[Entry]:
        if self.in_transaction():
            return self._defer(items)
        self._settle()
        return self.append_now(items)

    def append_now(self, items: Sequence[Item]) -> list[Entry]:
        with self.ledger as ledger:
            now = self.now()
            rows = ledger.append(items, now)
            look_ahead(self.name, ledger.latest, now)
            self._evict(self.settings.ttl, self.settings.max_entries)
        hints.send(self.name, ledger.head)
        return Entry.lazy_list(rows)

    def append_late(self, item: Item) -> None:
        with self.ledger as ledger:
            status = ledger.append_late(item, self.now())
        warn(self.name, item.stream, status)
        hints.send(self.name, ledger.head)

    def _statuses(self, items: Sequence[Item]) -> dict[str, Status | None]:
        """Where the streams of these items stand for this transaction: as committed, and then as
        it has led on."""
        with self.ledger as ledger:
            statuses = ledger.statuses(items)
        for deferred in self._waiting():
            for item in deferred.items:
                with suppress(EventsError):
                    follow_statuses([item], statuses)
        return statuses

    def fail_idle(self) -> list[str]:
        self.refuse_in_transaction("fail idle streams")
        self._settle()
        text = dumps({"reason": FAILED_IDLE})
        with self.ledger as ledger:
            names = ledger.idle(self.now())
            for name in names:
                ledger.append([Item("stream.failed", name, text, None)], self.now())
        if names:
            hints.send(self.name, ledger.head)
        return names

    def _defer(self, items: Sequence[Item]) -> list[Entry]:
        waiting = {
            item.key: item
            for deferred in self._waiting()
            for item in deferred.items
            if item.key is not None
        }
        with self.ledger as ledger:
            answers, new = defer(items, ledger.keys, waiting, self.now())
        if not follow_statuses(new, self._statuses(new)):
            return []
        transaction.on_commit(_Deferred(self, new))
        return answers

    def _waiting(self) -> list[_Deferred]:
        """What this transaction has deferred and no savepoint has taken back."""
        hooks = reversed([*commit_hooks(connections[self.alias])])
        return [hook for hook in hooks if isinstance(hook, _Deferred) and hook.log == self.name]

    def _settle(self) -> None:
        """In a TestCase no hook ever runs: what was committed inside the test is stored now."""
        if connections[self.alias].in_atomic_block and not self.in_transaction():
            for deferred in self._waiting():
                deferred()

    def read(self, query: Query) -> Rows:
        self._settle()
        with self.ledger as ledger:
            state = self._state(ledger)
            if query.last is not None:
                newest = last_start(query, state, reversed(ledger.rows))
                query = replace(query, since=newest, epoch=None)
            start, _ = locate(query, state)
            stop = start + query.span if query.span is not None else state.head
            rows: list[Row] = []
            for row in ledger.rows[ledger.after(start) : ledger.after(stop)]:
                if len(rows) == query.limit:
                    break
                if query.wants(row):
                    rows.append(row)
        some = fitting(rows)
        return finish(query, state, some, cut=len(some) < len(rows))

    def info(self) -> LogInfo:
        self._settle()
        with self.ledger as ledger:
            head, floor, epoch, _ = self._state(ledger)
            return LogInfo(self.name, epoch, head, floor, len(ledger.rows) - ledger.after(floor))

    def _state(self, ledger: MemoryLedger) -> State:
        floor = max(ledger.floor, ledger.expired(self.hidden_before()))
        return State(ledger.head, floor, ledger.epoch)

    def position_at(self, micros: int) -> int:
        with self.ledger as ledger:
            return max(ledger.floor, ledger.expired(micros))

    def find_streams(self, names: Sequence[str]) -> dict[str, StreamInfo]:
        self._settle()
        with self.ledger as ledger:
            known = ledger.streams
            return {name: known[name] for name in names if name in known}

    def streams(self, limit: int, **asked: Unpack[Asked]) -> list[StreamInfo]:
        before, after, status = asked.get("before"), asked.get("after"), asked.get("status")
        self._settle()
        with self.ledger as ledger:
            known = sorted(ledger.streams.values(), key=attrgetter("last_position"))
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

    def prune(self, ttl: float | None, max_entries: int | None, how: Pruning) -> int:
        self.refuse_in_transaction("prune")
        with self.ledger as ledger:
            if how.dry_run:
                target = max(ledger.expired(self.cutoff(ttl)), ledger.beyond(max_entries))
                return ledger.after(target)
            return self._evict(ttl, max_entries)

    def clear(self) -> int:
        self.refuse_in_transaction("clear")
        with self.ledger as ledger:
            return ledger.raise_floor(ledger.head)

    def delete_stream(self, stream: str) -> int:
        self.refuse_in_transaction("delete a stream")
        with self.ledger as ledger:
            count = ledger.delete_stream(stream, self.now())
        hints.send(self.name, ledger.head)
        return count

    def adopt(self, rows: Sequence[Row], after: int, upto: int, state: State) -> None:
        with self.ledger as ledger:
            check_adoptable(self.name, ledger.head, ledger.epoch, after, state)
            if not ledger.head:
                ledger.floor = after
            ledger.head, ledger.epoch = upto, state.epoch
            ledger.latest = max([ledger.latest, *(row.micros for row in rows[-1:])])
            ledger.rows += rows
            ledger.keys |= {row.key: row for row in rows if row.key is not None}

    def adopt_streams(self, streams: Sequence[StreamInfo]) -> None:
        timeout = self.settings.idle_timeout
        with self.ledger as ledger:
            ledger.streams |= {one.stream: one for one in streams}
            ledger.timeouts |= {one.stream: timeout for one in streams if one.opened_at}

    def renew_epoch(self, reset_clock: bool = False) -> str:
        self.refuse_in_transaction("renew the epoch")
        with self.ledger as ledger:
            if reset_clock:
                ledger.reset_clock(self.now())
            ledger.epoch = new_epoch()
            return ledger.epoch
