"""What apps above this one have the log do for them. It knows none of them.

Each list is filled by an app's `ready()`.
"""

from __future__ import annotations

from collections.abc import Callable
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


def add(hooks: list[Any], hook: Any) -> None:
    """Once, however often an app gets ready, as in tests."""
    if hook not in hooks:
        hooks.append(hook)
