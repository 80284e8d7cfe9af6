"""Sending an answer to a client that may not read it.

A server waits with a response for as long as its client takes nothing. What the request held
meanwhile, a thread and a connection of the site's pool, would be missing to everybody else: ten
downloads that nobody reads would close a site whose pool has ten. So both go back before each
piece is sent, and a response of which nothing is taken for SEND_TIMEOUT ends.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.request import Request

from ..internals import django_request
from ..limits import CONNECTIONS, Held, hold, whose
from ..live.eager import RAW_RECEIVE
from ..log import EventLog
from ..threads import release_thread

# Bytes in one response of a server without backpressure, which would keep in memory all that a
# stalled client does not take. The client comes back for the rest.
MAX_BYTES = 8 * 2**20
# Bytes that are handed to the server together.
PIECE = 2**16


def is_asgi(request: Request) -> bool:
    return isinstance(django_request(request), ASGIRequest)


def buffers_everything(request: Request) -> bool:
    """Is this daphne? It takes whatever is sent, however slowly its client reads. Unlike the
    servers that wait, it does not say which version of the specification it speaks."""
    http = django_request(request)
    return isinstance(http, ASGIRequest) and "spec_version" not in http.scope.get("asgi", {})


def hold_connection(log: EventLog, user: Any, http: Any) -> Held:
    """Count this request's response, which stays open, among its user's connections."""
    held = hold(CONNECTIONS, whose(log.policy, user, http), log.settings.max_connections)
    if isinstance(http, ASGIRequest):
        held.receive = http.scope.get(RAW_RECEIVE)
    return held


class Patience:
    """Ends the response of a task when its client takes nothing for so many seconds."""

    def __init__(self, seconds: float, at_end: Callable[[], None]) -> None:
        self.seconds = seconds
        self.at_end = at_end
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_at_end = False

    def begin(self) -> None:
        self.task = asyncio.current_task()

    def start(self) -> None:
        self.timer = asyncio.get_running_loop().call_later(self.seconds, self._end)

    def _end(self) -> None:
        assert self.task is not None  # nosec B101 # for the type checker
        self.is_at_end = True
        self.at_end()
        # Django takes the cancellation of its request for a client that has gone.
        self.task.cancel()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


async def at_clients_pace(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The pieces of a body, with nothing of the site's held while the client takes one."""
    async with aclosing(pieces):
        async for piece in pieces:
            await release_thread()
            yield piece


class OpenResponse(StreamingHttpResponse):
    """Ends when its client takes nothing any more, and counts among the connections of its user
    until then, or however else it ends."""

    def __init__(self, content: Any, held: Held, send_timeout: float, **options: Any) -> None:
        self.held = held
        self.patience = Patience(send_timeout, held.release_when_gone)
        super().__init__(content, **options)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.patience.begin()
        try:
            async for part in super().__aiter__():
                for piece in cut(part):
                    with self.patience:
                        yield piece
        except BaseException:
            self.let_go()
            raise
        # For what tells the client of the end, too. Django closes the response after that.
        self.patience.start()

    def close(self) -> None:
        super().close()
        self.let_go()

    def let_go(self) -> None:
        self.patience.stop()
        if not self.patience.is_at_end:
            self.held.release()


def streamed(response: HttpResponse, send_timeout: float, held: Held) -> StreamingHttpResponse:
    """A large answer, piece by piece."""
    answer = OpenResponse(
        at_clients_pace(_whole(response.content)),
        held,
        send_timeout,
        status=response.status_code,
        reason=response.reason_phrase,
        headers={**response.headers, "Content-Length": str(len(response.content))},
    )
    answer.cookies = response.cookies
    return answer


async def _whole(content: bytes) -> AsyncGenerator[bytes]:
    yield content


def cut(content: bytes) -> Iterator[bytes]:
    """So little at a time that a slow client is seen to take something."""
    if len(content) <= PIECE:
        yield content
        return
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
