"""Which pages may open a WebSocket, or step a stream without a body: those of the site itself.

Browsers send cookies along from any page, and no CSRF token, so the Origin is all there is to
tell one's own page from somebody else's. Channels' validator compares it with ALLOWED_HOSTS,
which lets everybody in where that is `*`, and fails on an Origin that is no address.
"""

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils.http import is_same_domain

from .live.eager import RAW_SEND

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class SameOrigin:
    """Refuses a handshake whose Origin is neither this host nor in CSRF_TRUSTED_ORIGINS. One
    without an Origin is refused as well: browsers send it, and a program can."""

    def __init__(self, inner: Application) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if is_own(scope):
            await self.inner({**scope, RAW_SEND: send}, receive, send)
            return
        await receive()
        # Before it is accepted, a close is an answer of 403.
        await send({"type": "websocket.close", "code": 4403})


def is_own(scope: dict[str, Any]) -> bool:
    origins = [value for name, value in scope.get("headers", ()) if name == b"origin"]
    request = request_of(scope)
    return len(origins) == 1 and is_ours(origins[0].decode("latin1"), request)


def is_foreign(request: HttpRequest) -> bool:
    """Does a browser say that a page of another site has sent this?"""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    return not is_ours(origin, request)


def is_ours(text: str, request: HttpRequest) -> bool:
    """Is this origin the host that was asked for, or a trusted one?"""
    try:
        origin = urlsplit(text)
        if origin.scheme not in ("http", "https") or not origin.hostname or not text.isascii():
            return False
        # Whoever can change what comes over plain HTTP is not the site.
        plain = origin.scheme == "http" and request.is_secure()
        return is_trusted(origin) or (not plain and is_this_host(origin, request.get_host()))
    except (ValueError, DisallowedHost):
        return False


def request_of(scope: dict[str, Any]) -> HttpRequest:
    """A handshake, to be judged by Django's own rules: ALLOWED_HOSTS, USE_X_FORWARDED_HOST,
    SECURE_PROXY_SSL_HEADER."""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    # A query string that is no UTF-8 would be an error.
    own = {"method": "GET", "scheme": scheme, "query_string": b""}
    return ASGIRequest({"path": "/", **scope, **own}, BytesIO())


def is_this_host(origin: SplitResult, host: str) -> bool:
    here = urlsplit(f"//{host}")
    # Without a port, the host's is the one that the page's scheme stands for: behind a proxy
    # that ends TLS, we know no better scheme.
    default = PORTS[origin.scheme]
    return (origin.hostname, origin.port or default) == (here.hostname, here.port or default)


def is_trusted(origin: SplitResult) -> bool:
    """As Django's CSRF check has it: scheme and host, where `*.` stands for any subdomain."""
    for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS):
        if trusted.scheme == origin.scheme and is_same_domain(
            origin.netloc, trusted.netloc.lstrip("*")
        ):
            return True
    return False
