"""What apps above this one have the log do for them. It knows none of them.

Each list is filled by an app's `ready()`.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

logger = logging.getLogger("events")

# Beginnings of kinds that are not for everybody: an app that has one makes its items itself.
reserved_kinds: list[str] = ["stream."]

# Called with the locked ledger and the name of a stream that is about to be deleted, in the same
# transaction. An EventsError keeps it from being deleted.
before_deletion: list[Callable[[Any, str], None]] = []

# Called with a log at each `reconcile()`.
chores: list[Callable[[Any], None]] = []

# What `log.durable(name)` answers with.
durable: list[Callable[[Any, str], Any]] = []

# Called by pruning with a log's name, if its KEEP_UNHANDLED is set: who still wants entries, and
# the position up to which each has done without.
keepers: list[Callable[[str], Iterable[tuple[str, int]]]] = []


def unwanted(log: str, target: int) -> int:
    """The position up to which pruning may go on its way to `target`: nobody who acts on entries
    wants these any more."""
    wanted = [one for keeper in keepers for one in keeper(log)]
    name, position = min(wanted, key=lambda one: one[1], default=("", target))
    if position >= target:
        return target
    logger.warning(
        "Log %r: pruning stops at position %s; the handler %r wants what comes after it.",
        log,
        position,
        name,
    )
    return position


def add(hooks: list[Any], hook: Any) -> None:
    """Once, however often an app gets ready, as in tests."""
    if hook not in hooks:
        hooks.append(hook)
