"""How a log's handlers stand, in numbers for `events_status` and for Prometheus. The core knows
nothing of them but the hook. By a few statements a log, however many handlers it has."""

from collections import defaultdict
from typing import Any

from django.db.models import Count, Min

from .. import status
from ..log import logs
from . import holding, samples, store
from .models import Held, Shard, State, Subscription
from .registry import handlers


def start() -> None:
    status.parts["handlers"] = of_log


def of_log(log: str) -> list[dict[str, Any]]:
    """Of each handler where it stands, and whether a process is there that runs it."""
    specs = {spec.name: spec for spec in handlers.specs().values() if spec.log == log}
    if not specs:
        return []
    alias, head = logs[log].backend.alias, store.log_state(logs[log].backend)
    found = Subscription.objects.using(alias).filter(name__in=list(specs))
    known = {one.name: one for one in found}
    keys = [one.pk for one in known.values()]
    running, cursors, held = samples.running(alias, keys), _cursors(alias, keys), _held(alias, keys)
    rows = []
    for name, spec in specs.items():
        one = known.get(name)
        key = one.pk if one else 0
        if held[key]:
            holding.free_deleted(spec)
            held[key] = _held(alias, [key])[key]
        cursor = cursors.get(key, store.position(spec.since, head))
        rows.append(
            {
                "name": name,
                "state": one.state if one else State.RUNNING.value,
                "lag": max(0, head.head - cursor),
                "held": held[key].get(False, 0),
                "parked": held[key].get(True, 0),
                "runner": key in running,
            }
        )
    return rows


def _cursors(alias: str, keys: list[int]) -> dict[int, int]:
    rows = Shard.objects.using(alias).filter(subscription__in=keys)
    return dict(rows.values_list("subscription").annotate(Min("cursor")))


def _held(alias: str, keys: list[int]) -> defaultdict[int, dict[bool, int]]:
    """How many have failed, by handler and whether they are parked."""
    rows = Held.objects.using(alias).filter(subscription__in=keys, failed=True)
    found: defaultdict[int, dict[bool, int]] = defaultdict(dict)
    for key, parked, count in rows.values_list("subscription", "parked").annotate(Count("pk")):
        found[key][parked] = count
    return found
