"""One reader of Server-Sent Events: what is written to it, and when."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing
from copy import copy
from typing import Any

from asgiref.sync import sync_to_async
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from ..cursors import Query
from ..internals import django_request, passes_untouched
from ..limits import Held
from ..live import access
from ..live.eager import RAW_SEND, Deputy, Send
from ..live.tail import Tail, follow
from ..live.waking import Bell
from ..live.window import Batch
from ..log import EventLog
from ..policy import may_read
from ..threads import release_thread
from ..wire import dumps
from .authentication import TicketAuthentication
from .sending import MAX_BYTES, OpenResponse, Patience, buffers_everything

logger = logging.getLogger("events")

CONTENT_TYPE = "text/event-stream"
# Neither kept, nor gathered by nginx. Django's GZipMiddleware would make each chunk a file of its own,
# of which clients read the first.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
# Milliseconds until an EventSource comes back.
RETRY = 2000
# The share by which lifetimes differ, so that clients do not return together.
JITTER = 0.1
# With these, a user can be looked up by the account.
BY_ACCOUNT = (SessionAuthentication, BasicAuthentication, TicketAuthentication)


class Response(OpenResponse):
    """Ends its frames with itself. Django only closes the outermost of the generators that they
    pass through: a reader who is cut off in the middle of a frame would stay subscribed until
    the next garbage collection."""

    def __init__(self, connection: "Connection", held: Held, **options: Any) -> None:
        self.connection = connection
        self.frames = connection.frames(held.who)
        super().__init__(self.frames, held, connection.log.settings.send_timeout, **options)
        connection.patience = self.patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Middleware that has put something around the frames wants to see every one.
        self.connection.passes_django = passes_untouched(self, self.frames)
        async with aclosing(self.frames):
            async for part in super().__aiter__():
                yield part


class Connection:
    """The body of one response. Three clocks run beside the log: a silence is broken by a
    heartbeat, the user's permission is asked again, and after its lifetime the reader is sent away,
    to come back."""

    def __init__(self, request: Request, log: EventLog, query: Query, named: bool) -> None:
        self.request = request
        self.log = log
        self.query = query
        self.make_frames = frames_named if named else frames_unnamed
        self.heartbeat = log.settings.heartbeat_interval
        lifetime = log.settings.stream_max_seconds
        self.lifetime = lifetime * random.uniform(1 - JITTER, 1 + JITTER)  # nosec B311 # no secret
        # What the client has as its Last-Event-ID.
        self.last_id = -1
        # Of what it has been given.
        self.epoch = ""
        self.bytes_left = MAX_BYTES if buffers_everything(request) else None
        self.timer: asyncio.TimerHandle | None = None
        self.bell = Bell()
        self.deputy: Deputy
        self.patience: Patience
        self.tail: Tail
        # Where routing.application has put it.
        http: Any = django_request(request)
        self.send: Send | None = http.scope.get(RAW_SEND)
        # May frames be sent past Django?
        self.passes_django = False

    def respond(self, headers: dict[str, str], held: Held) -> Response:
        return Response(self, held, content_type=CONTENT_TYPE, headers=headers)

    async def frames(self, who: Hashable) -> AsyncGenerator[bytes]:
        await release_thread()
        self.start_clocks()
        self.deputy = Deputy(self.send if self.passes_django else None, self.bell)
        async with follow(self.log.backend, self.query, self.wake, who) as self.tail:
            batch = await self.tail.take()
            assert batch is not None  # nosec B101 # for the type checker
            yield self.beginning(batch)
            try:
                async for frame in self.following():
                    self.last_sent = self.now()
                    yield frame
            finally:
                self.patience.stop()
                if self.timer is not None:
                    self.timer.cancel()

    async def following(self) -> AsyncIterator[bytes]:
        tail, bell = self.tail, self.bell
        while True:
            bell.silence()
            if await self.deputy.finish():
                self.patience.stop()
            batch = await tail.take()
            if batch is not None and (text := self.of_batch(batch)):
                yield text
            if tail.ended:
                return
            if farewell := await self.farewell():
                yield farewell
                return
            if self.now() - self.last_sent >= self.heartbeat:
                yield self.bookmark() + b": heartbeat\n\n"
            if batch is None:
                self.set_timer()
                await self.deputy.wait()

    def wake(self) -> None:
        """The tail may have something."""
        if not self.deputy.is_free or not self.send_at_once():
            self.bell.ring()

    def send_at_once(self) -> bool:
        """Send what has come, past Django, which would wake a task and pass it through two
        generators; is that all that there is to do?"""
        batch = self.tail.peek()
        if batch is None:
            return False
        self.last_sent = self.now()
        body = self.of_batch(batch)
        if not self.deputy.begin({"type": "http.response.body", "body": body, "more_body": True}):
            self.patience.start()
        return self.tail.is_idle and not self.is_full

    def start_clocks(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.last_sent = self.asked = self.now()
        self.ends_at = self.now() + self.lifetime
        self.check_at = self.now() + access.next_check()

    @property
    def is_full(self) -> bool:
        return self.bytes_left is not None and self.bytes_left <= 0

    async def farewell(self) -> bytes:
        """Why the connection ends here, if it does."""
        if self.is_full:
            return b"retry: 100\n" + end("max_bytes", reconnect=True)
        if self.now() >= self.ends_at:
            return self.bookmark("\n") + end("max_age", reconnect=True)
        if self.now() < self.check_at:
            return b""
        allowed = await self.may_still_read()
        if allowed is False:
            return end("forbidden", reconnect=False)
        if allowed is None and self.now() - self.asked > access.GRACE:
            return end("unavailable", reconnect=True)
        if allowed:
            self.asked = self.now()
        self.check_at = self.now() + (access.next_check() if allowed else access.RETRY_AFTER)
        return b""

    def set_timer(self) -> None:
        """One timer, which is left as it is if it is early: a timer for each frame costs more than
        the frame."""
        due = min(self.ends_at, self.check_at, self.last_sent + self.heartbeat)
        if self.timer is not None and self.timer.when() <= due:
            return
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_at(due, self.ring)

    def ring(self) -> None:
        self.timer = None
        self.bell.ring()

    def beginning(self, batch: Batch) -> bytes:
        """The reader's own cursor first, so that a cut before any event can be resumed."""
        since = self.query.since
        self.last_id = since if isinstance(since, int) else batch.cursor
        # What the headers have said was read before, perhaps from a server that is gone.
        told = self.epoch or self.tail.epoch
        text = f"retry: {RETRY}\nid: {self.last_id}\n\n".encode() + self.of_gap(batch)
        self.epoch = told
        return text + self.of_term()

    def of_batch(self, batch: Batch) -> bytes:
        text = self.of_gap(batch) or self.of_term()
        if batch.entries:
            self.last_id = batch.entries[-1].position
            text += batch.once(self.make_frames, self.make_frames).encode()
        if batch.end:
            text += self.id_of(batch.cursor, "\n") + end(batch.end, reconnect=False)
        if self.bytes_left is not None:
            self.bytes_left -= len(text)
        return text

    def of_gap(self, batch: Batch) -> bytes:
        """With an id: a client that came with one beyond the head, or of another epoch, would come
        back with it, and pass over what is written there meanwhile."""
        if not batch.gap:
            return b""
        self.last_id, self.epoch = batch.gap.first_available - 1, self.tail.epoch
        return f"id: {self.last_id}\nevent: gap\ndata: {dumps(batch.gap.to_dict())}\n\n".encode()

    def of_term(self) -> bytes:
        """The log goes on on another server, in another epoch: what the client's id passes from now on
        is of that one."""
        if self.tail.epoch == self.epoch:
            return b""
        self.epoch = self.tail.epoch
        return f"event: epoch\ndata: {dumps({'epoch': self.epoch})}\n\n".encode()

    def bookmark(self, close: str = "") -> bytes:
        return self.of_term() + self.id_of(self.tail.bookmark, close)

    def id_of(self, cursor: int, close: str = "") -> bytes:
        """An id alone, if the client's is older; it dispatches nothing."""
        if cursor == self.last_id:
            return b""
        self.last_id = cursor
        return f"id: {cursor}\n{close}".encode()

    async def may_still_read(self) -> bool | None:
        """None if the database cannot tell now."""
        policy, patterns = self.log.policy, self.query.patterns
        try:
            return await sync_to_async(lambda: may_read(policy, renewed(self.request), patterns))()
        except APIException:
            return False
        except Exception:
            logger.warning("A permission could not be asked for again.", exc_info=True)
            return None
        finally:
            await release_thread()


