"""The WebSocket consumer: one socket, several subscriptions, each with a cursor of its own.

    client ── frames ──> reader ── control frames ──┐
                            └──> subscriptions       ├──> writer ──> client
               tails (they wake the writer) ─────────┘

It is not bound to a channel layer: a consumer that is waits for the layer as well as for the
client, and when Redis dies, every socket closes. One task reads and one writes, whatever the
number of subscriptions. The writer takes a batch at a time from the tails that have something,
and stops when the client acknowledges too little: what is not taken costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from .api.params import MAX_KINDS, MAX_NUMBER, follow_params, once
from .clocks import Budget, Clocks
from .conf import DEFAULT_LOG
from .cursors import Query
from .exceptions import LogDoesNotExist
from .frames import (
    BAD_FRAME,
    FORBIDDEN,
    MAX_ANSWERS,
    MAX_ID,
    NOT_SIGNED_IN,
    TOO_MANY,
    Close,
    Unacknowledged,
    control,
    error,
    is_id,
    pack,
    parse,
)
from .live import access
from .live.bell import Bell
from .live.tail import Tail, follow
from .live.window import Batch
from .log import EventLog, logs
from .origin import RAW_SEND

MAX_SUBSCRIPTIONS = 128
NO_ID = f"id: a string of at most {MAX_ID} characters is required."
# Seconds for which others wait while one subscription is looked at closely.
PATIENCE = 0.25
# Seconds that a close frame may take to be sent.
FAREWELL = 5.0

Message = dict[str, Any]


class Refused(Exception):
    """A frame that cannot be obeyed; the connection goes on."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Subscription:
    """One tail of a socket. `told` is set when the client knows where it begins."""

    def __init__(self, id: str, log: EventLog, query: Query) -> None:
        self.id = id
        self.log = log
        self.query = query
        self.stack = AsyncExitStack()
        self.told = False
        # A closer look that takes its time.
        self.taking: asyncio.Task[Batch | None] | None = None
        self.tail: Tail

    async def start(self, wake: Callable[[], None]) -> None:
        self.tail = await self.stack.enter_async_context(follow(self.log.backend, self.query, wake))


