"""What a reviewer who meant no good has found in live delivery."""

import asyncio
import gc
import os
import signal
import threading
import time
import weakref
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.test import Client
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from events.api import eventsource, sse
from events.api.waiting import Wait
from events.backends.memory import MemoryBackend
from events.live import access
from events.live import broker as live
from events.live.broker import broker_for
from events.live.tail import follow
from events.testing import ManualClock
from events.websocket.consumer import EventsConsumer

from .support import virtual
from .test_clocks import SOMEBODY, Anybody, Socket, pass_real_time, reading, request_of

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}
POLICY = {"POLICY": "tests.test_clocks.Anybody"}


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(Anybody, "answer", True)
    access._answers.clear()
    yield
    access._answers.clear()


@pytest.fixture
def log(make_log):
    return make_log(**QUICK)


class Dev:
    """A principal of the host's own, with an id of its own numbering."""

    is_authenticated = True

    def __init__(self, name, pk):
        self.name, self.pk = name, pk


class ByName:
    def can_read(self, user, stream):
        return getattr(user, "name", "") == "admin"

    can_emit = can_read


# Access


@pytest.mark.django_db(transaction=True)
def test_a_socket_that_waits_outlives_its_session(user, log):
    """B66: signed out, then the socket that was open all the time subscribes, and is given all."""
    client = Client()
    client.force_login(user)
    session = SessionStore(client.cookies["sessionid"].value)
    log.append("secret")

    def send_away():
        client.logout()
        User.objects.filter(pk=user.pk).update(is_active=False)
        connections.close_all()

    async def story():
        loop = asyncio.get_running_loop()
        socket = Socket(user=user, session=session)
        await pass_real_time()
        await asyncio.to_thread(send_away)
        for _ in range(90):  # well beyond the minute that is promised
            await loop.pass_time(1)
            await pass_real_time()
        socket.say(type="subscribe", id="a", log=log.name, since=0)
        for _ in range(20):
            await pass_real_time()
        given = socket.frames("events")
        socket.task.cancel()
        assert not given

    virtual.run(story())


def test_principals_without_a_key_are_taken_for_each_other(make_log):
    """Two users that are no rows (pk None): the check of one makes it the other."""
    mallory, admin = Dev("mallory", None), Dev("admin", None)
    assert access.current(admin, None) is admin
    assert access.current(mallory, None) is mallory


@pytest.mark.django_db
def test_principals_of_two_kinds_are_taken_for_each_other():
    """A device 1 and the user 1: after a check the device is the user."""
    admin = User.objects.create_superuser("root")
    device = Dev("device", admin.pk)
    assert access.current(admin, None) == admin
    assert access.current(device, None) is device


def test_a_socket_becomes_somebody_else(make_log):
    """The same through the socket: after its check mallory may subscribe as the admin."""
    log = make_log(**QUICK, POLICY="tests.test_adversary_live.ByName")
    other = make_log(**QUICK, **POLICY)
    log.append("secret")

    async def story():
        loop = asyncio.get_running_loop()
        admin = Socket(user=Dev("admin", None))
        await admin.live(log=log.name)
        mallory = Socket(user=Dev("mallory", None))
        await mallory.live(log=other.name)
        mallory.say(type="subscribe", id="b", log=log.name)
        await pass_real_time()
        assert mallory.frames("error")[0]["code"] == "forbidden"
        for _ in range(31):
            await loop.pass_time(1)
            await pass_real_time()
        mallory.say(type="subscribe", id="c", log=log.name)
        for _ in range(5):
            await pass_real_time()
        given = mallory.frames("events")
        mallory.task.cancel()
        admin.task.cancel()
        assert not given

    virtual.run(story())


@pytest.mark.django_db
def test_a_key_that_is_revoked(user):
    """B66: DRF's own example of an authentication answers (user, None)."""

    class ApiKey(BaseAuthentication):
        valid = True

        def authenticate(self, request):
            if not ApiKey.valid:
                raise AuthenticationFailed
            return user, None

    request = Request(request_of()._request, authenticators=[ApiKey()])
    assert request.user == user
    ApiKey.valid = False
    with pytest.raises(AuthenticationFailed):
        eventsource.renewed(request)


