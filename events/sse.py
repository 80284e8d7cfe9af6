"""Server-Sent Events: a log as a response that does not end.

The view is synchronous, so that authentication and throttles are DRF's own, in one hop. The
response's body is an async generator, which gives thread and connection back before it waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from .api.pagination import cursor_headers
from .api.params import MAX_NUMBER, choice, follow_params, stream_name
from .api.renderers import EntryRenderer
from .api.views import LogView, existing
from .api.waiting import release_thread
from .cursors import Query, Since
from .live import access
from .live.bell import Bell
from .live.tail import Tail, follow
from .live.window import Batch
from .log import EventLog
from .types import TERMINAL, StreamInfo
from .wire import dumps

logger = logging.getLogger("events")

CONTENT_TYPE = "text/event-stream"
# Milliseconds until an EventSource comes back.
RETRY = 2000
# The share by which lifetimes differ, so that clients do not return together.
JITTER = 0.1
# Bytes in one response of a server without backpressure: it would keep in memory what a stalled
# client does not take. The client comes back for the rest.
MAX_BYTES = 8 * 2**20
# Whose users are known by their account.
BY_ACCOUNT = (SessionAuthentication, BasicAuthentication)


class NeedsASGI(APIException):
    status_code = status.HTTP_501_NOT_IMPLEMENTED
    default_detail = (
        "Server-Sent Events need ASGI, and this site is served through WSGI, where each reader "
        "would occupy a worker. Serve it with daphne or uvicorn, or poll with `wait`."
    )
    default_code = "needs_asgi"


class LiveView(LogView):
    """The log, live."""

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        """What is streamed is rendered here; what DRF renders is an error, and that is JSON."""
        return EntryRenderer(), EntryRenderer.media_type

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        log = self.log
        name = stream_name(request.query_params)
        self.must_read(log, name)
        return self.follow(log, existing(log.stream(name)) if name else None)

    def follow(self, log: EventLog, stream: StreamInfo | None) -> HttpResponseBase:
        if not isinstance(self.request._request, ASGIRequest):
            raise NeedsASGI
        params = self.request.query_params
        query = follow_params(log, params, stream.stream if stream else None)
        query = replace(query, since=last_event_id(self.request, query.since))
        if stream is not None and has_seen_all(query, stream):
            # This tells an EventSource not to come back.
            return HttpResponse(status=status.HTTP_204_NO_CONTENT)
        named = choice(params, "named", ["0", "1"]) != "0"
        headers = {
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            # Django's GZipMiddleware would make each chunk a file of its own, of which clients
            # read the first.
            "Content-Encoding": "identity",
            **cursor_headers(log.backend.read(replace(query, limit=0))),
        }
        if self.request.method == "HEAD":
            return HttpResponse(content_type=CONTENT_TYPE, headers=headers)
        connection = Connection(self.request, log, query, named)
        return StreamingHttpResponse(
            connection.frames(), content_type=CONTENT_TYPE, headers=headers
        )


class StreamLiveView(LiveView):
    """One stream, live, to its end."""

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        stream = self.named_stream(kwargs["name"])
        return self.follow(stream.log, existing(stream))


def last_event_id(request: Request, since: Since) -> Since:
    """Where an EventSource that comes back goes on. Garbage is a full replay: better twice than
    not at all."""
    text = request.headers.get("Last-Event-ID")
    if text is None:
        return since
    if re.fullmatch(r"[0-9]{1,19}", text) and int(text) <= MAX_NUMBER:
        return int(text)
    return "earliest"


def has_seen_all(query: Query, stream: StreamInfo) -> bool:
    """Is this the reader of a stream that has ended, coming back at its end?"""
    return (
        stream.status in TERMINAL
        and isinstance(query.since, int)
        and query.since >= stream.last_position
    )


class Connection:
    """One reader: what is written to it, and when.

    Three clocks run beside the log: a silence is broken by a heartbeat, the user's permission
    is asked again, and after its lifetime the reader is sent away, to come back.
    """

    def __init__(self, request: Request, log: EventLog, query: Query, named: bool) -> None:
        self.request = request
        self.log = log
        self.query = query
        self.make_frames = frames_named if named else frames_unnamed
        self.heartbeat = log.settings.heartbeat_interval
        lifetime = log.settings.stream_max_seconds
        self.lifetime = lifetime * random.uniform(1 - JITTER, 1 + JITTER)
        self.told = -1
        self.left = MAX_BYTES if buffers_everything(request) else None
        self.timer: asyncio.TimerHandle | None = None

    async def frames(self) -> AsyncIterator[bytes]:
        await release_thread()
        self.start_clocks()
        bell = Bell()
        async with follow(self.log.backend, self.query, bell.ring) as tail:
            batch = await tail.take()
            assert batch is not None
            yield self.beginning(batch)
            try:
                while True:
                    bell.silence()
                    batch = tail.peek() or await tail.take()
                    if batch is not None and (text := self.of_batch(batch)):
                        self.last_sent = self.now()
                        yield text
                    if tail.ended:
                        return
                    if farewell := await self.farewell(tail):
                        yield farewell
                        return
                    if self.now() - self.last_sent >= self.heartbeat:
                        self.last_sent = self.now()
                        yield self.bookmark(tail) + b": heartbeat\n\n"
                    if batch is None:
                        self.set_timer(bell)
                        await bell.wait()
            finally:
                if self.timer is not None:
                    self.timer.cancel()

    def start_clocks(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.last_sent = self.asked = self.now()
        self.ends_at = self.now() + self.lifetime
        self.check_at = self.now() + access.next_check()

    async def farewell(self, tail: Tail) -> bytes:
        """Why the connection ends here, if it does."""
        if self.left is not None and self.left <= 0:
            return b"retry: 100\n" + end("max_bytes", reconnect=True)
        if self.now() >= self.ends_at:
            return self.bookmark(tail, "\n") + end("max_age", reconnect=True)
        if self.now() < self.check_at:
            return b""
        allowed = await self.may_still_read()
        if allowed is False:
            return end("forbidden", reconnect=False)
        if allowed is None and self.now() - self.asked > access.GRACE:
            return end("unavailable", reconnect=True)
        if allowed:
            self.asked = self.now()
        self.check_at = self.now() + (access.next_check() if allowed else access.AGAIN)
        return b""

    def set_timer(self, bell: Bell) -> None:
        """One timer, which is left as it is if it is early: a timer for each frame costs more than
        the frame."""
        due = min(self.ends_at, self.check_at, self.last_sent + self.heartbeat)
        if self.timer is not None and self.timer.when() <= due:
            return
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_at(due, self.ring, bell)

    def ring(self, bell: Bell) -> None:
        self.timer = None
        bell.ring()

    def beginning(self, batch: Batch) -> bytes:
        """The reader's own cursor first, so that a cut before any event can be resumed."""
        since = self.query.since
        self.told = since if isinstance(since, int) else batch.cursor
        return f"retry: {RETRY}\nid: {self.told}\n\n".encode() + self.of_gap(batch)

    def of_batch(self, batch: Batch) -> bytes:
        text = self.of_gap(batch)
        if batch.entries:
            self.told = batch.entries[-1].position
            text += batch.once(self.make_frames, self.make_frames).encode()
        if batch.end:
            text += self.id_of(batch.cursor, "\n") + end(batch.end, reconnect=False)
        if self.left is not None:
            self.left -= len(text)
        return text

    def of_gap(self, batch: Batch) -> bytes:
        return f"event: gap\ndata: {dumps(batch.gap.to_dict())}\n\n".encode() if batch.gap else b""

    def bookmark(self, tail: Tail, close: str = "") -> bytes:
        return self.id_of(tail.bookmark, close)

    def id_of(self, cursor: int, close: str = "") -> bytes:
        """An id alone, where the last one told is behind; it dispatches nothing."""
        if cursor == self.told:
            return b""
        self.told = cursor
        return f"id: {cursor}\n{close}".encode()

    async def may_still_read(self) -> bool | None:
        """None says that it cannot be asked now."""
        try:
            return await sync_to_async(self._may_still_read)()
        except Exception:
            logger.warning("A permission could not be asked for again.", exc_info=True)
            return None
        finally:
            await release_thread()

    def _may_still_read(self) -> bool:
        try:
            user = renewed(self.request)
        except APIException:
            return False
        return self.log.policy.can_read(user, self.query.stream)


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


def buffers_everything(request: Request) -> bool:
    """Is this daphne? It takes whatever is sent, however slowly its client reads. Unlike the
    servers that wait, it does not say which version of the specification it speaks."""
    http = request._request
    return isinstance(http, ASGIRequest) and "spec_version" not in http.scope.get("asgi", {})


def renewed(request: Request) -> Any:
    """The user of a request, as if it came now. Whoever signed in with a token does so again; a
    session and an account are looked at, and no password is hashed again."""
    http = request._request
    user = request.user
    if not isinstance(request.successful_authenticator, BY_ACCOUNT):
        authenticators: Any = request.authenticators
        user = Request(copy(http), authenticators=authenticators).user
    return access.current(user, getattr(http, "session", None))
