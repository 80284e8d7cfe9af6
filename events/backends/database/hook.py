"""What follows a commit of the caller's: its events get their positions."""

import logging
from collections.abc import Iterator

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ... import hints
from ...exceptions import LogBusy
from ...internals import commit_hooks
from . import sequencer
from .lock import READER_PATIENCE

logger = logging.getLogger("events")


class Hook:
    """Has what was committed sequenced. It never fails the caller, whose data is safe by now: what
    it leaves in the outbox is sequenced by the next emit, read or poll.

    `head` is where the log stood when the hook was registered. `inline` is for a step in a
    stream's life: the checks of the next transaction read the stream's status.
    """

    def __init__(self, lock: sequencer.Outbox, head: int, inline: bool) -> None:
        self.lock = lock
        self.log = lock.name
        self.head = head
        self.inline = inline

    def __call__(self) -> None:
        in_background = not self.inline and sequencer.is_available(self.lock)
        try:
            if in_background and sequencer.ring(self.lock):
                return
            # Where the thread is behind, those who write have to wait for it a little.
            head = self.lock.sequence(READER_PATIENCE if in_background else None)
        except Exception as error:
            if not (in_background and isinstance(error, LogBusy)):
                logger.warning(
                    "Log %r: could not sequence after a commit.", self.log, exc_info=True
                )
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
    if not (isinstance(last, Hook) and last.log == hook.log and last.inline >= hook.inline):
        transaction.on_commit(hook, using=connection.alias)


def registered(connection: BaseDatabaseWrapper, log: str) -> Iterator[Hook]:
    """The hooks of a log that no savepoint has taken back."""
    for hook in commit_hooks(connection):
        if isinstance(hook, Hook) and hook.log == log:
            yield hook
