"""The entries of a memory log. Whoever works on them holds the lock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from threading import RLock

from ..types import Row, StreamInfo, from_micros, new_epoch
from ..validation import Item
from ..wire import dumps
from .receipts import check_same


class MemoryLedger:
    """One log's entries, keys and streams."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.epoch = new_epoch()
        self.head = 0
        self.floor = 0
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
        self.floor = floor
        return index

    def delete_stream(self, stream: str, now: int) -> int:
        if self.streams.pop(stream, None) is None:
            return 0
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
