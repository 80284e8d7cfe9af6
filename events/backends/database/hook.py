"""What follows a commit of the caller's: its events get their positions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ... import hints
from ...internals import commit_hooks

logger = logging.getLogger("events")


class Hook:
    """Sequences after a commit. It never fails the caller, whose data is safe by now: what it
    leaves in the outbox is sequenced by the next emit, read or poll.

    `head` is where the log stood when the hook was registered.
    """

    def __init__(self, log: str, head: int, sequence: Callable[[], int]) -> None:
        self.log = log
        self.head = head
        self.sequence = sequence

    def __call__(self) -> None:
        try:
            head = self.sequence()
        except Exception:
            logger.warning("Log %r: could not sequence after a commit.", self.log, exc_info=True)
        else:
            # Somebody else may have sequenced them, and died before it told anybody.
            hints.send(self.log, head)


def register(connection: BaseDatabaseWrapper, hook: Hook) -> None:
    """Have the hook run after the commit.

    Not "register once, and remember that": a rolled-back savepoint takes its hooks along, and
    with them the only one there was. But while one of this log is the last on the list, what is
    emitted now is inside all the savepoints that it depends on.
    """
    if not connection.in_atomic_block:
        return
    last = next(commit_hooks(connection), None)
    if not (isinstance(last, Hook) and last.log == hook.log):
        transaction.on_commit(hook, using=connection.alias)


def registered(connection: BaseDatabaseWrapper, log: str) -> Iterator[Hook]:
    """The hooks of a log that no savepoint has taken back."""
    for hook in commit_hooks(connection):
        if isinstance(hook, Hook) and hook.log == log:
            yield hook
