"""Sending in place of a task that waits: nothing is lost, doubled or overtaken by it."""

import asyncio
import gc
import json
import random
from contextlib import aclosing
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import AnonymousUser

from events import routing
from events.api.eventsource import Connection
from events.limits import Held
from events.live.broker import broker_for
from events.live.eager import RAW_SEND, Deputy
from events.live.waking import Bell
from events.websocket import subscription
from events.websocket.consumer import EventsConsumer
from events.websocket.subscription import Subscription
from events.websocket.writer import Writer

from .support.connections import request_of

OPEN = {"BACKEND": "memory", "TTL": None, "POLICY": "tests.support.connections.Anybody"}


@pytest.fixture
def log(make_log):
    return make_log(**OPEN)


class Sender:
    """A task that waits for its bell, and what was sent in its place."""

    def __init__(self, send):
        self.bell = Bell()
        self.send = send
        self.error = None
        self.task = asyncio.ensure_future(self.run())

    async def run(self):
        self.deputy = Deputy(self.send, self.bell)
        try:
            while True:
                self.bell.silence()
                await self.deputy.finish()
                await self.deputy.wait()
        except Exception as error:
            self.error = error


async def sender(send):
    one = Sender(send)
    await asyncio.sleep(0)
    assert one.deputy.is_free
    return one


async def test_what_need_not_wait_is_sent_at_once():
    """The task sleeps on."""
    sent = []

    async def send(message):
        sent.append((message, asyncio.current_task()))

    one = await sender(send)
    here = asyncio.current_task()
    one.deputy.begin({"n": 1})
    assert sent == [({"n": 1}, one.task)]
    assert asyncio.current_task() is here
    assert one.deputy.is_free
    one.task.cancel()


async def test_what_has_to_wait_is_finished_by_the_task():
    """And nothing else may be begun before that."""
    opened, sent = asyncio.Event(), []

    async def send(message):
        await opened.wait()
        await asyncio.sleep(0)
        sent.append(message)

    one = await sender(send)
    one.deputy.begin({"n": 1})
    assert not one.deputy.is_free
    opened.set()
    while not one.deputy.is_free:
        await asyncio.sleep(0)
    assert sent == [{"n": 1}]
    one.task.cancel()


async def test_a_failure_is_the_tasks():
    """Whoever came along with the message hears nothing of it."""

    async def send(message):
        raise OSError("gone")

    one = await sender(send)
    one.deputy.begin({})
    await one.task
    assert isinstance(one.error, OSError)


async def test_a_timeout_within_ends_the_task():
    """A server that gives up on a client must not take the broker with it."""

    async def send(message):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    one = await sender(send)
    one.deputy.begin({})
    await one.task
    assert isinstance(one.error, TimeoutError)


async def test_a_cancelled_task_leaves_nothing_running():
    """What was begun is closed with it."""
    closed = []

    async def send(message):
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(message)

    one = await sender(send)
    one.deputy.begin({"n": 1})
    await asyncio.sleep(0)
    one.task.cancel()
    await asyncio.gather(one.task, return_exceptions=True)
    assert closed == [{"n": 1}]


