"""Writing to a log: each verb is one script, so it happens as a whole or not at all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ...cursors import State
from ...exceptions import EventsError, InvalidEvent, KeyConflict, NotConfirmed, StreamClosed
from ...lifecycle import FAILED_IDLE, STEPS, next_status
from ...types import Row, StreamInfo, new_epoch, to_micros
from ...validation import Item
from ...wire import dumps
from ..base import check_adoptable
from ..clock import SKEW
from ..receipts import check_same
from .client import Client
from .rows import digest, to_row
from .scripts import (
    ADOPT,
    ADOPT_STREAMS,
    APPEND,
    BEGIN,
    COME_BACK,
    DELETE,
    EMIT,
    RENEW,
    SWEEP,
    Keys,
    Script,
    call,
)

# Events in one append, so that the server is not held up for long and takes the command at all.
MOST = 50_000
# Milliseconds that replicas have to confirm; entries that a step of a removal takes at once; streams
# that one round of the watchdog looks at.
CONFIRM = 1000
BATCH = 500

# How much the script is told of an event; of one that leads on in a stream's life or is relayed, more.
NARROW, WIDE = 6, 10

# From which statuses a step leads on, as the script reads it.
SOURCES = {
    kind: "," + ",".join(status or "none" for status in step.sources) + ","
    for kind, step in STEPS.items()
}


class Answer(NamedTuple):
    """What a script has made of events: their time, the head, and the words about each; and the
    entries that keys have found, in that order."""

    micros: int
    head: int
    fates: list[list[str]]
    found: list[Any]


class Relayed(NamedTuple):
    """A committed event, its id in the outbox, and how it is noted that it has its place."""

    id: int
    item: Item
    note: str


class Stale(Exception):
    """Somebody else has relayed since; `token` is theirs."""

    def __init__(self, token: int) -> None:
        super().__init__(token)
        self.token = token


class Ledger:
    def __init__(
        self, client: Client, keys: Keys, now: Callable[[], int], wait: int, name: str
    ) -> None:
        self.client = client
        self.keys = keys
        self.now = now
        self.wait = wait
        self.name = name

    def begin(self) -> str:
        """Make the log if need be, and begin a new term if another server wrote last; the epoch.

        Readers come by here, so no replica has to confirm it: a term that a failover takes back is
        followed by another."""
        epoch: bytes = BEGIN.run(self.client, [self.keys.log], [new_epoch()])
        return epoch.decode()

    def append(self, items: Sequence[Item], now: int) -> list[Row | None]:
        """Give all items their places or none of them; None for a step that leads nowhere."""
        if len(items) > MOST:
            raise InvalidEvent("items", f"must be at most {MOST:,}, not {len(items):,}")
        if len(items) == 1 and not items[0].stream and items[0].key is None:
            return [self._emit(items[0], now)]
        return self._rows(items, self._append("all", items, now))

    def _emit(self, item: Item, now: int) -> Row:
        """An event that nothing can refuse."""
        used = [self.keys.log, self.keys.entries]
        epoch = new_epoch().encode()
        arguments = [now, epoch, self.keys.hints, item.kind, item.text, item.context or ""]
        position, micros = self._write(EMIT, used, arguments).split()
        return item.at(int(position), 0, int(micros))

    def fail_idle(self, names: Sequence[str], now: int) -> list[str]:
        """Fail the streams among these that have been silent for too long, as the script sees them."""
        text = dumps({"reason": FAILED_IDLE})
        items = [Item("stream.failed", name, text, None) for name in names]
        rows = self._rows(items, self._append("idle", items, now))
        return [row.stream for row in rows if row is not None]

    def idle_candidates(self, now: int) -> Iterator[list[str]]:
        """Streams whose deadline has passed."""
        while True:
            [found] = call(
                self.client,
                ("ZRANGE", self.keys.deadlines, "-inf", now, "BYSCORE", "LIMIT", 0, BATCH),
            )
            if not found:
                return
            yield [name.decode() for name in found]

    def come_back(self, now: int) -> None:
        """Have streams that were last heard of in the future be heard of now, some at a time."""
        cursor: object = 0
        while True:
            [(cursor, found)] = call(
                self.client, ("ZSCAN", self.keys.deadlines, cursor, "COUNT", BATCH)
            )
            used = [self.keys.states, self.keys.deadlines]
            self._write(COME_BACK, used, [now, SKEW, *found[::2]])
            if cursor == b"0":
                return

    def relay(
        self,
        rows: Sequence[Relayed],
        forget: Sequence[str],
        database: str,
        token: int,
        timeout: float | None,
    ) -> Answer:
        """Give committed events their places, each once; what became of each."""
        items = [row.item for row in rows]
        return self._append(
            "relay" if rows else "forget",
            items,
            self.now(),
            notes=[row.note for row in rows],
            forget=forget,
            database=database,
            token=str(token),
            timeout=timeout,
        )

    def _append(
        self,
        mode: str,
        items: Sequence[Item],
        now: int,
        *,
        notes: Sequence[str] = (),
        forget: Sequence[str] = (),
        database: str = "",
        token: str = "",
        timeout: float | None = None,
    ) -> Answer:
        keys = self.keys
        names = [*dict.fromkeys(item.stream for item in items if item.stream)]
        numbers = {name: number for number, name in enumerate(names, 1)} | {"": 0}
        used = [keys.log, keys.entries, keys.used, keys.placed(database)]
        if names:
            used += [keys.states, keys.recent, keys.deadlines, *keys.by_status.values()]
            used += map(keys.positions, names)
        # Nothing needs the rest, of most events.
        width = WIDE if notes or any(item.kind in STEPS for item in items) else NARROW
        arguments: list[object] = [
            now, new_epoch(), mode, keys.hints, token, keys.list_width, width, len(forget), *forget,
        ]  # fmt: skip
        for index, item in enumerate(items):
            arguments += _narrow(item, numbers[item.stream])
            if width == WIDE:
                arguments += (*_wide(item), notes[index] if notes else "")
        # What was lost on the way may be sent again by a relay, which has notes.
        answer = self._write(APPEND, used, arguments, again=mode != "all", timeout=timeout)
        return self._understand(answer, items)

    def _understand(self, answer: Any, items: Sequence[Item]) -> Answer:
        text, found = answer if isinstance(answer, list) else (answer, [])
        (word, *more), *fates = (line.split(" ") for line in text.decode().split("\n"))
        if word == "stale":
            raise Stale(int(more[0]))
        if word == "refused":
            self._refuse(items, *more)
        return Answer(int(more[0]), int(more[1]), fates, found)

    def _write(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[object],
        *,
        again: bool = False,
        timeout: float | None = None,
    ) -> Any:
        if not self.wait:
            return script.run(self.client, keys, arguments, again=again, timeout=timeout)
        wait = self.wait, CONFIRM
        answer, confirmed = script.run(
            self.client, keys, arguments, again=again, timeout=timeout, wait=wait
        )
        refused = isinstance(answer, bytes) and answer.startswith((b"refused", b"stale"))
        if confirmed < self.wait and not refused:
            raise NotConfirmed(
                f"log {self.name!r}: stored, but {confirmed} of {self.wait} replicas have said so "
                f"within {CONFIRM / 1000:g} s. With a key, to emit again is safe"
            )
        return answer

    def _rows(self, items: Sequence[Item], answer: Answer) -> list[Row | None]:
        placed, found = dict[int, Row](), iter(answer.found)
        rows: list[Row | None] = []
        for item, (word, *more) in zip(items, answer.fates, strict=True):
            row = None
            if word == "new":
                row = item.at(int(more[0]), int(more[1]), answer.micros)
                placed[row.position] = row
            elif word == "old":
                entry = next(found)
                row = placed.get(int(more[0])) or to_row(entry[0])
            rows.append(row)
        return rows

    def _refuse(self, items: Sequence[Item], number: str, reason: str, detail: str) -> None:
        item, before = items[int(number) - 1], items[: int(number) - 1]
        if reason == "key":
            self.refuse_key(item, before, int(detail))
        if reason == "step":
            next_status(item.kind, item.stream, detail or None)
        raise StreamClosed(f"the stream {item.stream!r} has {detail}; nothing was stored")

    def refuse_key(self, item: Item, before: Sequence[Item], position: int) -> None:
        """Say what has the key of this item: one of those before it, or the entry at a position."""
        firsts: list[Row | Item] = [one for one in before if one.key == item.key]
        firsts += [row for row in [self.row_at(position)] if row]
        for first in firsts[:1]:
            check_same(item, first)
        raise KeyConflict(f"the key {item.key!r} was used before, for another event")

    def row_at(self, position: int) -> Row | None:
        id = f"{position}-0"
        [found] = call(self.client, ("XRANGE", self.keys.entries, id, id))
        return to_row(found[0]) if found else None

    # Removing

    def delete_stream(self, stream: str, now: int) -> int:
        """Remove a stream, say so in the log, and put aside which entries are to go; how many."""
        keys, token = self.keys, new_epoch()
        used = [
            keys.log, keys.entries, keys.states, keys.recent, keys.deadlines,
            *keys.by_status.values(), keys.positions(stream), keys.deletion(token), keys.deletions,
        ]  # fmt: skip
        return int(self._write(DELETE, used, [now, new_epoch(), keys.hints, stream, token]))

    def sweep(self) -> None:
        """Remove the entries of deleted streams, also of those whose process died over it."""
        keys = self.keys
        [tokens] = call(self.client, ("SMEMBERS", keys.deletions))
        for token in tokens:
            used = [keys.entries, keys.used, keys.deletion(token.decode()), keys.deletions]
            while SWEEP.run(self.client, used, [token, BATCH]):
                pass

    # Taking over another log

    def adopt(self, rows: Sequence[Row], after: int, upto: int, state: State) -> None:
        keys = self.keys
        head, epoch = call(self.client, ("HMGET", keys.log, "head", "epoch"))[0]
        check_adoptable(self.name, int(head or 0), (epoch or b"").decode(), after, state)
        names = [*dict.fromkeys(row.stream for row in rows if row.stream)]
        numbers = {name: number for number, name in enumerate(names, 1)} | {"": 0}
        used = [keys.log, keys.entries, keys.used, *map(keys.positions, names)]
        arguments: list[object] = [new_epoch(), state.epoch, after, upto]
        for row in rows:
            arguments += (
                row.position, row.kind, row.stream, numbers[row.stream], row.seq, row.micros,
                row.text, row.key or "", "" if row.key is None else digest(row), row.context or "",
            )  # fmt: skip
        if self._write(ADOPT, used, arguments) != b"ok":
            raise EventsError(f"somebody else writes to the log {self.name!r}")

    def adopt_streams(self, streams: Sequence[StreamInfo], idle_timeout: float | None) -> None:
        keys = self.keys
        used = [keys.states, keys.recent, keys.deadlines, *keys.by_status.values()]
        arguments: list[object] = []
        for one in streams:
            arguments += (
                one.stream, one.seq, one.first_position, one.last_position,
                to_micros(one.last_event_at), one.status or "",
                to_micros(one.opened_at) if one.opened_at else "",
                to_micros(one.closed_at) if one.closed_at else "",
                "" if idle_timeout is None or one.opened_at is None else idle_timeout,
            )  # fmt: skip
        self._write(ADOPT_STREAMS, used, arguments)

    def renew(self, time: int | None) -> str:
        epoch = new_epoch()
        used = [self.keys.log, self.keys.entries]
        self._write(RENEW, used, [epoch, "" if time is None else time])
        return epoch


def _narrow(item: Item, number: int) -> tuple[object, ...]:
    """What the script is told of any event, with the number of its stream's key."""
    key, same = ("", "") if item.key is None else (item.key, digest(item))
    return item.kind, number, item.text, key, same, item.context or ""


def _wide(item: Item) -> tuple[object, ...]:
    """What it is told of a step in a stream's life."""
    step = STEPS.get(item.kind)
    to, sources = (step.to, SOURCES[item.kind]) if step else ("", "")
    return to, sources, "" if item.idle_timeout is None else item.idle_timeout
