"""Notes with each event who asked for it: the user, the request and the trace. It comes after
Django's AuthenticationMiddleware."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import SimpleLazyObject

from .context import User, actor_of, context

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# https://www.w3.org/TR/trace-context/: neither identifier may be all zeros.
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

try:
    from opentelemetry import trace as opentelemetry
except ImportError:
    opentelemetry = None  # type: ignore[assignment]


@sync_and_async_middleware
def ContextMiddleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponseBase:
            async with of_request(request):
                response: HttpResponseBase = await get_response(request)
                return response

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with of_request(request):
            response: HttpResponseBase = get_response(request)
            return response

    return middleware


def of_request(request: HttpRequest) -> context:
    fields = {"request": request_id(request)}
    if trace := trace_of(request):
        fields["trace"] = trace
    found = context(**fields)
    found.user = User(lambda: actor(request), lambda: aactor(request))
    return found


def request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def trace_of(request: HttpRequest) -> str | None:
    """The caller's trace, or else that of OpenTelemetry's current span."""
    given = request.headers.get("traceparent", "")
    if TRACEPARENT.fullmatch(given):
        return given
    if opentelemetry is None:
        return None
    span = opentelemetry.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def actor(request: HttpRequest) -> str | None:
    return actor_of(getattr(request, "user", None))


async def aactor(request: HttpRequest) -> str | None:
    """Django's own user is lazy, and would ask the database in the event loop; one that an
    authentication of the host's has set instead is there already."""
    user = request.__dict__.get("user")
    lazy = isinstance(user, SimpleLazyObject) and hasattr(request, "auser")
    return actor_of(await request.auser() if lazy else user)
