"""Held entries. Their shard is locked, but where it says otherwise."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import ExpressionWrapper, F, Min, QuerySet, TextField

from ..types import Row, to_micros
from . import locks, store
from .models import Held
from .spec import Spec, hash_of

# As they are kept: what is damaged fails where it is looked at, and keeps no others waiting.
TEXTS = {f"{name}_text": ExpressionWrapper(F(name), TextField()) for name in ("payload", "context")}


def held(alias: str, subscription_id: int) -> QuerySet[Held]:
    rows = Held.objects.using(alias).filter(subscription=subscription_id)
    return rows.defer("payload", "context").annotate(**TEXTS)


def in_shard(rows: QuerySet[Held], number: int, of: int) -> QuerySet[Held]:
    return rows.annotate(rest=F("hash") % of).filter(rest=number)


def copies(subscription_id: int, rows: Iterable[Row], **values: object) -> list[Held]:
    return [
        Held(
            subscription_id=subscription_id,
            position=row.position,
            kind=row.kind,
            stream=row.stream,
            seq=row.seq,
            timestamp=row.micros,
            payload=row.text,
            key=row.key,
            context=row.context,
            hash=hash_of(row.stream),
            **values,
        )
        for row in rows
    ]


def as_row(one: Any) -> Row:
    return Row(
        one.position,
        one.kind,
        one.stream,
        one.seq,
        to_micros(one.timestamp),
        one.payload_text,
        one.key,
        one.context_text,
    )


def blocked(alias: str, subscription_id: int, rows: Sequence[Row]) -> set[str]:
    """Those of the rows' streams that have held entries."""
    names = {row.stream for row in rows if row.stream}
    found = held(alias, subscription_id).filter(stream__in=names)
    return set(found.values_list("stream", flat=True).distinct())


def promote(alias: str, subscription_id: int, stream: str, now: int) -> None:
    """Have the first of what waits in a stream be tried, when nothing is before it any more."""
    if stream:
        rows = held(alias, subscription_id).filter(stream=stream)
        first = rows.order_by("pk").first()
        if first is not None and not first.failed:
            rows.filter(pk=first.pk).update(next_attempt_at=now)


def attempt_failed(spec: Spec, attempts: int, error: str, now: int) -> dict[str, object]:
    """What a held row is changed to by an attempt that has failed; `attempts` includes it."""
    parked = attempts > len(spec.retry)
    return {
        "failed": True,
        "attempts": attempts,
        "parked": parked,
        "next_attempt_at": None if parked else now + round(spec.retry[attempts - 1] * 1_000_000),
        "error": error,
    }


# Without a lock.


def waiting(failed: Iterable[Held]) -> dict[str, int]:
    """How many wait behind each of them, by stream."""
    found: dict[str, int] = {}
    for one in failed:
        if one.stream:
            rows = held(one._state.db or "", one.subscription_id)
            found[one.stream] = rows.filter(stream=one.stream, failed=False).count()
    return found


def next_due(specs: Iterable[Spec]) -> dict[str, int]:
    """When the first held entry of each handler is to be tried, in microseconds."""
    due: dict[str, int] = {}
    for alias, some in store.by_alias(specs).items():
        rows = Held.objects.using(alias).filter(
            subscription__name__in=[spec.name for spec in some], next_attempt_at__isnull=False
        )
        firsts = rows.values_list("subscription__name").annotate(Min("next_attempt_at"))
        due.update({name: to_micros(first) for name, first in firsts})
    return due


def free_deleted(spec: Spec) -> None:
    """Forget what is held of streams that were deleted since. What was emitted to one of that name
    afterwards goes on."""
    backend = store.backend_of(spec)
    found = store.subscription(backend.alias, spec.name)
    if found is None:
        return
    rows = held(backend.alias, found.pk)
    names = set(rows.filter(failed=True).exclude(stream="").values_list("stream", flat=True))
    streams = backend.find_streams(sorted(names)) if names else {}
    for name in names:
        # All of them, if there is no such stream.
        first = streams[name].first_position if name in streams else 2**62
        gone = rows.filter(stream=name, position__lt=first)
        if gone.exists():
            with transaction.atomic(using=backend.alias):
                if locks.lock_stream(found, name):
                    gone.delete()
                    promote(backend.alias, found.pk, name, backend.now())
