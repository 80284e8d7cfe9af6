"""The WebSocket consumer: one socket, several subscriptions, each with a cursor of its own.

    client ── frames ──> reader ── answers ───────┐
                           └──> subscriptions     ├──> writer ──> client
              tails (they wake the writer) ───────┘

It is not bound to a channel layer: a consumer that is waits for the layer as well as for the
client, and when Redis dies, every socket closes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from ..conf import DEFAULT_LOG
from ..cursors import BadParameter, Query
from ..exceptions import InvalidEvent, LogDoesNotExist
from ..limits import SUBSCRIPTIONS, TooMany, hold
from ..live.eager import RAW_SEND
from ..log import EventLog, logs
from ..parameters import follow_params, frame_query, once
from ..policy import may_read
from . import frames
from .clocks import Budget, Clocks
from .frames import MAX_ID, Close, control, error, is_id, parse
from .restart import closed_before_restart
from .subscription import Subscription
from .visitor import Visitor
from .writer import Writer

MAX_SUBSCRIPTIONS = 128
CODES = {"forbidden": frames.FORBIDDEN, "too_many": frames.TOO_MANY}
NO_ID = f"id: a string of at most {MAX_ID} characters is required."
# Seconds that a close frame may take to be sent.
FAREWELL = 5.0

Message = dict[str, Any]


class Refused(Exception):
    """A frame that cannot be obeyed; the connection goes on."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class EventsConsumer(AsyncConsumer):  # type: ignore[misc]
    """Speaks the protocol of docs/reference/websocket.md with one client."""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope = scope
        # Bypass Channels' session middleware: it inspects every frame, and ours never touch the
        # session.
        self.base_send = scope.get(RAW_SEND, send)
        self.visitor = Visitor(scope)
        self.clocks = Clocks(self.heartbeat, self.beat, self.unused, self.ask_again)
        self.writer = Writer(self.base_send, self.clocks)
        self.budget = Budget()
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        try:
            held = await self.visitor.enter()
        except Exception as failure:
            await self._close(failure)
            return
        if self.visitor.ticket is not None:
            # As Server-Sent Events do: what is known of the user is from so long ago.
            self.clocks.end_after(logs[DEFAULT_LOG].settings.stream_max_seconds)
        with held, closed_before_restart(self.clocks):
            await self._serve(receive)

    async def _serve(self, receive: Callable[[], Awaitable[Message]]) -> None:
        tasks = [
            asyncio.ensure_future(self._read(receive)),
            asyncio.ensure_future(self.writer.run()),
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
            for subscription in self.writer:
                await self.writer.drop(subscription)
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
        if self.visitor.has_query:
            await self._subscribe_by_query(self.scope["query_string"])
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                await self._handle(parse(message))

    async def _handle(self, frame: Message) -> None:
        type, id = frame["type"], frame.get("id")
        if type == "ack":
            self._acknowledge(id, frame.get("position"))
            return
        self.budget.spend()
        self.writer.check_answers()
        if type == "ping":
            self.writer.answer(control("pong"))
        elif type == "subscribe":
            try:
                await self._subscribe(*self._wanted(frame))
            except Refused as refused:
                self.writer.answer(error(id, refused.code, str(refused)))
        elif type == "unsubscribe":
            if not is_id(id):
                self.writer.answer(error(id, "bad_request", NO_ID))
                return
            if id in self.writer.held:
                await self.writer.drop(self.writer.held[id])
            self.writer.answer(control("unsubscribed", id=id))
        else:
            raise Close(frames.BAD_FRAME, "Types are subscribe, unsubscribe, ack and ping.")

    def _acknowledge(self, id: object, position: object) -> None:
        if not isinstance(id, str) or not isinstance(position, int):
            raise Close(frames.BAD_FRAME, "An ack has the id of a subscription and a position.")
        if not self.writer.acknowledge(id, position):
            self.budget.spend()

    def _wanted(self, frame: Message) -> tuple[str, EventLog, Query]:
        """What a subscribe frame asks for, checked."""
        id: Any = frame.get("id")
        if not is_id(id):
            raise Refused("bad_request", NO_ID)
        name = frame.get("log")
        if not isinstance(name, str | None):
            raise Refused("bad_request", "log must be a string")
        log = self._log(name or DEFAULT_LOG)
        try:
            return id, log, frame_query(log, frame)
        except (BadParameter, InvalidEvent) as error:
            raise Refused("bad_request", str(error)) from None

    async def _subscribe_by_query(self, query_string: bytes) -> None:
        """Subscribe to what the address asks for; close the connection if that is refused."""
        try:
            try:
                params = QueryDict(query_string)
                log = self._log(once(params, "log") or DEFAULT_LOG)
                query = follow_params(log, params)
            except (BadParameter, InvalidEvent, SuspiciousOperation) as refused:
                # Django's own bound is on the number of fields.
                raise Refused("bad_request", str(refused)) from None
            await self._subscribe("", log, query)
        except Refused as refused:
            await self.writer.send_text(error("", refused.code, str(refused)))
            raise Close(CODES.get(refused.code, frames.BAD_FRAME), str(refused)) from None

    def _log(self, name: str) -> EventLog:
        try:
            return logs[name]
        except LogDoesNotExist:
            raise Refused("not_found", "There is no such log.") from None

    async def _subscribe(self, id: str, log: EventLog, query: Query) -> None:
        if id in self.writer.held:
            raise Refused("bad_request", "This id is subscribed already.")
        if len(self.writer.held) >= MAX_SUBSCRIPTIONS:
            raise Refused("too_many", f"At most {MAX_SUBSCRIPTIONS} subscriptions a socket.")
        if not await database_sync_to_async(self._may_read)(log, query):
            if not self.visitor.user.is_authenticated:
                raise Close(frames.NOT_SIGNED_IN, "Sign in first.")
            raise Refused("forbidden", "You may not read this.")
        try:
            held = hold(SUBSCRIPTIONS, self.visitor.who, log.settings.max_subscriptions)
        except TooMany as error:
            raise Refused("too_many", str(error)) from None
        subscription = Subscription(id, log, query, held)
        who = self if self.visitor.who is None else self.visitor.who
        await subscription.start(partial(self.writer.wake, subscription), who)
        self.writer.add(subscription)
        self.clocks.subscribed()

    def _may_read(self, log: EventLog, query: Query) -> bool:
        return may_read(log.policy, self.visitor.renew(fresh=True), query.patterns)

    # What the clocks ask for

    def heartbeat(self) -> float:
        logs_here = [one.log for one in self.writer] or [logs[DEFAULT_LOG]]
        return min(log.settings.heartbeat_interval for log in logs_here)

    def beat(self) -> None:
        self.writer.beat()

    def unused(self) -> Close:
        if not self.visitor.user.is_authenticated:
            return Close(frames.NOT_SIGNED_IN, "Sign in, and subscribe.")
        return Close(frames.TOO_SLOW, "Nothing was subscribed to.")

    async def ask_again(self) -> None:
        """Drop the subscriptions that this user may no longer read, and close if none is left."""
        current = list(self.writer)
        was_somebody = self.visitor.user.is_authenticated
        lost = await database_sync_to_async(self._unreadable)(current)
        if (lost or was_somebody) and not self.visitor.user.is_authenticated:
            raise Close(frames.NOT_SIGNED_IN, "Sign in again.")
        for subscription in lost:
            if self.writer.holds(subscription):
                await self.writer.drop(subscription)
                frame = error(subscription.id, "forbidden", "You may not read this any more.")
                self.writer.answer(frame)
        if lost and not self.writer.held:
            raise Close(frames.FORBIDDEN, "You may not read this any more.")

    def _unreadable(self, subscriptions: list[Subscription]) -> list[Subscription]:
        user = self.visitor.renew()
        return [
            one for one in subscriptions if not may_read(one.log.policy, user, one.query.patterns)
        ]
