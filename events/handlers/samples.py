"""What processes that run handlers leave behind every few seconds: that they are there, and how far
behind each handler is. A sample a minute is kept, for an hour."""

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.db import DatabaseError, connections
from django.db.models.functions import Now

from .models import Sample

logger = logging.getLogger("events")

# Seconds between two, and until somebody who has left none is taken for gone.
EVERY = 10.0
GONE = 3 * EVERY
# Minutes.
KEPT = 60


def this_minute() -> int:
    return int(time.time() // 60)


def take(alias: str, lags: Mapping[int, int]) -> None:
    """Of handlers, by their keys."""
    minute = this_minute()
    rows = Sample.objects.using(alias)
    targeted = connections[alias].features.supports_update_conflicts_with_target
    rows.bulk_create(
        # In one order, so that two processes do not wait for each other.
        [
            Sample(subscription_id=key, minute=minute, lag=lags[key], at=Now())
            for key in sorted(lags)
        ],
        update_conflicts=True,
        unique_fields=["subscription", "minute"] if targeted else None,
        update_fields=["lag", "at"],
    )
    rows.filter(subscription__in=list(lags), minute__lte=minute - KEPT).delete()


class Sampler:
    """Takes samples now and then. Nothing waits for that, and nothing fails over it."""

    def __init__(self) -> None:
        self.taken = float("-inf")

    def look(self, standing: Iterable[tuple[str, int, int]]) -> None:
        """At handlers, each by its database, its key and its lag."""
        if time.monotonic() - self.taken < EVERY:
            return
        self.taken = time.monotonic()
        lags: dict[str, dict[int, int]] = {}
        for alias, key, lag in standing:
            lags.setdefault(alias, {})[key] = max(0, lag)
        for alias, some in lags.items():
            try:
                take(alias, some)
            except DatabaseError as error:
                logger.info("Handlers: how far behind they are was not noted: %s", error)


def running(alias: str, keys: Iterable[int]) -> set[int]:
    """Which of the handlers are run by somebody, by the database's clock."""
    rows = Sample.objects.using(alias).filter(subscription__in=list(keys))
    recent = rows.filter(at__gt=Now() - timedelta(seconds=GONE))
    return set(recent.values_list("subscription", flat=True))


def last_hour(alias: str, key: int) -> list[int]:
    """How far behind the handler was, from 59 minutes ago to now; 0 where nobody looked."""
    first = this_minute() - KEPT + 1
    rows = Sample.objects.using(alias).filter(subscription=key, minute__gte=first)
    found = dict(rows.values_list("minute", "lag"))
    return [found.get(minute, 0) for minute in range(first, first + KEPT)]
