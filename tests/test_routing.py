"""Who gets through the door of a WebSocket, and a project's own consumer behind it."""

import re
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connections

from events import aemit, logs, routing
from events.origin import is_own
from events.websocket.consumer import EventsConsumer
from eventsite import consumers
from eventsite.consumers import KindCounter

from .support.servers import ROOT

PAGE = (ROOT / "docs" / "how-to" / "consumers.md").read_text()


def scope(origin, host="example.com", **headers):
    headers |= {"host": host} | ({"origin": origin} if origin is not None else {})
    raw = [(name.encode(), value.encode("latin1")) for name, value in headers.items()]
    return {"type": "websocket", "path": "/ws/events/", "headers": raw, "server": ("10.0.0.1", 80)}


class TestOrigin:
    """B68"""

    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            ("http://example.com", "example.com"),
            ("https://example.com", "example.com"),
            ("http://example.com:8000", "example.com:8000"),
            ("https://example.com", "example.com:443"),
            ("http://EXAMPLE.com", "example.com"),
            ("http://[::1]:8000", "[::1]:8000"),
        ],
    )
    def test_ones_own_page(self, origin, host):
        assert is_own(scope(origin, host))

    @pytest.mark.parametrize(
        "origin",
        [
            None, "", "null", "http://evil.example", "http://[", "http://example.com.evil.example",
            "http://evil-example.com", "http://example.com:8000", "file://", "http://example.com:x",
            "//example.com", "ftp://example.com", "http://example.com@evil.example", "http://\xe9",
            "http://evil.example/example.com",
        ],
    )  # fmt: skip
    def test_anything_else(self, origin):
        assert not is_own(scope(origin))

    def test_two_origins(self):
        twice = scope("http://example.com")
        twice["headers"].append((b"origin", b"http://example.com"))
        assert not is_own(twice)

    def test_a_host_that_is_not_ours(self, settings):
        """A name that an attacker points at us: his page and our host agree."""
        settings.ALLOWED_HOSTS = ["example.com"]
        assert is_own(scope("http://example.com"))
        assert not is_own(scope("http://evil.example", "evil.example"))

    def test_origins_that_are_trusted(self, settings):
        settings.CSRF_TRUSTED_ORIGINS = ["https://app.example", "https://*.wild.example"]
        assert is_own(scope("https://app.example"))
        assert is_own(scope("https://a.wild.example"))
        assert not is_own(scope("http://app.example"))
        assert not is_own(scope("https://wild.example.evil"))
        assert not is_own(scope("https://notwild.example"))

    def test_behind_a_proxy(self, settings):
        settings.USE_X_FORWARDED_HOST = True
        headers = {"x-forwarded-host": "example.com"}
        assert is_own(scope("https://example.com", "inside:8000", **headers))

    def test_a_proxy_that_ends_tls(self, settings):
        """What comes over plain HTTP is not the page of a site that the proxy serves with TLS."""
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert is_own(scope("https://example.com", **{"x-forwarded-proto": "https"}))
        assert not is_own(scope("http://example.com", **{"x-forwarded-proto": "https"}))
        assert is_own(scope("http://example.com", **{"x-forwarded-proto": "http"}))


class TestApplication:
    async def connect(self, path, origin="http://example.com", routes=()):
        application = routing.application(None, routes)
        headers = [(b"host", b"example.com"), (b"origin", origin.encode())]
        communicator = WebsocketCommunicator(application, path, headers)
        connected, code = await communicator.connect()
        await communicator.disconnect()
        return connected, code

    @pytest.mark.django_db(transaction=True)
    async def test_routes(self):
        from django.urls import path

        routes = [path("mine/", EventsConsumer.as_asgi())]
        assert (await self.connect("/ws/events/"))[0]
        assert (await self.connect("/mine/", routes=routes))[0]
        assert await self.connect("/nothing/") == (False, 4404)
        assert await self.connect("/ws/events/", "http://evil.example") == (False, 4403)
        await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
class TestConsumerOfAProjectsOwn:
    @pytest.fixture(autouse=True)
    async def layer(self, settings):
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
        yield
        await get_channel_layer().flush()
        await sync_to_async(connections.close_all)()

    def counter(self, user):
        communicator = WebsocketCommunicator(KindCounter.as_asgi(), "/ws/counts/")
        communicator.scope["user"] = user
        return communicator

    async def test_it_counts_what_comes(self):
        """B31: it is told after every append, and reads for itself."""
        user = await User.objects.acreate_user("reader")
        await user.user_permissions.aadd(await Permission.objects.aget(codename="view_event"))
        await aemit("before")
        communicator = self.counter(user)
        assert (await communicator.connect())[0]
        await aemit("a")
        assert await communicator.receive_json_from(5) == {"counts": {"a": 1}, "missed": 0}
        await aemit("a")
        assert await communicator.receive_json_from(5) == {"counts": {"a": 2}, "missed": 0}
        await communicator.disconnect()

    async def test_a_hint_beyond_the_head(self):
        """Of another project on the same Redis, say: it reads to the head that the log tells."""
        communicator = self.counter(await User.objects.acreate_superuser("reader"))
        assert (await communicator.connect())[0]
        foreign = {"type": "events.appended", "log": "default", "head": 10**9}
        await get_channel_layer().group_send("events.default", foreign)
        assert await communicator.receive_json_from(5) == {"counts": {}, "missed": 0}
        await aemit("a")
        assert await communicator.receive_json_from(5) == {"counts": {"a": 1}, "missed": 0}
        await communicator.disconnect()

    async def test_what_is_pruned_before_it_was_read(self):
        """It says how many entries it has missed, and goes on."""
        communicator = self.counter(await User.objects.acreate_superuser("reader"))
        assert (await communicator.connect())[0]
        layer = get_channel_layer()
        members = layer.groups.pop("events.default")
        for _ in range(3):
            await aemit("a")
        await logs["default"].aprune(max_entries=1)
        layer.groups["events.default"] = members
        await aemit("b")
        expected = {"counts": {"a": 1, "b": 1}, "missed": 2}
        assert await communicator.receive_json_from(5) == expected
        await communicator.disconnect()

    async def test_it_asks_the_policy(self):
        """B65"""
        assert await self.counter(AnonymousUser()).connect() == (False, 4403)

    def test_it_stands_in_the_documentation(self):
        """What is shown is what runs."""
        shown = re.search(r"```python\n.*?(class KindCounter.*?)```", PAGE, re.DOTALL)[1]
        code = Path(consumers.__file__).read_text()
        normal = re.sub(r'    """.*?"""\n\n', "", code, flags=re.DOTALL)
        assert shown in normal