def test_a_check_that_fails_for_ever_lets_everybody_stay(make_log, monkeypatch):
    """B66: nobody can say that he may read, and he reads on, for ever."""
    log = make_log(**QUICK, **POLICY)

    async def story():
        loop = asyncio.get_running_loop()
        socket = Socket(user=SOMEBODY)
        await socket.live(log=log.name)

        def broken(self, user, stream):
            raise RuntimeError("the directory is down")

        monkeypatch.setattr(Anybody, "can_read", broken)
        for _ in range(600):
            await loop.pass_time(1)
            if loop.ahead % 30 < 1:
                await pass_real_time()
        log.append("secret")
        await pass_real_time()
        given = socket.frames("events")
        socket.task.cancel()
        assert not given

    virtual.run(story())


def test_a_check_that_fails_once_ends_no_response(make_log, monkeypatch):
    """A database that is away for a second at the time of a check: the WebSocket goes on, the
    response breaks off, and an EventSource that comes back to a 500 never comes again."""
    log = make_log(**QUICK, **POLICY, STREAM_MAX_SECONDS=1000)

    async def story():
        loop = asyncio.get_running_loop()
        reader = await reading(log, request_of(SOMEBODY))
        can_read = Anybody.can_read

        def broken(self, user, stream):
            monkeypatch.setattr(Anybody, "can_read", can_read)
            raise RuntimeError("the database is away")

        monkeypatch.setattr(Anybody, "can_read", broken)
        for _ in range(35):
            await loop.pass_time(1)
            await pass_real_time()
        done = reader.task.done()
        reader.task.cancel()
        assert not done, reader.task.exception()

    virtual.run(story())


# Following


async def test_a_poll_whose_look_is_late(log, monkeypatch):
    """B8: the cursor goes back to 0, and the client is given the whole log again."""
    log.append_many([("n", {})] * 5)
    query = log.query(5)
    found = log.backend.read(query)
    read = MemoryBackend.read

    def slow(self, query):
        time.sleep(0.3)
        return read(self, query)

    monkeypatch.setattr(MemoryBackend, "read", slow)
    late = await Wait(log, query, found, 0.1).in_loop()
    assert (late.cursor, late.state.epoch) == (5, found.state.epoch)


async def test_earliest_is_never_a_gap(make_log):
    """Contract: "`earliest` starts at the first resident entry and is never a gap". What expires
    between the look at the log and the first read of it is told as lost."""
    clock = ManualClock()
    log = make_log(**{**QUICK, "TTL": 100}, OPTIONS={"clock": clock})
    for _ in range(5):
        log.append("n")
        clock.advance(10)
    async with follow(log.backend, log.query()) as tail:
        first = await tail.next(1)
        assert first.gap is None
        assert first.cursor == 0
        clock.advance(60)  # the first two expire before the first read
        batch = await tail.next(1)
        assert batch.gap is None
        assert [entry.position for entry in batch.entries]


async def test_earliest_of_a_busy_log_for_real(make_log):
    """The same, with nothing arranged: a busy log with a short TTL."""
    log = make_log(**{**QUICK, "TTL": 0.5})
    stop = threading.Event()

    def write():
        while not stop.is_set():
            log.append("n")
            time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    await asyncio.sleep(1)
    failed = []
    try:
        for _ in range(50):
            entries = log.tail()
            try:
                async with asyncio.timeout(5):
                    await anext(entries)
            except Exception as error:
                failed.append(error)
            await entries.aclose()
    finally:
        stop.set()
        await asyncio.to_thread(writer.join)
    assert not failed, f"{len(failed)} of 50: {failed[0]!r}"


async def test_an_extract_outlives_everybody(log, monkeypatch):
    """B32: a read that was being retried when its reader left, and the broker after it, is retried
    for ever, in a thread that is closed."""
    monkeypatch.setattr(live, "LINGER", 0.1)
    monkeypatch.setattr("events.live.backoff.MAX_BACKOFF", 0.5)
    log.append_many([("n", {})] * 3)
    read = MemoryBackend.read
    broken = True

    def failing(self, query):
        if query.limit and broken and query.since == 0:
            raise RuntimeError("the database is away")
        return read(self, query)

    monkeypatch.setattr(MemoryBackend, "read", failing)
    async with follow(log.backend, log.query(0)) as tail:
        await tail.next(1)
        waiting = asyncio.ensure_future(tail.next(5))
        await asyncio.sleep(0.1)
        broker = tail.broker
        assert broker.extracts
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not broker.extracts
    async with asyncio.timeout(5):
        await asyncio.gather(broker.task)


def test_a_loop_that_has_ended_is_forgotten(make_log):
    """A Celery task, a command, or a synchronous view that tails: each leaves its loop, its broker
    and its window behind, for ever, and every emit looks at all of them."""
    log = make_log(**QUICK)
    log.append("n")
    loops = weakref.WeakSet()

    async def one():
        loops.add(asyncio.get_running_loop())
        entries = log.tail()
        await anext(entries)
        await entries.aclose()

    before = len(live._brokers)
    for _ in range(10):
        asyncio.run(one())
    gc.collect()
    # The last one may still be on its way out.
    assert len(loops) <= 1
    assert len(live._brokers) == before


