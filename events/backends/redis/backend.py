"""A log in Redis Streams: the verbs of a backend, each handed to the module for it.

Writing is one script (`ledger`), reading is in `pages`, removal in `retention`. An emit inside a
transaction of the database `using` waits in that database's outbox, and `relay` brings it here.

What the death of a process may lose: nothing. What the death of a server may lose is up to its
settings and to OPTIONS["wait"]; see docs/topics/redis.md. It is said as a gap of epoch.
"""

import time
from collections.abc import Callable, Sequence
from typing import Unpack

from django.db import DEFAULT_DB_ALIAS

from ... import hints, hooks
from ...conf import LogSettings, Problem
from ...cursors import Query, Rows, State
from ...exceptions import EventsError, LogBusy
from ...types import Entry, LogInfo, Row, StreamInfo
from ...validation import Item
from ..base import LOCK_TIMEOUT, Asked, BaseBackend, Pruning
from ..clock import SKEW, compare, look_ahead
from ..database.transactions import is_timeout, is_transient
from ..figures import Figures, Stretch
from . import counting, health, hearing, retention
from .client import Client
from .ledger import BATCH, Ledger
from .pages import Reader
from .relay import Relay
from .rows import to_stream
from .scripts import STREAMS, Keys, call

URL = "redis://127.0.0.1:6379/0"
PREFIX = "events:"


