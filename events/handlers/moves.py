"""What moves a cursor but work: gaps, and people."""

from __future__ import annotations

from django.db import transaction

from ..cursors import State as LogState
from ..types import Gap
from . import holding, locks, store
from .models import MAX_TEXT, Shard, State, Subscription
from .spec import Spec


def note_gap(alias: str, subscription_id: int, gap: Gap) -> None:
    Subscription.objects.using(alias).filter(pk=subscription_id, state=State.RUNNING).update(
        state=State.STOPPED, reason=told(gap)[:MAX_TEXT]
    )


def skip_gap(shard: Shard, gap: Gap, state: LogState) -> None:
    """Go on with what is left. Positions that will be used again are those of other entries:
    what is held there is forgotten."""
    alias = shard._state.db or ""
    cursor = gap.first_available - 1
    Shard.objects.using(alias).filter(pk=shard.pk).update(cursor=cursor, epoch=state.epoch)
    if gap.reason in ("epoch", "ahead"):
        rows = holding.held(alias, shard.subscription_id).filter(position__gt=cursor)
        holding.in_shard(rows, shard.number, shard.of).delete()


def pass_gap(spec: Spec, found: Subscription) -> None:
    """Of a handler that has stopped."""
    gaps = {}
    for shard in locks.shards_of(found):
        page = store.backend_of(spec).read(store.query(spec, shard.cursor, shard.epoch, 1))
        if page.gap is not None:
            gaps[shard.pk, shard.cursor] = page.gap, page.state
    with transaction.atomic(using=found._state.db):
        for shard in locks.lock_all(found, wait=True):
            if (shard.pk, shard.cursor) in gaps:
                skip_gap(shard, *gaps[shard.pk, shard.cursor])


def place_at(found: Subscription, cursor: int, epoch: str) -> None:
    """Go to a position, and forget what is held after it."""
    alias = found._state.db
    # The shards first, as those who work on them do. Who has none is not at work.
    shards = locks.lock_all(found, wait=True)
    if not shards:
        store.lock_subscription(found)
        shards = locks.lock_all(found, wait=True)
    rows = Shard.objects.using(alias).filter(subscription=found)
    if len(shards) == found.shards:
        rows.update(cursor=cursor, epoch=epoch, upto=None)
    else:
        rows.delete()
        store.make_shards(found, found.shards, cursor, epoch, holds=True)
    holding.held(alias or "", found.pk).filter(position__gt=cursor).delete()


def told(gap: Gap) -> str:
    return (
        f"{gap.reason}: {gap.lost} entries after position {gap.requested} are gone; the log goes on "
        f"at position {gap.first_available}"
    )
