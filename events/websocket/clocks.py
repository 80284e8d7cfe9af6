"""What a WebSocket watches besides its logs: heartbeats, slow clients, permissions, and how much a
client asks for."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from ..live import access
from .frames import TOO_MANY, TOO_SLOW, TRY_LATER, Close

logger = logging.getLogger("events")

# Seconds without progress after which a client is too slow.
TOO_SLOW_AFTER = 30.0
# Seconds within which a socket has to have subscribed to something.
SUBSCRIBE_WITHIN = 15.0
# Frames that a client may send at once, and in a second from then on. An acknowledgement that
# releases something is free.
BURST, RATE = 500.0, 50.0


class Clocks:
    """One timer for all of a socket's deadlines. It is set for the next of them as it is known
    at the time, so that sending a frame costs no more than to note when that was."""

    def __init__(
        self,
        heartbeat: Callable[[], float],
        beat: Callable[[], None],
        unused: Callable[[], Close],
        ask_again: Callable[[], Awaitable[None]],
    ) -> None:
        self.heartbeat, self.beat, self.unused, self.ask = heartbeat, beat, unused, ask_again
        self.loop = asyncio.get_running_loop()
        # Fails with what ends the connection.
        self.verdict: asyncio.Future[None] = self.loop.create_future()
        self.last_sent = self.loop.time()
        self.sending_since: float | None = None
        self.blocked_since: float | None = None
        self.asked = self.loop.time()
        self.check_at = self.asked + access.next_check()
        self.subscribe_by: float | None = self.asked + SUBSCRIBE_WITHIN
        self.end_at: float | None = None
        self.check: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        self._cancel_timer()
        due = [self.last_sent + self.heartbeat(), self.check_at]
        due += [at for at in (self.subscribe_by, self.end_at) if at]
        due += [since + TOO_SLOW_AFTER for since in self._waiting()]
        self.timer = self.loop.call_at(min(due), self._ring)

    def _waiting(self) -> list[float]:
        """Since when the client has been taking nothing, or acknowledging nothing."""
        return [since for since in (self.sending_since, self.blocked_since) if since]

    def stop(self) -> None:
        self._cancel_timer()
        if self.check is not None:
            self.check.cancel()

    def _cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def _ring(self) -> None:
        now = self.loop.time()
        if any(now - since >= TOO_SLOW_AFTER for since in self._waiting()):
            self.end(Close(TOO_SLOW, "Too slow. Come back with `since`."))
            return
        if self.subscribe_by and now >= self.subscribe_by:
            self.end(self.unused())
            return
        if self.end_at and now >= self.end_at:
            self.end(Close(TOO_SLOW, "max_age: come back with `since` and a new ticket."))
            return
        if now - self.last_sent >= self.heartbeat():
            self.last_sent = now
            self.beat()
        if now >= self.check_at:
            self.check_at = now + access.next_check()
            self.check = self.loop.create_task(self._check())
        self.set()

    async def _check(self) -> None:
        try:
            await self.ask()
        except Close as close:
            self.end(close)
        except Exception:
            logger.warning("A permission could not be asked for again.", exc_info=True)
            if self.loop.time() - self.asked > access.GRACE:
                self.end(Close(TRY_LATER, "Your permission cannot be asked for."))
            self.check_at = self.loop.time() + access.RETRY_AFTER
            self.set()
        else:
            self.asked = self.loop.time()

    def end(self, close: Close) -> None:
        if not self.verdict.done():
            self.verdict.set_exception(close)

    # Told by the socket

    def sending(self) -> None:
        self.sending_since = self.last_sent = self.loop.time()

    def sent(self) -> None:
        self.sending_since = None

    def sent_at_once(self) -> None:
        self.last_sent = self.loop.time()

    def blocked(self, blocked: bool) -> None:
        """The writer has nothing that it may send; because it waits for an acknowledgement?"""
        if not blocked:
            self.blocked_since = None
        elif self.blocked_since is None:
            self.blocked_since = self.loop.time()

    def end_after(self, seconds: float) -> None:
        """A tenth more or less, so that clients do not return together."""
        self.end_at = self.loop.time() + seconds * random.uniform(0.9, 1.1)  # nosec B311 # no secret

    def subscribed(self) -> None:
        self.subscribe_by = None
        self.set()


class Budget:
    """How much a client may ask for: a burst, and then so much a second."""

    def __init__(self) -> None:
        self.left = BURST
        self.at = asyncio.get_running_loop().time()

    def spend(self) -> None:
        now = asyncio.get_running_loop().time()
        self.left = min(BURST, self.left + (now - self.at) * RATE) - 1
        self.at = now
        if self.left < 0:
            raise Close(TOO_MANY, "Too many frames.")
