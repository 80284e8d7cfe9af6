"""The usual Channels idiom: every consumer in a group, `group_send` for every event.

As in the tutorial of Channels, middleware included. The layer is the in-memory one, in the server
process; or, for information, channels_redis's pub/sub, which copies a message by unpacking it again
and turns out to be faster at that than `deepcopy`.
"""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

from benchmarks.rivals.control import controlled
from benchmarks.rivals.message import entry

GROUP = "events"


class Consumer(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def event_message(self, message: dict[str, Any]) -> None:
        await self.send_json(message["event"])


async def emit(numbers: range) -> None:
    layer = get_channel_layer()
    for number in numbers:
        await layer.group_send(GROUP, {"type": "event.message", "event": entry(number)})


application = controlled(
    ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": AllowedHostsOriginValidator(
                AuthMiddlewareStack(URLRouter([path("ws/events/", Consumer.as_asgi())]))
            ),
        }
    ),
    emit,
)
