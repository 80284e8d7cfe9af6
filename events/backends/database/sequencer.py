"""Sequencing off the caller's path: a thread of the process for each database.

    commit ──> hook ──> ring() ──> the thread: gather ──> sequence, for all that has come ──> hint

The hook leaves a word and goes on. Nothing depends on the thread: reads and direct emits drain
the outbox before they answer, and so does whoever comes after a process that died. It keeps the
second commit, and the wait for the head, out of the time of those who write.
"""

import atexit
import logging
import os
import threading
import time
from functools import cache
from importlib import import_module
from typing import Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ... import hints
from ...exceptions import LogBusy
from ...internals import in_test_environment
from ...threads import at_end_of_child, own_connection

logger = logging.getLogger("events")

# Seconds that the thread waits for more to come, and, when somebody else has the head, for who
# has it to take these rows along.
GATHER = 0.01
TAKEN = 0.02
# Seconds that one log may keep the thread before the next log has its turn.
TURN = 0.25
# Seconds that events may wait for the thread before those who write have to help.
BEHIND = 1.0
# Seconds without work after which it closes its connection; and between attempts while the
# database is away.
IDLE = 60.0
PAUSE = 0.5
# Seconds that an ending process waits for it.
LAST_PATIENCE = 2.0


class Outbox(Protocol):
    """One log's events that wait: a database log's `LedgerLock`, or the relay of another."""

    name: str
    alias: str
    # The logs of one lane share a thread.
    lane: str
    # Does a commit wait until its events are sequenced?
    inline: bool

    def sequence(self, patience: float | None = None, pause: float = ...) -> int: ...


class Ring:
    """That a log has something to be sequenced, and since when."""

    def __init__(self, lock: Outbox, since: float | None = None) -> None:
        self.lock = lock
        self.since = time.monotonic() if since is None else since
        self.served = threading.Event()


class Sequencer:
    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.guard = threading.Lock()
        self.waiting: dict[str, Ring] = {}
        self.serving: dict[str, Ring] = {}
        self.bell = threading.Event()
        self.hurry = threading.Event()
        self.ending = False
        self.thread: threading.Thread | None = None
        self.connection: BaseDatabaseWrapper | None = None
        self.failures = 0

    def ring(self, lock: Outbox) -> Ring | None:
        """Have a log's outbox sequenced soon; None if there is no thread for it any more."""
        with self.guard:
            if self.ending:
                return None
            if self.thread is None:
                try:
                    self._start()
                except RuntimeError:
                    # The interpreter is ending, and starts no more threads.
                    return None
            ring = self.waiting.setdefault(lock.name, Ring(lock))
        self.bell.set()
        return ring

    def is_behind(self, log: str) -> bool:
        oldest = self.serving.get(log) or self.waiting.get(log)
        return oldest is not None and time.monotonic() - oldest.since > BEHIND

    def stop(self) -> None:
        """Sequence what waits, close the connection and end: the process is about to. Not for
        long, and not for a database that is away."""
        with self.guard:
            self.ending = True
        self.bell.set()
        self.hurry.set()
        if self.thread is not None:
            self.thread.join(LAST_PATIENCE)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"events-{self.alias}", daemon=True)
        thread.start()
        self.thread = thread
        # Before the notifier's, which was registered earlier: what is sequenced is hinted at.
        atexit.register(self.stop)
        at_end_of_child(self.stop, priority=10)

    def _run(self) -> None:
        self.connection = connections[self.alias] = own_connection(self.alias)
        while self.waiting or not self.ending:
            if not self.bell.wait(IDLE):
                self.connection.close()
                continue
            self.hurry.wait(GATHER)
            self.bell.clear()
            self.hurry.clear()
            with self.guard:
                self.serving, self.waiting = self.waiting, {}
            for name, ring in self.serving.items():
                self._serve(name, ring)
            self.serving = {}
            if self.failures and self.ending:
                break
            if self.failures > 1:
                time.sleep(PAUSE)
        self.connection.close()

    def _serve(self, name: str, ring: Ring) -> None:
        try:
            head = ring.lock.sequence(TURN, TAKEN)
        except Exception as error:
            if not isinstance(error, LogBusy):
                self._failed(name)
            with self.guard:
                newer = self.waiting.get(name, ring)
                self.waiting[name] = Ring(ring.lock, ring.since)
                self.waiting[name].served = newer.served
            self.bell.set()
        else:
            self.failures = 0
            ring.served.set()
            # Somebody else may have sequenced these rows, and died before it told anybody.
            hints.send(name, head)

    def _failed(self, name: str) -> None:
        """The first failure may be a connection that the server has closed meanwhile."""
        connections[self.alias].close()
        self.failures += 1
        if self.failures == 2:
            logger.warning("Log %r: cannot sequence; trying again.", name, exc_info=True)


# By process as well: a child of a fork has no thread yet, and must not touch the connection of
# the parent's, not even by forgetting it, since some drivers would say goodbye to the server.
_sequencers: dict[tuple[int, str], Sequencer] = {}

_inline = False


def stay_inline() -> None:
    """Have this process sequence before a commit returns: it ends with its work."""
    global _inline
    _inline = True


def is_available(lock: Outbox) -> bool:
    return not (lock.inline or _inline or in_test_environment()) and has_threads()


def sequencer(lock: Outbox) -> Sequencer:
    key = os.getpid(), lock.lane
    return _sequencers.get(key) or _sequencers.setdefault(key, Sequencer(lock.alias))


def ring(lock: Outbox) -> bool:
    """Have the thread sequence what was just committed; False if it needs help with that."""
    thread = sequencer(lock)
    return thread.ring(lock) is not None and not thread.is_behind(lock.name)


def wait_for(lock: Outbox, seconds: float) -> None:
    """Have the thread sequence what waits, at once, and wait for that."""
    thread = sequencer(lock)
    if found := thread.ring(lock):
        thread.hurry.set()
        found.served.wait(seconds)


@cache
def has_threads() -> bool:
    """uWSGI has threads only where it is told so."""
    try:
        options = import_module("uwsgi").opt
    except ImportError:
        return True
    return "threads" in options or "enable-threads" in options
