"""What pruning must keep for handlers, where a log's KEEP_UNHANDLED says so."""

from __future__ import annotations

from collections.abc import Iterator

from .. import unhandled
from . import store
from .models import Held, Shard, State
from .registry import handlers


def start() -> None:
    if wanted not in unhandled.keepers:
        unhandled.keepers.append(wanted)


def wanted(log: str) -> Iterator[tuple[str, int]]:
    """The handlers of the code that are not paused: where each stands, or what waits behind its held
    entries, whichever is first."""
    for spec in handlers.specs().values():
        if spec.log != log:
            continue
        alias = store.backend_of(spec).alias
        found = store.subscription(alias, spec.name)
        if found is None or found.state == State.PAUSED:
            continue
        shards = Shard.objects.using(alias).filter(subscription=found)
        waiting = Held.objects.using(alias).filter(subscription=found, failed=False)
        cursors = [*shards.values_list("cursor", flat=True)]
        first = waiting.order_by("position").values_list("position", flat=True).first()
        if cursors:
            yield spec.name, min([*cursors, *([] if first is None else [first - 1])])
