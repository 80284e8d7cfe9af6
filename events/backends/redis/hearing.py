"""Hints by the server's own channels: each append publishes one, in the step that stores it.

    append ──> SPUBLISH ──> a thread of the process, for each log that is followed ──> its broker

A hint carries no event and may be lost; whoever listens polls as well.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis import exceptions as errors

from .client import LOST, Client

logger = logging.getLogger("events")

# Seconds between two hints of a burst: what has come meanwhile is one.
SPACING = 0.01
# Seconds until it looks whether it is still wanted, and asks whether the server is there.
TICK = 1.0
# Seconds between attempts to reach the server, at the least and at the most.
FIRST_PAUSE, LAST_PAUSE = 0.5, 10.0


def hear(client: Client, channel: str, heard: Callable[[], object]) -> Callable[[], None]:
    """Call `heard`, in a thread, at every hint and whenever some may have been missed. The answer
    stops that."""
    ear = Ear(client, channel, heard)
    threading.Thread(target=ear.run, name=f"events-hear-{channel}", daemon=True).start()
    return ear.stopped.set


class Ear:
    def __init__(self, client: Client, channel: str, heard: Callable[[], object]) -> None:
        self.client = client
        self.channel = channel
        self.heard = heard
        self.stopped = threading.Event()

    def run(self) -> None:
        pause = 0.0
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except Exception:
                self.client.place.look_again(self.client.slot, "")
                stood = time.monotonic() - began > LAST_PAUSE
                if stood or not pause:
                    logger.warning(
                        "Channel %r: cannot listen; polling goes on.", self.channel, exc_info=True
                    )
                pause = FIRST_PAUSE if stood else min(max(pause * 2, FIRST_PAUSE), LAST_PAUSE)
                self.stopped.wait(pause)

    def _listen(self) -> None:
        lines = self.client.place.lines_of(self.client.slot)
        connection = lines.take()
        try:
            connection.send_command("SSUBSCRIBE", self.channel, check_health=False)
            connection.read_response()
            self._tell()  # what was published before we listened
            asked = False
            while not self.stopped.is_set():
                if connection.can_read(timeout=TICK):
                    asked = False
                    if _next(connection) == b"smessage":
                        self.stopped.wait(SPACING)
                        while connection.can_read():
                            _next(connection)
                        self._tell()
                elif asked:
                    raise errors.ConnectionError("the server does not answer")
                else:
                    # A server that stands still, or is no master any more, closes nothing.
                    connection.send_command("PING", check_health=False)
                    asked = True
        finally:
            with suppress(*LOST):
                connection.disconnect()
            lines.put_back(connection)

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop of that broker is closed
            self.heard()


def _next(connection: Any) -> bytes:
    """What kind of word comes next."""
    kind: bytes = connection.read_response(disable_decoding=True)[0]
    if kind == b"sunsubscribe":
        raise errors.ConnectionError("the slot has moved to another node")
    return kind
