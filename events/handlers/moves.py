"""What moves a cursor but work: gaps, and people."""

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


def may_skip(spec: Spec, alias: str, subscription_id: int, gap: Gap) -> bool:
    """Does the handler go on with what is left? It says so itself; or a person has."""
    if gap.reason != "unreadable":
        return spec.on_gap == "skip"
    passed = Subscription.objects.using(alias).filter(pk=subscription_id, passed__gt=gap.requested)
    return spec.on_gap == "skip" or passed.exists()


def skip_gap(shard: Shard, gap: Gap, state: LogState) -> None:
    """Go on with what is left.

    In another epoch that is what follows the cursor, if the log comes so far: a restore has brought
    back the cursor and the log together. If not, the log was made anew; its positions are those of
    other entries, and what is held there is forgotten.
    """
    alias, cursor = shard._state.db or "", gap.first_available - 1
    if gap.reason == "epoch" and state.floor <= shard.cursor <= state.head:
        cursor = shard.cursor
    Shard.objects.using(alias).filter(pk=shard.pk).update(cursor=cursor, epoch=state.epoch)
    if gap.reason in ("epoch", "ahead"):
        rows = holding.held(alias, shard.subscription_id).filter(position__gt=cursor)
        holding.in_shard(rows, shard.number, shard.of).delete()


def pass_gap(spec: Spec, found: Subscription) -> None:
    """Of a handler that has stopped."""
    backend, gaps = store.backend_of(spec), {}
    head = store.log_state(backend).head
    for shard in locks.shards_of(found):
        page = backend.read(store.query(spec, shard.cursor, shard.epoch, 1))
        if page.gap is not None:
            gaps[shard.pk, shard.cursor] = page.gap, page.state
    with transaction.atomic(using=found._state.db):
        for shard in locks.lock_all(found, wait=True):
            if (shard.pk, shard.cursor) in gaps:
                skip_gap(shard, *gaps[shard.pk, shard.cursor])
        # Others have not come to a row that cannot be read yet, and there may be more of them.
        Subscription.objects.using(found._state.db).filter(pk=found.pk).update(passed=head)


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
    if gap.reason == "epoch":
        return (
            f"epoch: the log has a new one, and what follows position {gap.requested} may be other "
            f"entries than before; the first that is there is {gap.first_available}"
        )
    return (
        f"{gap.reason}: {gap.lost} entries after position {gap.requested} are gone; the log goes on "
        f"at position {gap.first_available}"
    )