def frames_named(batch: Batch) -> str:
    return "".join(
        f"id: {entry.position}\nevent: {entry.row.kind}\ndata: {entry.text}\n\n"
        for entry in batch.entries
    )


def frames_unnamed(batch: Batch) -> str:
    return "".join(f"id: {entry.position}\ndata: {entry.text}\n\n" for entry in batch.entries)


def end(reason: str, *, reconnect: bool) -> bytes:
    data = dumps({"reason": reason, "reconnect": reconnect})
    return f"event: end\ndata: {data}\n\n".encode()


def renewed(request: Request) -> Any:
    """The user of a request, as if it came now. Whoever signed in with a token does so again; a
    session and an account are looked at, and no password is hashed again."""
    http = django_request(request)
    user, authenticator = request.user, request.successful_authenticator
    if not isinstance(authenticator, BY_ACCOUNT):
        authenticators: Any = request.authenticators
        user = Request(copy(http), authenticators=authenticators).user
    by_ticket = isinstance(authenticator, TicketAuthentication)
    session = request.auth if by_ticket else getattr(http, "session", None)
    # What the password has to go on being that was sent, or that the ticket was for.
    by_password = by_ticket or isinstance(authenticator, BasicAuthentication)
    return access.current(user, session, standing=access.hash_of(user) if by_password else None)
