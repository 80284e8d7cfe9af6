"""Writing to a log: each verb is one script, so it happens as a whole or not at all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ...cursors import State
from ...exceptions import EventsError, InvalidEvent, KeyConflict, StreamClosed
from ...lifecycle import FAILED_IDLE, STEPS, next_status
from ...types import Row, StreamInfo, new_epoch, to_micros
from ...validation import Item
from ...wire import dumps
from ..base import check_adoptable
from ..clock import SKEW
from ..receipts import check_same
from .client import Client
from .errors import NotConfirmed
from .rows import digest, to_row
from .scripts import (
    ADOPT,
    ADOPT_STREAMS,
    APPEND,
    BEGIN,
    COME_BACK,
    DELETE,
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

# From which statuses a step leads on, as the script reads it.
SOURCES = {
    kind: "," + ",".join(status or "none" for status in step.sources) + ","
    for kind, step in STEPS.items()
}


class Relayed(NamedTuple):
    """A committed event and its id in the outbox."""

    id: int
    item: Item


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
        return self._rows(items, self._append("all", items, now))

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
        self._write(COME_BACK, [self.keys.states, self.keys.deadlines], [now, SKEW])

    def relay(
        self,
        rows: Sequence[Relayed],
        forget: Sequence[int],
        database: str,
        token: int,
        timeout: float | None,
    ) -> list[Any]:
        """Give committed events their places, each once; what became of each."""
        items = [row.item for row in rows]
        return self._append(
            "relay" if rows else "forget",
            items,
            self.now(),
            ids=[str(row.id) for row in rows],
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
        ids: Sequence[str] = (),
        forget: Sequence[int] = (),
        database: str = "",
        token: str = "",
        timeout: float | None = None,
    ) -> list[Any]:
        keys = self.keys
        names = [*dict.fromkeys(item.stream for item in items if item.stream)]
        numbers = {name: number for number, name in enumerate(names, 1)} | {"": 0}
        used = [keys.log, keys.entries, keys.used, keys.placed(database)]
        if names:
            used += [keys.states, keys.recent, keys.deadlines, *keys.by_status.values()]
            used += map(keys.positions, names)
        arguments: list[object] = [
            now, new_epoch(), mode, keys.hints, token, len(keys.list_base.encode()),
            len(forget), *forget,
        ]  # fmt: skip
        for index, item in enumerate(items):
            step = STEPS.get(item.kind)
            arguments += (
                item.kind,
                numbers[item.stream],
                item.text,
                item.key or "",
                "" if item.key is None else digest(item),
                item.context or "",
                step.to if step else "",
                SOURCES[item.kind] if step else "",
                "" if item.idle_timeout is None else item.idle_timeout,
                ids[index] if ids else "",
            )
        # What was lost on the way may be sent again by a relay, whose ids are noted.
        answer = self._write(APPEND, used, arguments, again=mode != "all", timeout=timeout)
        if answer[0] == b"stale":
            raise Stale(int(answer[1]))
        if answer[0] == b"refused":
            self._refuse(items, *answer[1:])
        return answer  # type: ignore[no-any-return]

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
        refused = isinstance(answer, list) and answer[0] in (b"refused", b"stale")
        if confirmed < self.wait and not refused:
            raise NotConfirmed(
                f"log {self.name!r}: stored, but {confirmed} of {self.wait} replicas have said so "
                f"within {CONFIRM / 1000:g} s. With a key, to emit again is safe"
            )
        return answer

    def _rows(self, items: Sequence[Item], answer: list[Any]) -> list[Row | None]:
        _, time, _, fates = answer
        micros, placed = int(time), dict[int, Row]()
        rows: list[Row | None] = []
        for item, fate in zip(items, fates, strict=True):
            row = None
            if fate[0] == b"new":
                position = int(fate[1])
                row = placed[position] = Row(
                    position, item.kind, item.stream, int(fate[2]), micros, item.text, item.key,
                    item.context,
                )  # fmt: skip
            elif fate[0] == b"old":
                row = placed.get(int(fate[1])) or to_row(fate[2][0])
            rows.append(row)
        return rows

    def _refuse(self, items: Sequence[Item], number: int, reason: bytes, detail: bytes) -> None:
        item, status = items[number - 1], detail.decode()
        if reason == b"key":
            self.refuse_key(item, items[: number - 1], int(status))
        if reason == b"step":
            next_status(item.kind, item.stream, status or None)
        raise StreamClosed(f"the stream {item.stream!r} has {status}; nothing was stored")

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
