"""Deliveries that are too old are forgotten, a few at a time, by whoever delivers."""

import time

from ..log import logs
from . import conf, endpoints
from .models import Delivery

# Seconds between two looks of a process; rows in one statement.
EVERY = 60.0
BATCH = 1000

_last = 0.0


def prune_now_and_then() -> None:
    global _last
    if time.monotonic() - _last > EVERY:
        _last = time.monotonic()
        prune(BATCH)


def prune(most: int | None = None) -> int:
    """Forget what is older than WEBHOOKS_KEEP; how many those are."""
    keep = round(conf.seconds("KEEP") * 1_000_000)
    clocks = {logs[name].backend.alias: logs[name].backend for name in logs}
    return sum(
        prune_before(alias, clocks[alias].now() - keep, most) for alias in endpoints.reachable()
    )


def prune_before(alias: str, moment: int, most: int | None) -> int:
    rows, total = Delivery.objects.using(alias).filter(at__lt=moment).order_by("at"), 0
    while True:
        found = list(rows.values_list("pk", flat=True)[:BATCH])
        total += Delivery.objects.using(alias).filter(pk__in=found).delete()[0]
        if len(found) < BATCH or (most is not None and total >= most):
            return total
