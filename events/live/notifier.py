"""Tells the other processes that a log has grown: through the channel layer, or where none crosses
processes, through the store, if it can.

    emit ──> hint ──> notify() ──> a thread of our own ──> the groups of the log, or its store

An emitter leaves a number and goes on. The thread sends the highest number of each log, at once
when it has been quiet and every SPACING seconds in a burst. It has an event loop of its own,
because the emitter may have none; and as the in-memory layer only works in the loop of those
who read from it, such a hint is sent from there.
"""

import asyncio
import atexit
import logging
import os
import socket
import threading
import time
from typing import Any

from django.utils.module_loading import import_string

from .. import hints
from ..backends.base import BaseBackend
from ..conf import log_settings
from ..internals import loop_of_readers
from ..threads import at_end_of_child
from .group import channel_layer, crosses_processes, group_name, inner_group_name

logger = logging.getLogger("events")

# Seconds between two hints of a burst.
SPACING = 0.02
# Seconds that one attempt to send may take, and that an ending process waits for the last hint.
SEND_TIMEOUT = 5.0
FLUSH_TIMEOUT = 2.0
# Seconds until the next attempt, after one that failed.
PAUSE = 0.5


class _Loop(asyncio.SelectorEventLoop):
    """Looks names up by itself: when a process ends there are no more threads to do it."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return socket.getaddrinfo(host, port, **options)


class Notifier:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.heads: dict[str, int] = {}
        self.wanted = threading.Event()
        self.settled = threading.Event()
        self.settled.set()
        self.thread: threading.Thread | None = None
        self.failing = self.stores_failing = False

    def notify(self, log: str, head: int) -> None:
        """Send a hint to the log's group, that the log has reached `head`."""
        if not reaches_somebody(log):
            return
        with self.lock:
            self.heads[log] = max(head, self.heads.get(log, 0))
            self.settled.clear()
            if self.thread is None:
                self.thread = threading.Thread(
                    target=self._run, name="events-notifier", daemon=True
                )
                self.thread.start()
                at_end_of_child(self.flush)
        self.wanted.set()

    def flush(self) -> None:
        """Wait until all is sent: the process is about to end. Not for long, and not for a layer
        that is down."""
        deadline = time.monotonic() + FLUSH_TIMEOUT
        while not self.settled.wait(SPACING):
            if self.failing or self.stores_failing or time.monotonic() > deadline:
                return

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            while self.wanted.wait():
                self.wanted.clear()
                with self.lock:
                    heads, self.heads = self.heads, {}
                layer = channel_layer()
                stores = {log: head for log, head in heads.items() if carrier(log, layer)}
                left = runner.run(self._tell(heads)) if layer is not None else {}
                left |= self._tell_stores(stores)
                with self.lock:
                    for log, head in left.items():
                        self.heads[log] = max(head, self.heads.get(log, 0))
                    if not self.heads:
                        self.settled.set()
                if left:
                    self.wanted.set()
                time.sleep(PAUSE if left else SPACING)

    async def _tell(self, heads: dict[str, int]) -> dict[str, int]:
        """Send each log's hint; what could not be sent."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                for log, head in list(heads.items()):
                    await tell(log, head)
                    del heads[log]
            self.failing = False
        except (Exception, asyncio.CancelledError):
            # Cancelled is what a loop of readers does to its tasks when it ends.
            if not self.failing:
                logger.warning("The channel layer takes no hints; trying again.", exc_info=True)
            self.failing = True
        return heads

    def _tell_stores(self, heads: dict[str, int]) -> dict[str, int]:
        """Tell each store once of all its logs; what could not be told."""
        stores: dict[str, list[str]] = {}
        for log in heads:
            stores.setdefault(_backends[log].alias, []).append(log)
        for logs in stores.values():
            try:
                _backends[logs[0]].send_hints(logs)
            except Exception:
                if not self.stores_failing:
                    logger.warning("The database takes no hints; trying again.", exc_info=True)
                self.stores_failing = True
            else:
                self.stores_failing = False
                for log in logs:
                    del heads[log]
        return heads


# The backend of a log, to ask it about hints.
_backends: dict[str, BaseBackend] = {}


def carrier(log: str, layer: Any) -> BaseBackend | None:
    """The store of this log, if it is that which carries its hints."""
    settings, backend = log_settings().get(log), _backends.get(log)
    if settings is None or crosses_processes(layer):
        return None
    if backend is None or backend.settings is not settings:
        backend = _backends[log] = import_string(settings.backend)(settings)
    return backend if backend.carries_hints and not backend.hints_itself else None


def reaches_somebody(log: str) -> bool:
    """Could anybody hear a hint? Otherwise it is not worth a thread."""
    layer = channel_layer()
    if crosses_processes(layer) or (layer is not None and group_name(log) in layer.groups):
        return True
    return carrier(log, layer) is not None


async def tell(log: str, head: int) -> None:
    layer = channel_layer()
    if layer is None:
        return
    message = {"type": "events.appended", "log": log, "head": head}
    if crosses_processes(layer):
        await layer.group_send(inner_group_name(log), message)
        await layer.group_send(group_name(log), message)
        return
    sending = layer.group_send(group_name(log), message)
    loop = loop_of_readers(layer)
    if loop is None:
        await sending
    else:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(sending, loop))


_notifier = Notifier()


def notify(log: str, head: int) -> None:
    _notifier.notify(log, head)


def flush() -> None:
    _notifier.flush()


def _start_anew() -> None:
    """In the child of a fork: the thread and the layer's connections are the parent's."""
    global _notifier
    _notifier = Notifier()


def start() -> None:
    hints.listen(notify)
    atexit.register(flush)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_start_anew)
