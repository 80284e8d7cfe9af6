"""Sending an answer to a client that may not read it.

A server waits with a response for as long as its client takes nothing. What the request held
meanwhile, a thread and a connection of the site's pool, would be missing to everybody else: ten
downloads that nobody reads would close a site whose pool has ten. So both go back before each
piece is sent, and a response of which nothing is taken for SEND_TIMEOUT ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.request import Request

from ..internals import django_request
from ..limits import Held
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


async def at_clients_pace(
    pieces: AsyncGenerator[bytes], send_timeout: float
) -> AsyncGenerator[bytes]:
    """The pieces of a body, with nothing of the site's held while the client takes one."""
    task = asyncio.current_task()
    assert task is not None  # nosec B101 # for the type checker
    loop = asyncio.get_running_loop()
    async with aclosing(pieces):
        async for piece in pieces:
            await release_thread()
            # Django takes the cancellation of its request for a client that has gone.
            timer = loop.call_later(send_timeout, task.cancel)
            try:
                yield piece
            finally:
                timer.cancel()


class OpenResponse(StreamingHttpResponse):
    """Counts among the connections of its user until it is over, however it ends."""

    def __init__(self, content: Any, held: Held, **options: Any) -> None:
        self.held = held
        super().__init__(content, **options)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self.held:
            async for part in super().__aiter__():
                yield part

    def close(self) -> None:
        super().close()
        self.held.release()


def streamed(response: HttpResponse, send_timeout: float, held: Held) -> StreamingHttpResponse:
    """A large answer, piece by piece."""
    answer = OpenResponse(
        at_clients_pace(_cut(response.content), send_timeout),
        held,
        status=response.status_code,
        reason=response.reason_phrase,
        headers={**response.headers, "Content-Length": str(len(response.content))},
    )
    answer.cookies = response.cookies
    return answer


async def _cut(content: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
