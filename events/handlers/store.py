"""The handlers' own rows, and the logs that they are about."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from django.db import transaction
from django.db.models import F

from ..backends.base import BaseBackend
from ..cursors import Query
from ..cursors import State as LogState
from ..log import logs
from .locks import shards_of
from .models import MAX_TEXT, Shard, State, Subscription
from .spec import Spec

# Entries that are read at once.
PAGE = 500
# What a reader that is at the head asks, of all that is there.
PROBE = Query(since="latest", limit=0, whole=True)

# The number of shards that this process has asked for, by database and name.
_declared: dict[tuple[str, str], int] = {}


def backend_of(spec: Spec) -> BaseBackend:
    return logs[spec.log].backend


def log_state(backend: BaseBackend) -> LogState:
    """Where the log stands when all that was committed before this call has its position."""
    return backend.settled(PROBE).state


def query(spec: Spec, cursor: int, epoch: str, limit: int = PAGE) -> Query:
    """What a handler reads: down to the floor, whatever the TTL hides."""
    asked = logs[spec.log].query(cursor, limit, stream=spec.stream, kind=spec.kind, epoch=epoch)
    return replace(asked, whole=True)


def position(since: str | int, state: LogState) -> int:
    """What a position, `earliest` or `latest` stands for."""
    if isinstance(since, int):
        return min(since, state.head)
    return state.floor if since == "earliest" else state.head


def subscription(alias: str, name: str) -> Subscription | None:
    return Subscription.objects.using(alias).filter(name=name).first()


def enter(spec: Spec, since: str | int | None = None) -> tuple[Subscription, list[Shard]]:
    """The handler's rows. They are made at its first run, unless it is paused; that decides where
    it begins."""
    backend = backend_of(spec)
    found, _ = Subscription.objects.using(backend.alias).get_or_create(
        name=spec.name, defaults={"log": spec.log, "shards": spec.shards}
    )
    _declare(spec, found)
    shards = shards_of(found)
    if not shards and found.state == State.RUNNING:
        state = log_state(backend)
        cursor = position(spec.since if since is None else since, state)
        with transaction.atomic(using=backend.alias):
            lock_subscription(found)
            if not shards_of(found):
                make_shards(found, found.shards, cursor, state.epoch)
        shards = shards_of(found)
    return found, shards


def _declare(spec: Spec, found: Subscription) -> None:
    """Ask for the number of shards that the code has: once, so that a process that still runs old
    code does not ask again."""
    if is_declared(spec, found):
        return
    _declared[found._state.db or "", spec.name] = spec.shards
    if (found.shards, found.log) != (spec.shards, spec.log):
        found.shards, found.log = spec.shards, spec.log
        found.save(update_fields=["shards", "log"])


def is_declared(spec: Spec, found: Subscription) -> bool:
    return _declared.get((found._state.db or "", spec.name)) == spec.shards


def make_shards(
    found: Subscription, number: int, cursor: int, epoch: str, holds: bool = False
) -> None:
    """With the subscription, or all of its former shards, locked."""
    Shard.objects.using(found._state.db).bulk_create(
        Shard(subscription=found, number=n, of=number, cursor=cursor, epoch=epoch, holds=holds)
        for n in range(number)
    )


def lock_subscription(found: Subscription) -> None:
    rows = Subscription.objects.using(found._state.db).filter(pk=found.pk)
    rows.update(log=F("log"))


def standing(specs: Iterable[Spec]) -> Iterator[tuple[Spec, Subscription, list[Shard]]]:
    """The rows of many handlers, by two statements a database. Those of a new one are made."""
    for alias, some in by_alias(specs).items():
        subscriptions = Subscription.objects.using(alias).filter(name__in=[s.name for s in some])
        known = {found.name: found for found in subscriptions}
        shards: dict[int, list[Shard]] = {}
        for shard in Shard.objects.using(alias).filter(subscription__in=known.values()):
            shards.setdefault(shard.subscription_id, []).append(shard)
        for spec in some:
            found = known.get(spec.name)
            if found is None or found.pk not in shards or not is_declared(spec, found):
                yield spec, *enter(spec)
            else:
                yield spec, found, sorted(shards[found.pk], key=lambda shard: shard.number)


def by_alias(specs: Iterable[Spec]) -> dict[str, list[Spec]]:
    found: dict[str, list[Spec]] = {}
    for spec in specs:
        found.setdefault(backend_of(spec).alias, []).append(spec)
    return found


def note_error(alias: str, subscription_id: int, error: str) -> None:
    Subscription.objects.using(alias).filter(pk=subscription_id).update(last_error=error[:MAX_TEXT])


def count_loss(alias: str, shard_id: int, position: int) -> int:
    """With the shard locked: how often in a row the connection was lost over this entry."""
    rows = Shard.objects.using(alias).filter(pk=shard_id)
    rows.exclude(lost_at=position).update(lost_at=position, losses=0)
    rows.update(losses=F("losses") + 1)
    return int(rows.values_list("losses", flat=True).get())