async def test_a_look_while_a_tail_begins(log, monkeypatch):
    """B13: a log that is made anew while `_begin` asks about its stream: a cursor of the old one
    with the turn of the new one, so what it has up to there is never given."""
    from events.backends import memory

    log.append_many(
        [
            (
                "n",
                {},
            )
        ]
        * 1
    )
    log.append_many([{"kind": "n", "stream": "s"}] * 20)
    log.clear()  # the floor is the head, 21
    async with follow(log.backend, log.query("latest")) as other:
        await other.next(1)
        tail_query = log.query(3, stream="s")
        broker = broker_for(log.backend)
        async with follow(log.backend, tail_query) as tail:
            look, made = broker.look, []

            async def look_late():
                if len(made) == 1:
                    memory.forget(log.name)  # flushed: another epoch, from 1 on
                    log.append_many([{"kind": "n", "stream": "s"}] * 5)
                made.append(1)
                await look()

            monkeypatch.setattr(broker, "look", look_late)
            found = []
            while (batch := await tail.next(0.5)) is not None:
                found.append(batch)
            gaps = [batch.gap.reason for batch in found if batch.gap]
            positions = [entry.position for batch in found for entry in batch.entries]
            assert "epoch" in gaps
            assert positions == [1, 2, 3, 4, 5]


async def test_a_read_that_is_shared_with_an_older_one(log, monkeypatch):
    """B13: a reader shares a read that began before the log was made anew, and takes it for one of
    the new log: what that has up to there is never given."""
    from events.backends import memory

    log.append_many([("old", {})] * 20)
    read = MemoryBackend.read
    gate, there = threading.Event(), threading.Event()

    def slow(self, query):
        found = read(self, query)
        if query.limit and query.since == 15 and not there.is_set():
            there.set()
            gate.wait(5)
        return found

    monkeypatch.setattr(MemoryBackend, "read", slow)
    async with follow(log.backend, log.query(15)) as one, follow(log.backend, log.query(15)) as two:
        await one.next(1)
        await two.next(1)
        first = asyncio.ensure_future(one.next(5))
        await asyncio.to_thread(there.wait, 5)
        memory.forget(log.name)
        log.append_many([("new", {})] * 10)
        broker = broker_for(log.backend)
        while not broker.turn:
            await asyncio.sleep(0.01)
        second = asyncio.ensure_future(two.next(5))
        await asyncio.sleep(0.05)
        gate.set()
        await first
        found = [await second]
        while (batch := await two.next(0.5)) is not None:
            found.append(batch)
        kinds = [entry.row.kind for batch in found for entry in batch.entries]
        assert kinds.count("new") == 10, kinds


async def test_a_poll_in_a_change_of_epoch(log, monkeypatch):
    """B13: an old cursor with the new epoch: the client comes back with both, and is told of nothing."""
    log.append_many([("old", {})] * 20)
    query = log.query(20)
    found = log.backend.read(query)
    async with follow(log.backend, query) as other:
        while not (await other.next(1)).live:
            pass
        read = MemoryBackend.read

        def slow(self, query):
            if (query.limit and query.limit != live.LOOK) or (query.since == 20 and renewed):
                time.sleep(0.2)
            return read(self, query)

        renewed = []
        wait = asyncio.ensure_future(Wait(log, query, found, 0.4).in_loop())
        await asyncio.sleep(0.2)
        old = log.info().epoch
        extract = live.Broker._read_extract

        def late(self, query):
            time.sleep(1)
            return extract(self, query)

        monkeypatch.setattr(live.Broker, "_read_extract", late)
        log.renew_epoch()
        late_answer = await wait
        assert late_answer.gap or late_answer.state.epoch == old, late_answer


async def test_a_stream_that_was_made_anew_before_we_came(log):
    """B62: deleted and made anew, and then somebody begins: he is told that it is deleted."""
    log.append("old", stream="s")
    async with follow(log.backend, log.query(stream="s")) as one:
        while not (await one.next(1)).live:
            pass
        log.stream("s").delete()
        log.append("new", stream="s")
        async with follow(log.backend, log.query(0, stream="s")) as two:
            found = []
            while (batch := await two.next(0.5)) is not None:
                found.append(batch)
        assert [batch.end for batch in found if batch.end] == []


