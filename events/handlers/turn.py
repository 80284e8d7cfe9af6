"""What there is to do for one handler: its shards, their change of number, and one pass over all."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.db import transaction

from . import holding, locks, store
from .due import Due
from .fresh import Fresh
from .models import Shard, State, Subscription
from .shard import ShardWork, Step
from .spec import Spec

logger = logging.getLogger("events")

# Seconds for which a pass waits for a shard that somebody else works on; as long as it takes to see
# that a process has died. And between two looks.
PATIENCE = 5.0
PAUSE = 0.05
# Beyond all positions.
ANYWHERE = 2**62


def work_on(spec: Spec, shard: Shard, **options: Any) -> ShardWork:
    work = ShardWork(spec, shard, **options)
    work.sources = [Due(work), Fresh(work)]
    return work


def is_changing(found: Subscription, shards: list[Shard]) -> bool:
    return any(shard.of != found.shards or shard.upto is not None for shard in shards)


def change_shards(found: Subscription) -> bool:
    """Give the handler as many shards as the code wants, once all of the old ones have come to one
    point, which is the cursor of the foremost; was there something to do?

        all are locked at once  →  they get `upto`  →  each goes there  →  all are locked once more,
        and the new ones take their place

    While they change, no other step is begun; so that all locks can be had.
    """
    with transaction.atomic(using=found._state.db):
        shards = locks.lock_all(found)
        if not is_changing(found, shards):
            return False
        rows = Shard.objects.using(found._state.db).filter(subscription=found)
        if all(shard.of == found.shards for shard in shards):
            # Somebody has changed it back.
            return bool(rows.update(upto=None))
        epochs = {shard.epoch for shard in shards}
        if len(epochs) > 1:
            # Those of an old epoch have a gap before them, wherever they stand.
            return bool(rows.exclude(upto=ANYWHERE).update(upto=ANYWHERE))
        [epoch] = epochs
        upto = max(shard.cursor for shard in shards)
        if any(shard.cursor != upto for shard in shards):
            return bool(rows.exclude(upto=upto).update(upto=upto))
        rows.delete()
        store.make_shards(found, found.shards, upto, epoch, holds=True)
        logger.info("Handler %r: %s shards from position %s on.", found.name, found.shards, upto)
        return True


def workable(found: Subscription, shards: list[Shard]) -> list[Shard]:
    """Those that may be worked on now: while their number changes, as far as their common point."""
    if not is_changing(found, shards):
        return shards
    change_shards(found)
    return [
        shard
        for shard in locks.shards_of(found)
        if shard.upto is not None or not is_changing(found, [shard])
    ]


def run_now(
    spec: Spec,
    *,
    since: str | None = None,
    raising: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Do what is due now, up to the head as it is now; how many steps that took.

    What somebody else works on is theirs; but one who has died is waited for. Afterwards the cursor
    passes what came meanwhile, as far as the handler does not want it: what it has itself emitted.
    """
    if spec.driver is not None:
        return spec.driver.run_now([spec], raising=raising, stopping=stopping)
    steps = _run_now(spec, since, raising, stopping)
    if steps:
        head = store.log_state(store.backend_of(spec)).head
        for shard in workable(*store.enter(spec)):
            work = ShardWork(spec, shard, until=head)
            work.sources = [Fresh(work, passing_by=True)]
            run_shard(work, 0.0, stopping)
    return steps


def _run_now(spec: Spec, since: str | None, raising: bool, stopping: Callable[[], bool]) -> int:
    head = store.log_state(store.backend_of(spec)).head
    holding.free_deleted(spec)
    deadline = time.monotonic() + PATIENCE
    total = 0
    while True:
        found, shards = store.enter(spec, since)
        if found.state != State.RUNNING or found.shards != spec.shards:
            return total
        moved, busy = 0, is_changing(found, shards)
        for shard in workable(found, shards):
            work = work_on(spec, shard, until=head, raising=raising)
            steps, last = run_shard(work, deadline, stopping)
            moved += steps
            busy = busy or last is Step.BUSY
        total += moved
        if not busy or stopping() or (not moved and time.monotonic() > deadline):
            return total
        if not moved:
            time.sleep(PAUSE)


def run_shard(
    work: ShardWork, deadline: float, stopping: Callable[[], bool] = lambda: False
) -> tuple[int, Step]:
    """Steps on one shard, until there is nothing more to do; how many, and how the last one ended."""
    steps, step = 0, Step.MOVED
    try:
        while not stopping():
            step = work.step()
            if step is Step.MOVED:
                steps += 1
            elif step is not Step.AGAIN or time.monotonic() > deadline:
                return steps, step
            else:
                time.sleep(PAUSE)
        return steps, step
    finally:
        work.release()
