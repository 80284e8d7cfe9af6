"""PostgreSQL's NOTIFY and LISTEN: hints between processes where no channel layer carries them.

    notifier ──NOTIFY──> PostgreSQL ──> a thread of each server process ──> its brokers

A notice holds the names of logs that have grown, and is sent by itself: every transaction with a
NOTIFY takes a lock of the whole server at its commit. Whoever listens polls as well, so a notice
may get lost: while a connection is made again, or behind a pooler that works by transactions.
"""

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ...threads import own_connection

logger = logging.getLogger("events")

CHANNEL = "events_appended"
# Names of logs in one notice, which may have 8,000 bytes.
NAMES = 100
# Seconds until it is seen that nobody listens any more, and between two questions whether the
# connection still stands.
TICK, KEEPALIVE = 1.0, 30.0
# Seconds that a notice may take.
DELIVERY = 2.0
# Seconds between two attempts to connect.
FIRST_PAUSE, LAST_PAUSE = 0.1, 10.0

Heard = Callable[[], object]


class Ear:
    """Listens to a database, on a connection of its own, for as long as somebody wants it."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.guard = threading.Lock()
        self.wanted: dict[str, list[Heard]] = {}
        self.thread: threading.Thread | None = None

    def hear(self, log: str, heard: Heard) -> Callable[[], None]:
        """Call `heard`, in the thread, at every notice of a log. The answer stops that."""
        with self.guard:
            self.wanted.setdefault(log, []).append(heard)
            if self.thread is None:
                thread = threading.Thread(
                    target=self._run, name=f"events-listen-{self.alias}", daemon=True
                )
                thread.start()
                self.thread = thread
        return partial(self._forget, log, heard)

    def _forget(self, log: str, heard: Heard) -> None:
        with self.guard:
            self.wanted[log].remove(heard)
            if not self.wanted[log]:
                del self.wanted[log]

    def _is_wanted(self) -> bool:
        with self.guard:
            mine = self.thread is threading.current_thread()
            if mine and not self.wanted:
                self.thread = None
            return mine and bool(self.wanted)

    def _run(self) -> None:
        pause = 0.0
        while self._is_wanted():
            connection = own_connection(self.alias)
            began = time.monotonic()
            try:
                self._listen(connection)
            except Exception:
                stood = time.monotonic() - began > LAST_PAUSE
                if stood or not pause:
                    logger.warning(
                        "Database %r: cannot listen; polling goes on.", self.alias, exc_info=True
                    )
                pause = FIRST_PAUSE if stood else min(max(pause * 2, FIRST_PAUSE), LAST_PAUSE)
                time.sleep(pause)
            finally:
                connection.close()

    def _listen(self, connection: BaseDatabaseWrapper) -> None:
        psycopg = start_listening(connection)
        psycopg.add_notify_handler(lambda notice: self._tell(notice.payload))
        with self.guard:
            logs = [*self.wanted]
        self._tell("\n".join(logs))  # what was told before we listened
        asked = time.monotonic()
        while self._is_wanted():
            if is_readable(psycopg.fileno(), TICK):
                for payload in received(psycopg):
                    self._tell(payload)
            elif time.monotonic() - asked > KEEPALIVE:
                psycopg.execute("SELECT 1")
                asked = time.monotonic()

    def _tell(self, payload: str) -> None:
        with self.guard:
            wake = [heard for log in payload.split("\n") for heard in self.wanted.get(log, ())]
        for heard in wake:
            with suppress(RuntimeError):  # the loop of that broker is closed
                heard()


def start_listening(connection: BaseDatabaseWrapper) -> Any:
    """The driver's connection, which from now on receives notices."""
    connection.ensure_connection()
    psycopg: Any = connection.connection
    psycopg.autocommit = True
    psycopg.execute(f"LISTEN {CHANNEL}")
    return psycopg


def is_readable(number: int, seconds: float) -> bool:
    """Not by select(), which knows no file beyond the 1,024th."""
    with selectors.DefaultSelector() as selector:
        selector.register(number, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def received(psycopg: Any) -> list[str]:
    """What has come; an error if the connection is gone. Not of our own sender."""
    psycopg.pgconn.consume_input()
    ours = {sender.pid for (pid, _), sender in _senders.items() if pid == os.getpid()}
    notices = iter(psycopg.pgconn.notifies, None)
    return [notice.extra.decode() for notice in notices if notice.be_pid not in ours]


class Sender:
    """The connection of the notifier's thread."""

    def __init__(self, alias: str) -> None:
        self.connection = own_connection(alias)
        self.pid = 0

    def send(self, logs: Iterable[str]) -> None:
        names = [*logs]
        try:
            self.connection.ensure_connection()
            psycopg: Any = self.connection.connection
            psycopg.autocommit = True
            self.pid = psycopg.info.backend_pid
            for start in range(0, len(names), NAMES):
                payload = "\n".join(names[start : start + NAMES])
                psycopg.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
        except BaseException:
            self.connection.close()
            raise


# By process as well: see `sequencer`.
_ears: dict[tuple[int, str], Ear] = {}
_senders: dict[tuple[int, str], Sender] = {}


def hear(alias: str, log: str, heard: Heard) -> Callable[[], None]:
    key = os.getpid(), alias
    ear = _ears.get(key) or _ears.setdefault(key, Ear(alias))
    return ear.hear(log, heard)


def send(alias: str, logs: Iterable[str]) -> None:
    key = os.getpid(), alias
    sender = _senders.get(key) or _senders.setdefault(key, Sender(alias))
    sender.send(logs)


def can_carry(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql":
        return False
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return bool(is_psycopg3)


def are_delivered(alias: str) -> bool:
    """Does a notice reach who listens? Not through a pooler that works by transactions."""
    ear, sender = own_connection(alias), Sender(alias)
    try:
        psycopg = start_listening(ear)
        sender.send([""])
        if not is_readable(psycopg.fileno(), DELIVERY):
            return False
        psycopg.pgconn.consume_input()
        return psycopg.pgconn.notifies() is not None
    finally:
        ear.close()
        sender.connection.close()
