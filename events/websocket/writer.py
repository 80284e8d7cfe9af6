"""What a WebSocket sends: the frames of its subscriptions, each in its turn.

The writer takes a batch at a time from the tails that have something, and stops when the client
acknowledges too little: what is not taken costs nothing. It is one task, whatever the number of
subscriptions; while it waits, the broker that brings a batch sends it for the task.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..live.eager import Deputy, Send
from ..live.waking import Bell
from ..live.window import Batch
from .clocks import Clocks
from .frames import BAD_FRAME, MAX_ANSWERS, TOO_MANY, Close, Unacknowledged, control, pack
from .subscription import Subscription


class Writer:
    """Sends to one client. Its subscriptions are in `held`, by their id."""

    def __init__(self, send: Send, clocks: Clocks) -> None:
        self.send = send
        self.clocks = clocks
        self.held: dict[str, Subscription] = {}
        # Subscriptions that may have something, in the order of their turns.
        self.ready: dict[str, Subscription] = {}
        self.answers: deque[str] = deque()
        self.answers_size = 0
        self.beats = False
        self.unacknowledged = Unacknowledged()
        self.bell = Bell()
        # Sends what is brought while the task waits.
        self.deputy: Deputy | None = None

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self.held.values()))

    # For others

    def add(self, subscription: Subscription) -> None:
        """Hold one that was started with our `wake`."""
        self.held[subscription.id] = subscription
        self.wake(subscription)

    async def drop(self, subscription: Subscription) -> None:
        if self.holds(subscription):
            del self.held[subscription.id]
            self.ready.pop(subscription.id, None)
            await subscription.close()

    def holds(self, subscription: Subscription) -> bool:
        return self.held.get(subscription.id) is subscription

    def answer(self, text: str) -> None:
        self.answers.append(text)
        self.answers_size += len(text)
        self.bell.ring()

    def beat(self) -> None:
        """Break the silence, and tell quiet subscriptions how far the log was looked at."""
        self.beats = True
        self.bell.ring()

    def check_answers(self) -> None:
        if self.answers_size > MAX_ANSWERS:
            raise Close(TOO_MANY, "Many questions, and no answer is read.")

    def acknowledge(self, id: str, position: int) -> bool:
        """Did this acknowledge anything? Nothing that was not sent can have arrived: a client that
        acknowledges it reads nothing, or is told of another log."""
        if not self._is_sent(id, position):
            if id in self.held:
                raise Close(BAD_FRAME, "An ack is beyond what was sent.")
            return False
        had_room = self.unacknowledged.has_room
        released = self.unacknowledged.release(id, position)
        if released:
            self.clocks.blocked(False)
            # With room, the writer waits for no acknowledgement; waking it would be for nothing.
            if not had_room:
                self.bell.ring()
        return released

    def _is_sent(self, id: str, position: int) -> bool:
        one = self.held.get(id)
        if one is not None and position <= max(one.tail.cursor, one.furthest):
            return True
        # Of a subscription that the client has left.
        return self.unacknowledged.has(id, position)

    def wake(self, subscription: Subscription) -> None:
        """The subscription may have something."""
        if self.held.get(subscription.id) is not subscription:
            return
        deputy = self.deputy
        if deputy is None or not deputy.is_free or not self._send_at_once(deputy, subscription):
            self.ready[subscription.id] = subscription
            self.bell.ring()

    def _send_at_once(self, deputy: Deputy, subscription: Subscription) -> bool:
        """Send what has come for a subscription; is that all that there is to do? This is done for
        every event and every socket."""
        batch = subscription.peek() if self.unacknowledged.has_room else None
        if batch is None:
            return False
        if deputy.begin(self._message(subscription, batch)):
            self.clocks.sent_at_once()
        else:
            self.clocks.sending()
        return subscription.tail.is_idle

    # The task

    async def run(self) -> None:
        deputy = self.deputy = Deputy(self.send, self.bell)
        with suppress(OSError):  # the client is gone, which the reader is told as well
            while True:
                self.bell.silence()
                if await deputy.finish():
                    self.clocks.sent()
                await self._send_answers()
                if not self.ready or not self.unacknowledged.has_room:
                    self.clocks.blocked(bool(self.ready))
                    await deputy.wait(idle=not self.ready)
                else:
                    await self._send_turn()

    async def _send_answers(self) -> None:
        while self.answers:
            answer = self.answers.popleft()
            self.answers_size -= len(answer)
            await self.send_text(answer)
        if self.beats:
            self.beats = False
            for one in [one for one in self.held.values() if one.announced]:
                # What is being taken may be the gap that goes with another epoch.
                if one.taking is None:
                    await self._tell_term(one)
            # As it stands now: a bookmark must be behind all that was sent, and not ahead of it.
            cursors = {id: one.bookmark for id, one in self.held.items() if one.announced}
            await self.send_text(control("heartbeat", cursors=cursors))

    async def _send_turn(self) -> None:
        """One batch, or what else there is to say, of the subscription whose turn it is."""
        id, subscription = next(iter(self.ready.items()))
        # Before it is read: it may be woken meanwhile.
        del self.ready[id]
        batch = await subscription.take()
        # It may have been dropped while it was read.
        if batch is not None and self.holds(subscription):
            if not subscription.tail.is_idle:
                self.ready[id] = subscription
            await self._deliver(subscription, batch)

    async def _deliver(self, subscription: Subscription, batch: Batch) -> None:
        id, tail = subscription.id, subscription.tail
        gap = batch.gap.to_dict() if batch.gap else None
        if not subscription.announced:
            subscription.announced = True
            subscription.epoch = tail.epoch
            head, epoch = tail.state.head, tail.epoch
            begun = control(
                "subscribed", id=id, cursor=batch.cursor, head=head, epoch=epoch, gap=gap
            )
            await self.send_text(begun)
        elif gap:
            subscription.epoch = tail.epoch
            await self.send_text(control("gap", id=id, **gap, epoch=tail.epoch))
        await self._tell_term(subscription)
        if batch.entries:
            await self._send(self._message(subscription, batch))
        if batch.live:
            await self.send_text(control("live", id=id, cursor=batch.cursor))
        if batch.end:
            await self.drop(subscription)
            await self.send_text(
                control("end", id=id, reason=batch.end, reconnect=False, cursor=batch.cursor)
            )

    async def _tell_term(self, subscription: Subscription) -> None:
        """The log goes on on another server, in another epoch: what the client's cursor passes from
        now on is of that one."""
        epoch = subscription.tail.epoch
        if epoch != subscription.epoch:
            subscription.epoch = epoch
            await self.send_text(control("epoch", id=subscription.id, epoch=epoch))

    def _message(self, subscription: Subscription, batch: Batch) -> dict[str, Any]:
        packed, last = pack(subscription.id, batch), batch.entries[-1].position
        subscription.furthest = max(subscription.furthest, last)
        self.unacknowledged.add(subscription.id, last, packed.size)
        return {"type": "websocket.send", "text": packed.text}

    async def send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _send(self, message: dict[str, Any]) -> None:
        self.clocks.sending()
        await self.send(message)
        self.clocks.sent()
