"""Routes for ASGI: a project's `asgi.py` needs one line.

application = events.routing.application(get_asgi_application())
"""

from collections.abc import Iterable
from typing import Any, cast

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.urls import URLPattern, path, re_path

from . import tickets
from .live.eager import RAW_RECEIVE, RAW_SEND
from .origin import SameOrigin
from .websocket.consumer import EventsConsumer

websocket_urlpatterns = [path("ws/events/", EventsConsumer.as_asgi())]


def application(django_asgi_app: Any, routes: Iterable[URLPattern] = ()) -> ProtocolTypeRouter:
    """HTTP to Django; WebSockets, of this site's own pages only and with its session, to the
    log. `routes` are a project's own consumers, which get the same."""
    tickets.hide()
    patterns = [*routes, *websocket_urlpatterns, re_path("", cast(Any, refuse))]
    return ProtocolTypeRouter(
        {
            "http": with_send(django_asgi_app),
            "websocket": WithTicket(SameOrigin(AuthMiddlewareStack(URLRouter(patterns)))),
        }
    )


class WithTicket:
    """A handshake with a ticket goes straight to the log: from any page, and without its cookies.
    Only at the log's own address: a project's consumers may have a parameter of that name."""

    def __init__(self, otherwise: Any) -> None:
        self.otherwise = otherwise
        self.log = URLRouter(websocket_urlpatterns)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        address = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        ticket, _ = tickets.in_query(scope.get("query_string", b""))
        if ticket is None or not any(one.pattern.match(address) for one in websocket_urlpatterns):
            await self.otherwise(scope, receive, send)
        else:
            await self.log({**scope, RAW_SEND: send}, receive, send)


def with_send(app: Any) -> Any:
    """Tell Django's own application of the server's `send` and `receive`; around another one there may be
    something that wants to see what is sent."""
    if not isinstance(app, ASGIHandler):
        return app

    async def called(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, RAW_SEND: send, RAW_RECEIVE: receive}, receive, send)

    return called


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """There is nothing at this address. URLRouter would raise, which servers log as an error."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})
