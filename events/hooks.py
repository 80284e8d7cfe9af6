"""What apps above this one have the log do for them. It knows none of them.

Each list is filled by an app's `ready()`.
"""

from collections.abc import Callable, Iterable
from typing import Any

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


def kept(log: str) -> tuple[str, int] | None:
    """Who wants the oldest entries, and the position up to which they may go."""
    wanted = [one for keeper in keepers for one in keeper(log)]
    return min(wanted, key=lambda one: one[1], default=None)


def add(hooks: list[Any], hook: Any) -> None:
    """Once, however often an app gets ready, as in tests."""
    if hook not in hooks:
        hooks.append(hook)
