"""Waking the readers that an event concerns: everybody at once, and a crowd of one user's in turns.

A reader that is woken often sends at once, some ten microseconds. A user with twenty thousand
subscriptions would keep the event loop, and all others, for a quarter of a second.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import islice

logger = logging.getLogger("events")

Wake = Callable[[], None]

# Readers of one user that are woken together.
CROWD = 500


def wake_all(wakes: Iterable[Wake]) -> None:
    """An error of one follower stops neither the others nor the broker."""
    for wake in list(wakes):
        try:
            wake()
        except Exception:
            logger.exception("A follower of the log could not be woken.")


class Bell:
    """An `asyncio.Event` for one task that waits: cheaper, and may ring many times. `wait()`
    returns as soon as it has rung once since it was last silenced."""

    def __init__(self) -> None:
        self.rung = False
        self.waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self.rung = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def silence(self) -> None:
        self.rung = False

    async def wait(self) -> None:
        if not self.rung:
            self.waiting = asyncio.get_running_loop().create_future()
            try:
                await self.waiting
            finally:
                self.waiting = None


class Crowds:
    """Of users with a crowd of readers, those that wait to be woken, by user in the order of their
    turns. The event loop serves everybody else between two turns."""

    def __init__(self) -> None:
        self.waiting: dict[Hashable, dict[Wake, None]] = {}

    def wake(self, concerned: Iterable[Mapping[Hashable, Iterable[Wake]]]) -> None:
        """Wake these readers, by user: now, or in turns."""
        by_user: dict[Hashable, list[Wake]] = {}
        for readers in concerned:
            for who, wakes in readers.items():
                by_user.setdefault(who, []).extend(wakes)
        was_waiting = bool(self.waiting)
        for who, wakes in by_user.items():
            if who in self.waiting or len(wakes) > CROWD:
                self.waiting.setdefault(who, {}).update(dict.fromkeys(wakes))
            else:
                wake_all(wakes)
        if self.waiting and not was_waiting:
            asyncio.get_running_loop().call_soon(self._wake_some)

    def _wake_some(self) -> None:
        who = next(iter(self.waiting))
        wakes = self.waiting.pop(who)
        some = [*islice(wakes, CROWD)]
        for wake in some:
            del wakes[wake]
        if wakes:
            self.waiting[who] = wakes
        wake_all(some)
        if self.waiting:
            asyncio.get_running_loop().call_soon(self._wake_some)