class RedisBackend(BaseBackend):
    coalesces = True
    hints_itself = True

    def __init__(self, settings: LogSettings) -> None:
        super().__init__(settings)
        options = settings.options
        using = options.get("using", DEFAULT_DB_ALIAS)
        self.keeps_cursors = using is not None
        self.alias = using or DEFAULT_DB_ALIAS
        self.timeout: float = options.get("lock_timeout", LOCK_TIMEOUT)
        self.keys = Keys(options.get("prefix", PREFIX), self.name)
        self.client = Client(options.get("url", URL), self.keys.log, self.timeout)
        self.ledger = Ledger(self.client, self.keys, self.now, options.get("wait", 0), self.name)
        self.reader = Reader(self.client, self.keys, self.ledger, self.hidden_before)
        inline = options.get("sequence") == "inline"
        self.relay = (
            Relay(self.name, self.alias, self.timeout, inline, self.ledger) if using else None
        )
        # When the monotonic clock began, by the clock that was found to be right.
        self.compared = 0

    @property
    def carries_hints(self) -> bool:
        return bool(self.settings.options.get("notify", True))

    def hear(self, heard: Callable[[], object]) -> Callable[[], None]:
        return hearing.hear(self.client, self.keys.hints, heard)

    def problems(self) -> list[Problem]:
        return [*health.problems(self.client, self.settings)]

    def now(self) -> int:
        """A clock that is nobody's choice is compared with the server's: when it is first asked, and
        when it has been set since."""
        micros = super().now()
        if "clock" in self.settings.options:
            return micros
        started = micros - time.monotonic_ns() // 1000
        if abs(started - self.compared) > SKEW:
            [(seconds, rest)] = call(self.client, ("TIME",))
            compare(micros, int(seconds) * 1_000_000 + int(rest))
            self.compared = started
        return micros

    def in_transaction(self) -> bool:
        return self.relay is not None and self.relay.in_transaction()

    def _drain(self) -> None:
        """Relay what was committed before."""
        if self.relay is not None:
            self.relay.drain()

    def _catch_up(self) -> bool:
        """The same for who reads, and does not wait long; whether something may be missing."""
        return self.relay is not None and self.relay.catch_up()

    # Writing

    def append(self, items: Sequence[Item]) -> list[Entry]:
        return self._write(items) if items else []

    def step(self, item: Item) -> Entry | None:
        return next(iter(self._write([item])), None)

    def _write(self, items: Sequence[Item]) -> list[Entry]:
        now = self.now()
        if self.relay is not None:
            if self.relay.in_transaction():
                return self.relay.defer(items, now)
            # What was committed before comes before.
            self.relay.drain()
        rows = [row for row in self.ledger.append(items, now) if row is not None]
        if rows:
            look_ahead(self.name, rows[-1].micros, now)
            hints.send(self.name, max(row.position for row in rows))
        return Entry.lazy_list(rows)

    def sequence_inline(self) -> None:
        if self.relay is not None:
            self.relay.stay_inline()

    def fail_idle(self) -> list[str]:
        self.refuse_in_transaction("fail idle streams")
        self._drain()
        self.ledger.sweep()
        now = self.now()
        if self._latest() - now > SKEW:
            self.ledger.come_back(now)
        failed: list[str] = []
        for names in self.ledger.idle_candidates(now):
            ended = self.ledger.fail_idle(names, now)
            failed += ended
            if len(names) < BATCH or not ended:
                break
        if failed:
            hints.send(self.name, self.reader.state().head)
        return failed

    def _latest(self) -> int:
        [latest] = call(self.client, ("HGET", self.keys.log, "latest"))
        return int(latest or 0)

    # Reading

    def read(self, query: Query) -> Rows:
        partial = self._catch_up()
        found = self.reader.read(query)
        return found._replace(partial=True) if partial else found

    def info(self) -> LogInfo:
        self._catch_up()
        state = self.reader.state()
        [stored, floor] = call(
            self.client, ("XLEN", self.keys.entries), ("HGET", self.keys.log, "floor")
        )
        # Of what has expired and is not pruned yet, holes are counted as entries.
        count = max(0, stored - (state.floor - min(int(floor or 0), state.floor)))
        return LogInfo(self.name, state.epoch, state.head, state.floor, count)

    def position_at(self, micros: int) -> int:
        return self.reader.positions_at([micros])[0]

    def figures(self) -> Figures:
        try:
            now = self.now()
        except EventsError:
            now = time.time_ns() // 1_000
        alias = self.alias if self.keeps_cursors else None
        return counting.figures(self.reader, self.settings, now, alias)

    def stretches(self, edges: Sequence[int], stream: str | None = None) -> list[Stretch]:
        return counting.stretches(self.reader, edges, stream)

    def find_streams(self, names: Sequence[str]) -> dict[str, StreamInfo]:
        if not names:
            return {}
        self._catch_up()
        [found] = call(self.client, ("HMGET", self.keys.states, *names))
        return {
            name: to_stream(name.encode(), state)
            for name, state in zip(names, found, strict=True)
            if state is not None
        }

    def streams(self, limit: int, **asked: Unpack[Asked]) -> list[StreamInfo]:
        before, after, status = asked.get("before"), asked.get("after"), asked.get("status")
        self._catch_up()
        used = [self.keys.states, self.keys.by_status[status] if status else self.keys.recent]
        order, bound = ("nearest", f"({after}") if after is not None else ("newest", "+inf")
        if after is None and before is not None:
            bound = f"({before}"
        found = [to_stream(*one) for one in STREAMS.run(self.client, used, [order, bound, limit])]
        return found[::-1] if after is not None else found

    # Letting go

    def prune(self, ttl: float | None, max_entries: int | None, how: Pruning) -> int:
        self.refuse_in_transaction("prune")
        self._drain()
        self.ledger.sweep()
        state = self.reader.state(whole=True)
        cutoff = self.cutoff(ttl)
        [stored] = call(self.client, ("XLEN", self.keys.entries))
        bound = state.head
        if self.settings.keep_unhandled:
            bound = hooks.unwanted(self.name, state.head)
        expired = state.floor
        if cutoff is not None:
            expired = min(bound, *self.reader.positions_at([cutoff]))
        is_dense = stored == state.head - state.floor

        def count(upto: int) -> int:
            return retention.count_up_to(self.client, self.keys, state.floor, upto, is_dense)

        old = count(expired)
        beyond = 0 if max_entries is None else max(0, stored - old - max_entries)
        beyond = min(beyond, count(bound) - old)
        total = old + beyond
        batch_size, dry_run, progress = how
        if dry_run:
            return total
        done = 0
        if expired > state.floor:
            done = retention.let_go(
                self.client, self.keys, expired, None, batch_size, progress, total
            )
        if beyond:
            more = progress and (lambda some, of: progress(done + some, max(total, of)))
            done += retention.let_go(self.client, self.keys, bound, beyond, batch_size, more, total)
        return done

    def clear(self) -> int:
        self.refuse_in_transaction("clear")
        self._drain()
        self.ledger.sweep()
        head = self.reader.state(whole=True).head
        return retention.let_go(self.client, self.keys, head, None, BATCH)

    def delete_stream(self, stream: str) -> int:
        self.refuse_in_transaction("delete a stream")
        self._drain()
        count = self.ledger.delete_stream(stream, self.now())
        if count < 0:
            return 0
        self.ledger.sweep()
        hints.send(self.name, self.reader.state().head)
        return count

    def adopt(self, rows: Sequence[Row], after: int, upto: int, state: State) -> None:
        self.ledger.adopt(rows, after, upto, state)

    def adopt_streams(self, streams: Sequence[StreamInfo]) -> None:
        self.ledger.adopt_streams(streams, self.settings.idle_timeout)

    def renew_epoch(self, reset_clock: bool = False) -> str:
        self.refuse_in_transaction("renew the epoch")
        return self.ledger.renew(self.now() if reset_clock else None)

    # Of the database `using`, where handlers keep their cursors

    def is_transient(self, error: BaseException) -> bool:
        return isinstance(error, LogBusy) or is_transient(error)

    def is_locked(self, error: BaseException) -> bool:
        return is_timeout(error)
