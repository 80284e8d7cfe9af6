"""Connections in the test's own event loop, whose every frame the test sees and whose time it sets."""

import asyncio
import json
import time
from contextlib import suppress
from types import SimpleNamespace

from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from rest_framework.request import Request

from events.api.eventsource import Connection
from events.limits import Held
from events.live import broker
from events.websocket.consumer import EventsConsumer

SOMEBODY = SimpleNamespace(is_authenticated=True, pk=None)


class Anybody:
    """A policy that answers what the test says."""

    answer = True

    def can_read(self, user, stream):
        return Anybody.answer if stream != "hidden" else False

    can_emit = can_read


def request_of(user=None, spec_version="2.3"):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    scope["asgi"] = {"version": "3.0", "spec_version": spec_version} if spec_version else {}
    http = ASGIRequest({**scope, "query_string": b""}, None)
    http.user = user or AnonymousUser()
    return Request(http)


async def next_batch(tail, seconds=None):
    """The next batch of a tail; None when time is up, or after the end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await anext(tail, None)


class Reader:
    """Collects the frames of one connection while time passes, whichever way they are sent."""

    at_once = False

    def __init__(self, connection):
        self.text = ""
        if Reader.at_once:
            connection.send = self.send
        self.task = asyncio.ensure_future(self.collect(connection.respond({}, Held("anybody"))))

    async def send(self, message):
        self.text += message["body"].decode()

    async def collect(self, response):
        async for chunk in response:
            self.text += chunk.decode()

    def take(self):
        text, self.text = self.text, ""
        return text


async def reading(log, request=None, named=True, **query):
    reader = Reader(Connection(request or request_of(), log, log.query(**query), named))
    while not reader.text:
        await asyncio.sleep(0.001)
    await pass_real_time()
    reader.take()
    return reader


async def pass_real_time():
    """Until the brokers know what there is, and what is done in threads has had its time."""
    for one in list(broker._brokers.get(asyncio.get_running_loop(), {}).values()):
        # One whose log cannot be read never answers.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.look()
    for _ in range(20):
        await asyncio.to_thread(lambda: None)


async def until(condition):
    """What is due by now, and is being done in a thread."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


class Socket:
    """A consumer, and a client of whom the test knows everything."""

    def __init__(self, user=None, session=None, query=b""):
        self.sent = []
        self.incoming = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        scope = {"type": "websocket", "query_string": query, "headers": []}
        scope["user"] = user or AnonymousUser()
        scope["session"] = session
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(EventsConsumer()(scope, self.incoming.get, self.send))

    async def send(self, message):
        await self.reads.wait()
        self.sent.append(message)

    def say(self, **frame):
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    def frames(self, type=None):
        texts = [json.loads(one["text"]) for one in self.sent if one["type"] == "websocket.send"]
        return [frame for frame in texts if type in (None, frame["type"])]

    @property
    def code(self):
        return next((one["code"] for one in self.sent if one["type"] == "websocket.close"), None)

    async def live(self, **query):
        self.say(type="subscribe", id="a", **query)
        while not self.frames("live"):
            await asyncio.sleep(0.001)