class EventsConsumer(AsyncConsumer):  # type: ignore[misc]
    """Speaks the protocol of the README with one client."""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope = scope
        # Channels' sessions look at every frame that passes them, and have no use for ours.
        self.base_send = scope.get(RAW_SEND, send)
        self.user = scope.get("user") or AnonymousUser()
        self.subscriptions: dict[str, Subscription] = {}
        # Those that may have something, in the order in which it is their turn.
        self.ready: dict[str, Subscription] = {}
        self.answers: deque[str] = deque()
        self.answers_size = 0
        self.bell = Bell()
        self.unacknowledged = Unacknowledged()
        self.clocks = Clocks(self)
        self.budget = Budget()
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        await self._talk(receive)

    async def _talk(self, receive: Callable[[], Awaitable[Message]]) -> None:
        tasks = [
            asyncio.ensure_future(self._read(receive)),
            asyncio.ensure_future(self._write()),
            self.clocks.verdict,
        ]
        self.clocks.set()
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.clocks.stop()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for subscription in list(self.subscriptions.values()):
                await self._drop(subscription)
        await self._close(next((one for one in results if isinstance(one, Exception)), None))

    async def _close(self, failure: Exception | None) -> None:
        if failure is None:
            return
        code, reason = (failure.code, failure.reason) if isinstance(failure, Close) else (1011, "")
        with suppress(Exception):
            async with asyncio.timeout(FAREWELL):
                await self.base_send({"type": "websocket.close", "code": code, "reason": reason})
        if not isinstance(failure, Close):
            raise failure

    # From the client

    async def _read(self, receive: Callable[[], Awaitable[Message]]) -> None:
        if self.scope.get("query_string"):
            await self._subscribe_by_query(QueryDict(self.scope["query_string"]))
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                await self._obey(parse(message))

    async def _obey(self, frame: Message) -> None:
        type, id = frame["type"], frame.get("id")
        if type == "ack":
            self._acknowledge(id, frame.get("position"))
            return
        self.budget.spend()
        if self.answers_size > MAX_ANSWERS:
            raise Close(TOO_MANY, "Many questions, and no answer is read.")
        if type == "ping":
            self._answer(control("pong"))
        elif type == "subscribe":
            try:
                await self._subscribe(*self._wanted(frame))
            except Refused as refused:
                self._answer(error(id, refused.code, str(refused)))
        elif type == "unsubscribe":
            if not is_id(id):
                self._answer(error(id, "bad_request", NO_ID))
                return
            if id in self.subscriptions:
                await self._drop(self.subscriptions[id])
            self._answer(control("unsubscribed", id=id))
        else:
            raise Close(BAD_FRAME, "Types are subscribe, unsubscribe, ack and ping.")

    def _acknowledge(self, id: object, position: object) -> None:
        if not isinstance(id, str) or not isinstance(position, int):
            raise Close(BAD_FRAME, "An ack has the id of a subscription and a position.")
        if self.unacknowledged.release(id, position):
            self.clocks.progressed()
            self.bell.ring()
        else:
            self.budget.spend()

    def _wanted(self, frame: Message) -> tuple[str, EventLog, Query]:
        """What a subscribe frame asks for, checked."""
        id: Any = frame.get("id")
        since, kind = frame.get("since"), frame.get("kind")
        if not is_id(id):
            raise Refused("bad_request", NO_ID)
        for name in ("stream", "epoch", "log"):
            if not isinstance(frame.get(name), str | None):
                raise Refused("bad_request", f"{name}: a string is required.")
        if isinstance(since, int) and since > MAX_NUMBER:
            raise Refused("bad_request", "since: this is beyond any log.")
        if not isinstance(kind, str | list | None):
            raise Refused("bad_request", "kind: a string or a list of strings is required.")
        if isinstance(kind, list) and len(kind) > MAX_KINDS:
            raise Refused("bad_request", f"kind: at most {MAX_KINDS} kinds.")
        log = self._log(frame.get("log") or DEFAULT_LOG)
        try:
            query = log.query(
                "earliest" if since is None else since,
                stream=frame.get("stream") or None,
                kind=kind,
                epoch=frame.get("epoch"),
            )
        except ValueError as error:
            raise Refused("bad_request", str(error)) from None
        return id, log, query

    async def _subscribe_by_query(self, params: QueryDict) -> None:
        """What the address asks for is all that the client has come for, as far as we know."""
        try:
            try:
                log = self._log(once(params, "log") or DEFAULT_LOG)
                query = follow_params(log, params)
            except ValidationError as invalid:
                details: Any = invalid.detail
                detail = "; ".join(f"{name}: {texts[0]}" for name, texts in details.items())
                raise Refused("bad_request", detail) from None
            await self._subscribe("", log, query)
        except Refused as refused:
            await self._send(error("", refused.code, str(refused)))
            code = FORBIDDEN if refused.code == "forbidden" else BAD_FRAME
            raise Close(code, str(refused)) from None

    def _log(self, name: str) -> EventLog:
        try:
            return logs[name]
        except LogDoesNotExist:
            raise Refused("not_found", "There is no such log.") from None

    async def _subscribe(self, id: str, log: EventLog, query: Query) -> None:
        if id in self.subscriptions:
            raise Refused("bad_request", "This id is subscribed already.")
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Refused("too_many", f"At most {MAX_SUBSCRIPTIONS} subscriptions a socket.")
        if not await database_sync_to_async(self._may_read)(log, query.stream):
            if not self.user.is_authenticated:
                raise Close(NOT_SIGNED_IN, "Sign in first.")
            raise Refused("forbidden", "You may not read this.")
        subscription = Subscription(id, log, query)
        self.subscriptions[id] = subscription
        await subscription.start(partial(self._wake, subscription))
        self._wake(subscription)
        self.clocks.set()

    def _holds(self, subscription: Subscription) -> bool:
        return self.subscriptions.get(subscription.id) is subscription

    def _renew_user(self) -> None:
        """As the database has him now: the handshake may be long ago."""
        self.user = access.current(self.user, self.scope.get("session"))

    def _may_read(self, log: EventLog, stream: str | None) -> bool:
        self._renew_user()
        return log.policy.can_read(self.user, stream)

    async def _drop(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription.id]
        self.ready.pop(subscription.id, None)
        if subscription.taking is not None:
            subscription.taking.cancel()
        await subscription.stack.aclose()

    # To the client

    def _wake(self, subscription: Subscription) -> None:
        self.ready[subscription.id] = subscription
        self.bell.ring()

    def _answer(self, text: str) -> None:
        self.answers.append(text)
        self.answers_size += len(text)
        self.bell.ring()

    async def _write(self) -> None:
        with suppress(OSError):  # the client is gone, which the reader is told as well
            await self._send_what_comes()

    async def _send_what_comes(self) -> None:
        while True:
            self.bell.silence()
            while self.answers:
                answer = self.answers.popleft()
                self.answers_size -= len(answer)
                await self._send(answer)
            if not self.ready or not self.unacknowledged.has_room:
                self.clocks.blocked(bool(self.ready))
                await self.bell.wait()
            elif text := self._next_frame():
                await self._send(text)
            else:
                await self._advance()

    def _next_frame(self) -> str | None:
        """What the subscription whose turn it is has at hand. This is what is done for every
        event and every socket, so it takes the short way."""
        id, subscription = next(iter(self.ready.items()))
        tail = subscription.tail
        batch = tail.peek() if subscription.taking is None else None
        if batch is None:
            return None
        # At the end of the line, or out of it.
        del self.ready[id]
        if not tail.is_idle:
            self.ready[id] = subscription
        return self._pack(id, batch)

    def _pack(self, id: str, batch: Batch) -> str:
        packed = pack(id, batch)
        self.unacknowledged.add(id, batch.entries[-1].position, packed.size)
        return packed.text

    async def _advance(self) -> None:
        """Give the subscription whose turn it is what needs a closer look."""
        id, subscription = next(iter(self.ready.items()))
        # Before it is looked at: it may be woken meanwhile.
        del self.ready[id]
        batch = await self._take(subscription) if self._holds(subscription) else None
        # It may have been dropped while it was looked at.
        if batch is not None and self._holds(subscription):
            self.ready[id] = subscription
            await self._deliver(subscription, batch)

    async def _take(self, subscription: Subscription) -> Batch | None:
        """In a task of its own, so that a log that cannot be read holds up no other: what is not
        there soon has its turn when it is."""
        if subscription.taking is None:
            subscription.taking = asyncio.ensure_future(subscription.tail.take())
            await asyncio.wait([subscription.taking], timeout=PATIENCE)
            if not subscription.taking.done():
                subscription.taking.add_done_callback(lambda _: self._wake(subscription))
        if not subscription.taking.done():
            return None
        taken, subscription.taking = subscription.taking, None
        return taken.result()

    async def _deliver(self, subscription: Subscription, batch: Batch) -> None:
        id, tail = subscription.id, subscription.tail
        gap = batch.gap.to_dict() if batch.gap else None
        if not subscription.told:
            subscription.told = True
            head, _, epoch = tail.state
            begun = control(
                "subscribed", id=id, cursor=batch.cursor, head=head, epoch=epoch, gap=gap
            )
            await self._send(begun)
        elif gap:
            await self._send(control("gap", id=id, **gap, epoch=tail.epoch))
        if batch.entries:
            await self._send(self._pack(id, batch))
        if batch.live:
            await self._send(control("live", id=id, cursor=batch.cursor))
        if batch.end:
            await self._drop(subscription)
            await self._send(
                control("end", id=id, reason=batch.end, reconnect=False, cursor=batch.cursor)
            )

    async def _send(self, text: str) -> None:
        self.clocks.sending()
        await self.base_send({"type": "websocket.send", "text": text})
        self.clocks.sent()

    # What the clocks ask for

    @property
    def heartbeat(self) -> float:
        logs_here = [one.log for one in self.subscriptions.values()] or [logs[DEFAULT_LOG]]
        return min(log.settings.heartbeat_interval for log in logs_here)

    def beat(self) -> None:
        """Break the silence, and tell quiet subscriptions how far the log was looked at."""
        cursors = {id: one.tail.bookmark for id, one in self.subscriptions.items() if one.told}
        self._answer(control("heartbeat", cursors=cursors))

    async def ask_again(self) -> None:
        """May this user still read all this? Whoever lost everything is sent away."""
        current = list(self.subscriptions.values())
        was_somebody = self.user.is_authenticated
        lost = await database_sync_to_async(self._lost)(current)
        if (lost or was_somebody) and not self.user.is_authenticated:
            raise Close(NOT_SIGNED_IN, "Sign in again.")
        for subscription in lost:
            if self._holds(subscription):
                await self._drop(subscription)
                self._answer(error(subscription.id, "forbidden", "You may not read this any more."))
        if lost and not self.subscriptions:
            raise Close(FORBIDDEN, "You may not read this any more.")

    def _lost(self, subscriptions: list[Subscription]) -> list[Subscription]:
        self._renew_user()
        return [
            one for one in subscriptions if not one.log.policy.can_read(self.user, one.query.stream)
        ]