class Pipe:
    """A server's `send` that has to wait now and then, and tells when two are in it at once."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sent = []
        self.busy = False

    async def __call__(self, message):
        assert not self.busy, "one message was begun before the last was sent"
        self.busy = True
        if self.random.random() < 0.4:
            for _ in range(self.random.randrange(1, 6)):
                await asyncio.sleep(0)
        self.sent.append(message)
        self.busy = False


async def emit_some(log, seed):
    """Sixty events in two streams, at random moments; a batch now and then."""
    chance = random.Random(seed)
    while (left := 60 - log.info().head) > 0:
        stream = chance.choice(["s", "t", ""])
        log.append_many([{"kind": "n", "stream": stream}] * min(left, chance.choice([1, 1, 1, 7])))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(25))
async def test_a_socket_gets_all_in_order(log, seed):
    """B31, B34: over a pipe that is full now and then, whoever sends."""
    pipe, incoming = Pipe(seed), asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    for frame in ({"id": "all"}, {"id": "s", "stream": "s"}, {"id": "t", "stream": "t"}):
        text = json.dumps({"type": "subscribe", "since": 0, "log": log.name, **frame})
        incoming.put_nowait({"type": "websocket.receive", "text": text})
    scope = {"type": "websocket", "query_string": b"", "headers": [], "user": AnonymousUser()}

    def positions(id):
        frames = [json.loads(one["text"]) for one in pipe.sent if "text" in one]
        return [
            entry["position"]
            for frame in frames
            if frame["type"] == "events" and frame["id"] == id
            for entry in frame["events"]
        ]

    task = asyncio.ensure_future(EventsConsumer()(scope, incoming.get, pipe))
    await emit_some(log, seed)
    entries = log.read(limit=100).entries
    wanted = {
        "all": [entry.position for entry in entries],
        "s": [entry.position for entry in entries if entry.stream == "s"],
        "t": [entry.position for entry in entries if entry.stream == "t"],
    }
    async with asyncio.timeout(3):
        while any(len(positions(id)) < len(found) for id, found in wanted.items()):
            assert not task.done(), pipe.sent[-3:]
            await asyncio.sleep(0.001)
    assert {id: positions(id) for id in wanted} == wanted
    task.cancel()


@pytest.mark.parametrize("seed", range(25))
async def test_a_reader_of_server_sent_events_gets_all_in_order(log, seed):
    """B42: whichever of the two ways a frame took."""
    pipe = Pipe(seed)
    connection = Connection(request_of(), log, log.query(since=0), True)
    connection.send = pipe

    async def serve():
        async for part in connection.respond({}, Held()):
            await pipe({"body": part})

    task = asyncio.ensure_future(serve())
    await emit_some(log, seed)
    ids = []
    async with asyncio.timeout(10):
        while len(ids) < 60:
            await asyncio.sleep(0.001)
            text = b"".join(one["body"] for one in pipe.sent).decode()
            ids = [
                int(block.split("\n")[0][4:]) for block in text.split("\n\n") if "data:" in block
            ]
    assert ids == list(range(1, 61))
    task.cancel()


async def test_middleware_that_wraps_the_frames_sees_every_one(log):
    """Nothing goes past it."""
    past = []

    async def send(message):
        past.append(message)

    connection = Connection(request_of(), log, log.query(since=0), True)
    connection.send = send
    response = connection.respond({}, Held())

    async def upper(parts):
        async for part in parts:
            yield part.upper()

    response.streaming_content = upper(response.streaming_content)
    parts = aiter(response)
    assert (await anext(parts)).startswith(b"RETRY")
    coming = asyncio.ensure_future(anext(parts))
    await asyncio.sleep(0.05)
    log.append("n")
    assert b"EVENT: N" in await coming
    assert not past
    await parts.aclose()


async def test_who_is_cut_off_in_the_middle_of_a_frame_is_forgotten(log):
    """B51: at once, and not when garbage is next collected."""
    stuck = asyncio.Event()

    async def serve():
        response = Connection(request_of(), log, log.query(since=0), True).respond({}, Held())
        async with aclosing(aiter(response)) as parts:
            async for part in parts:
                if b"data" in part:
                    stuck.set()
                    await asyncio.Event().wait()

    log.append("n")
    gc.disable()
    try:
        task = asyncio.ensure_future(serve())
        await stuck.wait()
        task.cancel()
        await asyncio.wait([task])
        assert not broker_for(log.backend).wakes
    finally:
        gc.enable()


async def test_a_bookmark_is_not_ahead_of_what_is_sent(log, monkeypatch):
    """B34, B46: what was taken and waits for its turn may never arrive."""
    monkeypatch.setattr(subscription, "READ_AHEAD", 0)
    log.append_many([("n", {})] * 3)
    one = Subscription("a", log, log.query(since=0), Held("a"))
    await one.start(lambda: None, "a")

    async def taken():
        assert await one.take() is None
        await asyncio.wait([one.taking])

    await taken()
    assert (await one.take()).cursor == 0
    await taken()
    assert one.tail.cursor == 3
    assert one.bookmark == 0
    await one.close()


async def test_an_epoch_is_not_ahead_of_its_gap(log, monkeypatch):
    """B13: a client that is cut off between the two would come back as one of the new epoch."""
    monkeypatch.setattr(subscription, "READ_AHEAD", 0)
    log.append_many([("n", {})] * 3)
    one, sent = Subscription("a", log, log.query(since=0), Held("a")), []

    async def send(message):
        sent.append(json.loads(message["text"])["type"])

    writer = Writer(send, Mock())
    writer.held["a"] = one
    await one.start(lambda: None, "a")

    async def taken():
        assert await one.take() is None
        await asyncio.wait([one.taking])
        return await one.take()

    await writer._deliver(one, await taken())
    log.renew_epoch()
    assert await one.take() is None
    await asyncio.wait([one.taking])
    writer.beat()
    await writer._send_answers()
    await writer._deliver(one, await one.take())
    assert sent == ["subscribed", "heartbeat", "gap", "events"]
    await one.close()


async def test_an_application_around_django_sees_every_frame():
    """Only Django's own is told of the server's `send`."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)

    await routing.application(app)({"type": "http"}, None, None)
    assert RAW_SEND not in scopes[0]


class Bare:
    """As much of an awaitable as has to be: other languages' servers give us such."""

    def __init__(self, opened):
        self.steps = opened.wait().__await__()

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.steps)


async def test_an_awaitable_that_is_no_coroutine():
    """Granian's has neither `send` nor `throw`."""
    opened, sent = asyncio.Event(), []

    def send(message):
        sent.append(message)
        return Bare(opened)

    one = await sender(send)
    one.deputy.begin({"n": 1})
    await asyncio.sleep(0)
    assert not one.deputy.is_free
    opened.set()
    while not one.deputy.is_free:
        await asyncio.sleep(0)
    one.deputy.begin({"n": 2})
    assert one.deputy.is_free
    assert sent == [{"n": 1}, {"n": 2}]
    one.task.cancel()


class Gone(BaseException):
    """Not an Exception, as a group of cancellations is none."""


async def test_no_failure_is_that_of_who_brought_the_message():
    """Whatever it is."""

    async def send(message):
        raise Gone

    one = await sender(send)
    one.deputy.begin({"n": 1})
    with pytest.raises(Gone):
        await one.task
