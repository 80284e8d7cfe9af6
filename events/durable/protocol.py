"""What the protocol asks of a server, duty by duty.

    create   PUT      make a stream, or find the same one there: see `creating`
    append   POST     and close; the order of its checks is that of `append`
    delete   DELETE   now, or with the last fork
    touch             whoever reads or writes has a stream live on

Each write holds the log's head, so that what is checked, what is appended and what a producer is
told are one commit. Under that lock nothing here may begin a transaction: of the ORM, only
`create`, `update` and `_raw_delete`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..context import current
from ..lifecycle import KINDS
from ..log import EventLog
from ..types import TERMINAL, Row
from ..validation import Item
from ..wire import dumps
from . import content, offsets, reading
from .models import Durable
from .models import Producer as ProducerRow
from .refusals import (
    Closed,
    Conflicting,
    Forked,
    Invalid,
    Lost,
    Missing,
    NotDurable,
    Refused,
    Stale,
)

# A touch that would move the deadline by less than this share of the TTL is left out.
COALESCED = 20


class Producer(NamedTuple):
    id: str
    epoch: int
    seq: int


@dataclass(frozen=True)
class Write:
    """What a POST asks for."""

    content_type: str | None = None
    data: bytes = b""
    closes: bool = False
    producer: Producer | None = None
    seq: str | None = None


class Answer(NamedTuple):
    status: int
    offset: str
    row: Durable
    closed: bool = False
    producer: Producer | None = None


# Append and close


def append(log: EventLog, name: str, write: Write) -> Answer:
    """Append, close, or both, once.

    The checks, in order: the stream is there; it is not closed; the type is its own; the producer
    is not stale, has left nothing out, and has not sent this before; Stream-Seq goes up.
    """
    prepared = prepare(log, name, write)
    if at_once := append_at_once(log, name, write, prepared):
        return at_once
    answer: Answer = log.backend.locked(partial(_append, log, name, write, prepared))  # type: ignore[attr-defined]
    touch(log, answer.row)
    return answer


def append_at_once(
    log: EventLog, name: str, write: Write, prepared: list[Item] | Refused
) -> Answer | None:
    """A single message that comes with nothing to be kept beside it, in one statement, which refuses
    a stream that is closed or gone by then. None if it is not so simple, or if the answer is no: why
    it is, is found out the long way, in its order."""
    if isinstance(prepared, Refused) or len(prepared) != 1:
        return None
    row = None if write.closes or write.producer or write.seq else reading.row_of(log, name)
    if row is None or row.deleted or reading.is_expired(row, log.backend.now()):
        return None
    if content.media_type(str(write.content_type)) != content.media_type(row.content_type):
        return None
    found = log.backend.go_on(prepared[0], row.born)  # type: ignore[attr-defined]
    if found is None:
        return None
    touch(log, row)
    entry, epoch = found
    return Answer(204, offsets.shown(epoch, entry.position), row)


def prepare(log: EventLog, name: str, write: Write) -> list[Item] | Refused:
    """The events, made before the lock is taken; or what is wrong, to be told in its turn."""
    try:
        if not write.data:
            if not write.closes:
                raise Invalid("the body is empty")
            return []
        if write.content_type is None:
            raise Invalid("Content-Type is missing")
        content.media_type(write.content_type)
        items = content.items(name, write.content_type, write.data, log.settings, current())
        if not items:
            raise Invalid("there is no message in the body")
        return items
    except Refused as error:
        return error


def _append(
    log: EventLog, name: str, write: Write, prepared: list[Item] | Refused, ledger: Any
) -> Answer:
    row = reading.row_of(log, name)
    stream = ledger.stream(name)
    row = writable(row, stream, name, ledger.clock)
    if is_closed(stream):
        return _again(ledger, row, stream, write)
    check_type(row, write)
    if isinstance(prepared, Refused):
        raise prepared
    known, highest = check_producer(row, write.producer)
    if highest is not None:
        return _answer(204, ledger, row, tail_of(row, stream), False, highest)
    check_seq(row, write.seq)
    appended: list[Row] = ledger.append(prepared)
    tail = appended[-1].position if appended else tail_of(row, stream)
    changes: dict[str, Any] = {} if write.seq is None else {"last_seq": write.seq}
    if write.producer:
        keep_producer(row, known, write.producer)
    if write.closes:
        ledger.append([closing(name)])
        changes |= {"final": tail, "closed_by": dumps(write.producer)}
    if changes:
        reading.rows_of(log).filter(pk=row.pk).update(**changes)
    status = 200 if write.producer and appended else 204
    return _answer(status, ledger, row, tail, write.closes, write.producer)


def writable(row: Durable | None, stream: Any, name: str, now: int) -> Durable:
    if row is None and stream is not None:
        raise NotDurable(f"the stream {name!r} is the log's own", allow="GET, HEAD, OPTIONS")
    if row is not None and row.deleted:
        raise Lost(f"the stream {name!r} is deleted")
    if row is None or stream is None or reading.is_expired(row, now):
        raise Missing(f"there is no stream {name!r}")
    return row


def _again(ledger: Any, row: Durable, stream: Any, write: Write) -> Answer:
    """A write to a closed stream: fine if it is what closed it, or only wants it closed."""
    tail = tail_of(row, stream)
    same = write.producer is not None and row.closed_by == dumps(write.producer)
    if same or (write.closes and not write.data and write.producer is None):
        return _answer(204, ledger, row, tail, True, write.producer)
    raise Closed(str(row), offsets.shown(ledger.epoch, tail))


def check_type(row: Durable, write: Write) -> None:
    if not write.data or write.content_type is None:
        return
    if content.media_type(write.content_type) != content.media_type(row.content_type):
        raise Conflicting(f"the stream's content type is {row.content_type}")


def check_producer(
    row: Durable, producer: Producer | None
) -> tuple[ProducerRow | None, Producer | None]:
    """What is known of the producer; and, if it has sent this before, its newest request."""
    if producer is None:
        return None, None
    rows = ProducerRow.objects.using(row._state.db)
    known = rows.filter(durable=row, producer=producer.id).first()
    if known is not None and producer.epoch < known.epoch:
        raise Stale("another producer has taken over", producer_epoch=known.epoch)
    if known is not None and producer.epoch > known.epoch and producer.seq:
        raise Invalid("a new epoch begins with Producer-Seq 0")
    if known is not None and producer.epoch == known.epoch and producer.seq <= known.seq:
        return known, Producer(producer.id, known.epoch, known.seq)
    same_epoch = known is not None and producer.epoch == known.epoch
    expected = known.seq + 1 if known is not None and same_epoch else 0
    if producer.seq != expected:
        raise Conflicting(
            f"requests are missing before {producer.seq}",
            producer_expected_seq=expected,
            producer_received_seq=producer.seq,
        )
    return known, None


def keep_producer(row: Durable, known: ProducerRow | None, producer: Producer) -> None:
    rows = ProducerRow.objects.using(row._state.db)
    if known is None:
        rows.create(durable=row, producer=producer.id, epoch=producer.epoch, seq=producer.seq)
    else:
        rows.filter(pk=known.pk).update(epoch=producer.epoch, seq=producer.seq)


def check_seq(row: Durable, seq: str | None) -> None:
    if seq is not None and row.last_seq and seq.encode() <= row.last_seq.encode():
        raise Conflicting("Stream-Seq has to go up")


def closing(name: str) -> Item:
    return Item(KINDS["complete"], name, "{}", None, context=current())


def is_closed(stream: Any) -> bool:
    return stream is not None and stream.status in TERMINAL


def tail_of(row: Durable, stream: Any) -> int:
    """Under the lock, as `View.tail`."""
    final = row.final if is_closed(stream) else None
    return int(stream.last if final is None else final)


def _answer(
    status: int, ledger: Any, row: Durable, tail: int, closed: bool, producer: Producer | None
) -> Answer:
    return Answer(status, offsets.shown(ledger.epoch, tail), row, closed, producer)


# Delete, and expire


def delete(log: EventLog, name: str) -> None:
    """Now; or, while there are forks, from its own address only."""
    while True:
        try:
            log.backend.locked(partial(_may_go, log, name))  # type: ignore[attr-defined]
            log.backend.delete_stream(name)
            return
        except Forked:
            if log.backend.locked(partial(_hide, log, name)):  # type: ignore[attr-defined]
                return


def _may_go(log: EventLog, name: str, ledger: Any) -> None:
    row = reading.rows_of(log).filter(name=name).first()
    writable(row, ledger.stream(name), name, ledger.clock)


def _hide(log: EventLog, name: str, ledger: Any) -> bool:
    """Mark it deleted, if it still has forks."""
    row = reading.rows_of(log).filter(name=name).first()
    if row is None or not has_forks(row):
        return False
    hide(row)
    return True


def hide(row: Durable) -> None:
    Durable.objects.using(row._state.db).filter(pk=row.pk).update(deleted=True)
    row.deleted = True


def has_forks(row: Durable) -> bool:
    return Durable.objects.using(row._state.db).filter(source=row).exists()


def forget(ledger: Any, name: str) -> None:
    """A stream is about to be deleted, by whatever way: its row goes with it, and a source that was
    only kept for it. Refused while others are forked from it, since they would lose their past."""
    rows = Durable.objects.using(ledger.cursor.db.alias).filter(log=ledger.name)
    row = rows.filter(name=name).select_related("source").first()
    if row is None:
        return
    if has_forks(row):
        raise Forked(f"other streams are forked from {name!r}; delete them first")
    producers = ProducerRow.objects.using(row._state.db).filter(durable=row)
    producers._raw_delete(row._state.db)
    rows.filter(pk=row.pk)._raw_delete(row._state.db)
    source = row.source
    if source is not None and source.deleted and not has_forks(source):
        ledger.delete_stream(source.name)


def expire(ledger: Any, row: Durable) -> Durable | None:
    """The row, if it is kept for its forks."""
    if has_forks(row):
        hide(row)
        return row
    ledger.delete_stream(row.name)
    return None


def remove_expired(log: EventLog) -> None:
    """What `reconcile_streams` does for durable streams."""
    if not log.backend.in_database or log.backend.in_transaction():
        return
    expired = reading.rows_of(log).filter(deadline__lte=log.backend.now(), deleted=False)
    for name in list(expired.values_list("name", flat=True)):
        log.backend.locked(partial(_remove, log, name))  # type: ignore[attr-defined]


def _remove(log: EventLog, name: str, ledger: Any) -> None:
    row = reading.rows_of(log).filter(name=name, deleted=False).first()
    if row is not None and reading.is_expired(row, ledger.clock):
        expire(ledger, row)


# Live on


def touch(log: EventLog, row: Durable) -> None:
    """Somebody has read or written: the TTL begins anew. Not under the lock, and not each time: a
    reader of every token would write for each of them."""
    if row.ttl is None or row.deadline is None:
        return
    now, ttl = log.backend.now(), row.ttl * 1_000_000
    if now + ttl - row.deadline > ttl // COALESCED:
        alive = reading.rows_of(log).filter(pk=row.pk, deadline__gt=now)
        alive.update(deadline=now + ttl)
        row.deadline = now + ttl
