"""What a client of a WebSocket may say, and what it costs the others, in one process."""

import asyncio
import gc

import pytest

from events.backends import memory
from events.backends.memory import MemoryBackend
from events.live import access
from events.websocket.consumer import EventsConsumer

from .support import virtual
from .support.connections import SOMEBODY, Anybody, Socket, pass_real_time, until

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}
POLICY = {"POLICY": "tests.support.connections.Anybody"}


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(Anybody, "answer", True)
    access._answers.clear()
    yield
    access._answers.clear()


def test_kinds_are_counted_whatever_they_come_in(make_log):
    """A dictionary of kinds does not pass by the limit of 100."""
    log = make_log(**QUICK, **POLICY)

    async def story():
        socket = Socket(user=SOMEBODY)
        socket.say(type="subscribe", id="a", log=log.name, kind={f"a{n}.*": 0 for n in range(3000)})
        for _ in range(50):
            await pass_real_time()
        frames = socket.frames()
        socket.task.cancel()
        assert frames[0]["type"] == "error", frames[0]["type"]

    virtual.run(story())


def test_answers_are_bounded(make_log):
    """A client that does not read, and asks, is not kept more than 1 MiB of its own words."""
    make_log(**QUICK, **POLICY)

    async def story():
        socket = Socket()  # nobody has signed in
        await pass_real_time()
        socket.reads.clear()
        consumer = next(
            one
            for one in gc.get_objects()
            if type(one) is EventsConsumer and getattr(one.scope["user"], "is_anonymous", False)
        )
        for _ in range(490):
            socket.say(type="unsubscribe", id="é" * 10_000)
        for _ in range(10):
            await pass_real_time()
        held = sum(map(len, consumer.writer.answers))
        socket.task.cancel()
        assert held < 2**20, f"{held / 2**20:.0f} MiB"

    virtual.run(story())


def test_a_log_that_cannot_be_read_silences_no_other(make_log, monkeypatch):
    """B46: the other subscriptions of the socket go on, with events, pongs and heartbeats."""
    good, bad = make_log(**QUICK, **POLICY), make_log(**QUICK, **POLICY)
    read = MemoryBackend.read

    def failing(self, query):
        if self.name == bad.name:
            raise RuntimeError("that database is away")
        return read(self, query)

    monkeypatch.setattr(MemoryBackend, "read", failing)

    async def story():
        loop = asyncio.get_running_loop()
        socket = Socket(user=SOMEBODY)
        await socket.live(log=good.name)
        socket.say(type="subscribe", id="b", log=bad.name)
        await pass_real_time()
        socket.say(type="ping")
        good.append("n")
        for _ in range(60):
            await loop.pass_time(1)
            await pass_real_time()
        types = {frame["type"] for frame in socket.frames()}
        code = socket.code
        socket.task.cancel()
        assert {"pong", "heartbeat", "events"} <= types, (types, code)

    virtual.run(story())


@pytest.mark.parametrize("ack", [{"id": "a", "position": 2**53}, {"id": "a", "position": 501}])
def test_an_acknowledgement_of_what_was_not_sent(make_log, ack):
    """B34: it is no way around reading: nothing more is sent, and the socket is closed with 4400."""
    log = make_log(**QUICK, **POLICY)
    log.append_many([("n", {"text": "x" * 20_000})] * 500)

    async def story():
        socket = Socket(user=SOMEBODY)
        socket.say(type="subscribe", id="a", log=log.name, since=0)
        await until(lambda: socket.frames("events"))
        await pass_real_time()
        sent = len(socket.frames("events"))
        for _ in range(20):
            socket.say(type="ack", **ack)
        await socket.task
        assert (socket.code, len(socket.frames("events"))) == (4400, sent)

    virtual.run(story())


def test_acknowledging_what_was_sent_before_the_log_was_made_anew(make_log):
    """Such an ack may come late, also when another subscription's has released what it is about."""
    log = make_log(**QUICK, **POLICY)
    log.append_many([("n", {})] * 9)

    async def story():
        socket = Socket(user=SOMEBODY)
        for id in ("a", "b"):
            socket.say(type="subscribe", id=id, log=log.name)
            await until(lambda: len(socket.frames("live")) == 1 + (id == "b"))  # noqa: B023
        socket.say(type="ack", id="b", position=9)
        memory.forget(log.name)
        log.append("n")
        await until(lambda: len(socket.frames("events")) == 4)
        socket.say(type="ack", id="a", position=9)
        socket.say(type="ping")
        await until(lambda: socket.frames("pong") or socket.code)
        assert socket.code is None
        socket.task.cancel()

    virtual.run(story())


def test_acknowledging_what_another_subscription_left(make_log):
    """Only what was sent counts, also of a subscription that the client has left; an ack of one that
    it never had releases nothing, and is no offence."""
    log = make_log(**QUICK, **POLICY)
    log.append_many([("n", {"text": "x" * 20_000})] * 500)

    async def story():
        socket = Socket(user=SOMEBODY)
        socket.say(type="subscribe", id="a", log=log.name, since=0)
        await until(lambda: socket.frames("events"))
        await pass_real_time()
        last = socket.frames("events")[-1]["events"][-1]["position"]
        socket.say(type="unsubscribe", id="a")
        socket.say(type="subscribe", id="b", log=log.name, since=0)
        socket.say(type="ack", id="c", position=last)
        socket.say(type="ack", id="a", position=last + 1)
        await until(lambda: socket.frames("unsubscribed"))
        await pass_real_time()
        assert not [one for one in socket.frames("events") if one["id"] == "b"]
        socket.say(type="ack", id="a", position=last)
        await until(lambda: [one for one in socket.frames("events") if one["id"] == "b"])
        assert socket.code is None
        socket.task.cancel()

    virtual.run(story())


def test_deep_ids(make_log):
    """An id that can be read and not be written closes the socket with 4400 and no traceback."""
    make_log(**QUICK, **POLICY)

    async def story():
        codes = set()
        for depth in range(850, 1000, 3):
            socket = Socket(user=SOMEBODY)
            text = '{"type":"unsubscribe","id":' + "[" * depth + "]" * depth + "}"
            socket.incoming.put_nowait({"type": "websocket.receive", "text": text})
            await pass_real_time()
            if socket.task.done():
                codes.add((socket.code, type(socket.task.exception()).__name__))
            socket.task.cancel()
        assert codes <= {(4400, "NoneType")}, codes

    virtual.run(story())


def test_an_address_with_too_many_fields(make_log):
    """Django refuses to parse it: the client is broken, and no error of ours is in the server's log."""
    make_log(**QUICK, **POLICY)

    async def story():
        socket = Socket(user=SOMEBODY, query=b"&".join([b"a=1"] * 1001))
        await socket.task
        assert (socket.frames()[0]["code"], socket.code) == ("bad_request", 4400)

    virtual.run(story())
