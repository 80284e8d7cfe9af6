"""The entries of a memory log."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from threading import RLock
from typing import Self

from ..lifecycle import STEPS, next_status
from ..types import TERMINAL, Row, Status, StreamInfo, from_micros, new_epoch, to_micros
from ..validation import Item
from ..wire import dumps
from .clock import SKEW
from .receipts import check_same, follow_statuses


class MemoryLedger:
    """One log's entries, keys and streams; whoever works on them holds its lock, by `with`."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.epoch = new_epoch()
        self.head = 0
        self.floor = 0
        self.latest = 0
        self.rows: list[Row] = []
        self.keys: dict[str, Row] = {}
        self.streams: dict[str, StreamInfo] = {}
        self.timeouts: dict[str, float | None] = {}

    def __enter__(self) -> Self:
        self.lock.acquire()
        return self

    def __exit__(self, *raised: object) -> None:
        self.lock.release()

    def append(self, items: Sequence[Item], now: int) -> list[Row]:
        """All or none: what could be refused is looked at before the first is placed."""
        firsts: dict[str, Item | Row] = {}
        statuses = self.statuses(items)
        for item in items:
            if item.key is not None:
                first = self.keys.get(item.key) or firsts.setdefault(item.key, item)
                check_same(item, first)
            if item.key is None or item.key not in self.keys:
                follow_statuses([item], statuses)
        rows = (self._enter(item, now) for item in items)
        return [row for row in rows if row is not None]

    def statuses(self, items: Sequence[Item]) -> dict[str, Status | None]:
        """Where the streams of these items stand: only theirs, for there may be many."""
        names = {item.stream for item in items}
        return {name: self.streams[name].status for name in names if name in self.streams}

    def append_late(self, item: Item, now: int) -> str:
        """An event whose transaction has committed: it is not lost, even if its stream has ended
        in the meantime. The status of that, or nothing."""
        known = self.streams.get(item.stream)
        self._place(item, now)
        return known.status if known and known.status in TERMINAL else ""

    def _enter(self, item: Item, now: int) -> Row | None:
        if item.key is not None and item.key in self.keys:
            return self.keys[item.key]
        if item.kind not in STEPS:
            return self._place(item, now)
        known = self.streams.get(item.stream)
        status = next_status(item.kind, item.stream, known.status if known else None)
        if status is None:
            return None
        row = self._place(item, now)
        moment = from_micros(row.micros)
        known = self.streams[item.stream]
        if status == Status.RUNNING and known.opened_at is None:
            known = replace(known, opened_at=moment)
            self.timeouts[item.stream] = item.idle_timeout
        if status in TERMINAL:
            known = replace(known, closed_at=moment)
        self.streams[item.stream] = replace(known, status=status)
        return row

    def _place(self, item: Item, now: int) -> Row:
        self.head += 1
        self.latest = max(now, self.latest)
        seq = 0
        if item.stream:
            seq = self._advance(item.stream, now)
        row = item.at(self.head, seq, self.latest)
        self.rows.append(row)
        if item.key is not None:
            self.keys[item.key] = row
        return row

    def _advance(self, stream: str, now: int) -> int:
        """Let the stream take the position just given out; the seq of its event. When it was last
        heard of is by the clock, whatever time the log has come to."""
        known = self.streams.get(stream)
        moment = from_micros(now)
        self.streams[stream] = (
            replace(known, seq=known.seq + 1, last_position=self.head, last_event_at=moment)
            if known
            else StreamInfo(stream, None, 1, self.head, self.head, None, None, moment)
        )
        return self.streams[stream].seq

    def idle(self, now: int) -> list[str]:
        """The running streams that have been silent for longer than they may."""
        for name, known in self.streams.items():
            if to_micros(known.last_event_at) - now > SKEW:
                self.streams[name] = replace(known, last_event_at=from_micros(now))
        return [
            name
            for name, known in self.streams.items()
            if known.status == Status.RUNNING
            and (timeout := self.timeouts.get(name)) is not None
            and now - to_micros(known.last_event_at) > timeout * 1_000_000
        ]

    def reset_clock(self, now: int) -> None:
        self.latest = min(self.latest, now)
        self.rows = [row._replace(micros=min(row.micros, now)) for row in self.rows]
        self.keys = {row.key: row for row in self.rows if row.key is not None}

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
        self.floor = floor
        return index

    def delete_stream(self, stream: str, now: int) -> int:
        if self.streams.pop(stream, None) is None:
            return 0
        self.timeouts.pop(stream, None)
        gone = [row for row in self.rows if row.stream == stream]
        self.rows = [row for row in self.rows if row.stream != stream]
        self._forget_keys(gone)
        text = dumps({"stream": stream, "events": len(gone)})
        self._place(Item("stream.deleted", "", text, None), now)
        return len(gone)

    def _forget_keys(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.key is not None:
                del self.keys[row.key]