async def test_no_spin(make_log, monkeypatch):
    """A stream whose last event is beyond the head (a partial restore) makes the broker read as
    fast as it can, for as long as somebody follows it."""
    from dataclasses import replace

    log = make_log(**QUICK)
    log.append("n", stream="s")
    log.backend.ledger.streams["s"] = replace(log.backend.ledger.streams["s"], last_position=99)
    looks = []
    look = live.Broker._look
    monkeypatch.setattr(live.Broker, "_look", lambda *args: looks.append(1) or look(*args))
    async with follow(log.backend, log.query(stream="s")) as tail:
        await tail.next(0.5)
        await tail.next(0.5)
        await tail.next(0.5)
        await tail.next(0.5)
    assert len(looks) < 100, len(looks)


def test_kinds_are_counted_whatever_they_come_in(make_log):
    """A dictionary of kinds passes by the limit of 100."""
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
    """A client that does not read, asks, and has its own words sent back: 5 seconds of it."""
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
    """B46: one writer waits in `take()` of one subscription: no event of the others, no pong, no
    heartbeat, and nobody is too slow either, for as long as that takes."""
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


def test_gzip(log, rf, monkeypatch):
    """Django's GZipMiddleware makes a gzip member of every chunk, and browsers (Chromium), curl and
    httpx read the first one only: the connection is open, and no event ever comes."""
    from django.http import StreamingHttpResponse
    from django.middleware.gzip import GZipMiddleware

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": f"log={log.name}".encode(),
    }
    scope["headers"] = [(b"accept-encoding", b"gzip")]
    scope["asgi"] = {"spec_version": "2.3"}
    from django.core.handlers.asgi import ASGIRequest

    monkeypatch.setattr(sse.LiveView, "must_read", lambda *args: None)
    monkeypatch.setattr(sse.LiveView, "authentication_classes", ())
    http = ASGIRequest(scope, None)
    response = GZipMiddleware(lambda request: sse.LiveView.as_view()(request))(http)
    assert isinstance(response, StreamingHttpResponse)
    assert response.headers.get("Content-Encoding") != "gzip"


def test_deep_ids(make_log):
    """An id that can be read and not be written ends in a traceback and 1011."""
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


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_child_tells_no_loop_of_its_parent(make_log):
    """A worker that is forked from a server and emits would remember every hint for ever."""
    log = make_log(BACKEND="memory")
    ready = asyncio.get_running_loop()._ready
    async with follow(log.backend, log.query()) as tail:
        await tail.next()
        if (pid := os.fork()) == 0:
            signal.alarm(10)
            before, told = len(ready), 99
            try:
                log.append("n")
                log.append("n")
                told = len(ready) - before
            finally:
                os._exit(told)
        assert os.waitpid(pid, 0)[1] == 0


class TestTheEndOfAStream:
    """Whoever comes back at it is sent away for good, if it was of this log that they had read it."""

    @pytest.fixture
    def ended(self, make_log):
        log = make_log(BACKEND="memory")
        log.append_many([("n", {})] * 3)
        with log.stream("run"):
            pass
        log.append_many([("n", {})] * 3)
        return log

    @pytest.fixture
    def status(self, ended, monkeypatch):
        monkeypatch.setattr(sse.StreamLiveView, "authentication_classes", ())
        monkeypatch.setattr(sse.StreamLiveView, "must_read", lambda *args: None)

        def status(headers=(), **params):
            query = urlencode({"log": ended.name, **params}).encode()
            scope = {"type": "http", "method": "GET", "path": "/", "query_string": query}
            http = ASGIRequest({**scope, "headers": headers}, None)
            return sse.StreamLiveView.as_view()(http, name="run").status_code

        return status

    def test_with_a_cursor_of_this_log(self, ended, status):
        """B49"""
        assert status(since=5) == 204
        assert status(since=8, epoch=ended.info().epoch) == 204
        assert status([(b"last-event-id", b"5")]) == 204

    def test_with_a_cursor_whose_events_are_pruned(self, ended, status):
        """B49: of this stream nothing is missing."""
        ended.prune(max_entries=1)
        assert status(since=5) == 204

    def test_with_a_cursor_of_another_epoch(self, ended, status):
        """B13: after a restore the stream may have come to another end, at any position."""
        epoch = ended.info().epoch
        ended.renew_epoch()
        assert status(since=8, epoch=epoch) == 200

    def test_with_a_cursor_beyond_the_head(self, status):
        """B4: it is of another log, and told so."""
        assert status(since=500) == 200
        assert status([(b"last-event-id", b"500")]) == 200
