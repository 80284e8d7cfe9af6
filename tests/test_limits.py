"""What one user may have open, however it is opened, and however it ends."""

import asyncio
import contextlib
import gc
import io
import json
from types import SimpleNamespace

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.test import AsyncClient, RequestFactory
from django.urls import path

from events import limits
from events.api.sending import OpenResponse
from events.limits import CONNECTIONS, Held, TooMany, hold, public_address, whose
from events.policy import DefaultPolicy
from events.websocket import clocks

from .support import virtual
from .support.connections import SOMEBODY, Anybody, Socket, pass_real_time, until
from .support.http_client import API
from .support.live_clients import event_stream, socket
from .support.sites import scratch_site
from .test_stalled import FILL, stalled, wait_until_begun

BOUND = 3
LOG = {"MAX_CONNECTIONS": BOUND, "MAX_SUBSCRIPTIONS": 4, "SEND_TIMEOUT": 20}
QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}


class ByHeader(DefaultPolicy):
    """Behind a proxy that says who asks."""

    def count_as(self, user, request):
        return request.headers.get("X-Tenant")


class TestWhose:
    def test_a_user_wherever_from(self):
        """One who is signed in counts by the account, from any address."""
        user = SimpleNamespace(is_authenticated=True, pk=7)
        for address in ("198.51.100.7", "127.0.0.1"):
            request = RequestFactory().get("/", REMOTE_ADDR=address)
            assert whose(DefaultPolicy(), user, request) == ("user", 7)

    @pytest.mark.parametrize("user", [AnonymousUser(), None])
    def test_nobody_counts_by_address(self, user):
        request = RequestFactory().get("/", REMOTE_ADDR="198.51.100.7")
        assert whose(DefaultPolicy(), user, request) == ("address", "198.51.100.7")

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.9", "169.254.1.1"),
            *("::1", "fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1", "", "unix:", "x"),
        ],
    )
    def test_a_proxy_counts_for_nobody(self, address):
        """Behind one address there are many people."""
        assert public_address(address) is None

    def test_a_client_has_all_addresses_of_its_network(self):
        """Of IPv6 everybody has 2⁶⁴, of IPv4 one, however it is written."""
        assert public_address("2001:db8:0:1::1") == public_address("2001:db8:0:1:ffff::2")
        assert public_address("2001:db8:0:1::1") != public_address("2001:db8:0:2::1")
        assert public_address("::ffff:198.51.100.7") == public_address("198.51.100.7")
        assert public_address("198.51.100.7") != public_address("198.51.100.8")

    def test_a_policy_says_it(self):
        request = RequestFactory().get("/", headers={"X-Tenant": "red"})
        assert whose(ByHeader(), AnonymousUser(), request) == "red"
        assert whose(ByHeader(), AnonymousUser(), RequestFactory().get("/")) is None


class TestHold:
    def test_so_many_and_no_more(self):
        ours = [hold("things", "a", 2) for _ in range(2)]
        with pytest.raises(TooMany, match="At most 2 things"):
            hold("things", "a", 2)
        with hold("things", "b", 2), hold("others", "a", 2):
            pass
        ours[0].release()
        ours[0].release()
        with hold("things", "a", 2), pytest.raises(TooMany):
            hold("things", "a", 2)
        ours[1].release()
        gc.collect()
        assert not limits._open

    @pytest.mark.parametrize(("who", "bound"), [(None, 1), ("a", None)])
    def test_without_a_limit(self, who, bound):
        """Nobody is counted whom nothing bounds."""
        ours = [hold("things", who, bound) for _ in range(1000)]
        assert len(ours) == 1000
        assert not limits._open

    def test_what_is_forgotten_does_not_count(self):
        """A response that is dropped on its way out is never closed."""
        ours = hold("things", "a", 1)
        del ours
        gc.collect()
        hold("things", "a", 1).release()
        assert not limits._open

    def test_one_that_was_never_counted(self):
        Held().release()


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(request, tmp_path_factory):
    """A site on which nobody may have much open."""
    folder = tmp_path_factory.mktemp("site")
    with scratch_site("sqlite", folder, SITE_EVENTS=json.dumps(LOG)) as site:
        site.manage("shell", "-v0", "-c", FILL)
        ours, others = ({"sessionid": site.sign_in(name)} for name in ("all", "other"))
        with site.serve(request.param) as (_, address):
            yield SimpleNamespace(name=request.param, at=(address, ours), other=(address, others))


def client(at):
    return httpx.AsyncClient(base_url=at[0], cookies=at[1], timeout=40)


async def head(http):
    return (await http.get(API + "head/")).json()["head"]


@contextlib.asynccontextmanager
async def waiting(*at):
    """A request that waits for an event which does not come."""
    async with client(at) as http:
        since = await head(http)
        poll = asyncio.ensure_future(http.get(API, params={"since": since, "wait": 25}))
        yield poll
        poll.cancel()
        await asyncio.wait([poll])


@contextlib.asynccontextmanager
async def download(at, path):
    with stalled(at[0], path, at[1]) as connection:
        await asyncio.to_thread(wait_until_begun, [connection])
        yield


OPEN = {
    "a WebSocket": socket,
    # From the head: daphne's end after 8 MiB.
    "Server-Sent Events": lambda *at: event_stream(*at, since="latest"),
    "a poll that waits": waiting,
    "an export that nobody reads": lambda *at: download(at, "?format=ndjson"),
    "a page that nobody reads": lambda *at: download(at, "?since=0&limit=1000"),
}


async def refusals(at):
    """What each way to open a connection is answered: None where it would have been opened."""
    async with client(at) as http:
        since = await head(http)
        poll = await http.get(API, params={"since": since, "wait": 1})
        async with http.stream("GET", API + "live/") as stream:
            answers = [poll, stream]
    async with socket(*at, "?since=latest") as ws:
        # One that may stay says so.
        code = None if (await first(ws)) else await ws.closed()
    return [one.status_code for one in answers] + [code], answers


async def first(ws):
    with contextlib.suppress(Exception):
        return await ws.frame()


async def until_open(at):
    """Until somebody may open a connection again, by every way."""
    for _ in range(200):
        if (await refusals(at))[0] == [200, 200, None]:
            return
        await asyncio.sleep(0.05)
    pytest.fail("somebody who has nothing open is refused")


@pytest.mark.parametrize("way", OPEN)
async def test_one_user_has_so_many_connections(server, way):
    """Beyond it every way to open one is refused, to this user, until one of them has ended."""
    if server.name == "daphne" and "nobody reads" in way:
        pytest.skip("daphne takes all of a response at once, and does not tell when it was read.")
    await until_open(server.at)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(BOUND):
            await stack.enter_async_context(OPEN[way](*server.at))
        await settled(server.at)
        codes, answers = await refusals(server.at)
        assert codes == [429, 429, 4429]
        assert {answer.headers["Retry-After"] for answer in answers} == {"15"}
        assert (await refusals(server.other))[0] == [200, 200, None]
        async with client(server.at) as http:
            assert (await http.get(API, params={"limit": 1})).status_code == 200
            assert (await http.head(API + "live/")).status_code == 200
    await until_open(server.at)


async def settled(at):
    """A poll says nothing when it has begun to wait."""
    for _ in range(100):
        if (await refusals(at))[0] == [429, 429, 4429]:
            return
        await asyncio.sleep(0.05)


async def test_a_user_has_so_many_subscriptions(server):
    """On all sockets together; beyond it a frame says so, or the close of one that wanted it."""
    async with socket(*server.at) as one, socket(*server.at) as two:
        await one.subscribe("a", since="latest")
        await one.subscribe("b", since="latest")
        await two.subscribe("c", since="latest")
        await two.subscribe("d", since="latest")
        await two.send("subscribe", id="e", since="latest")
        assert (await two.until("error"))[-1]["code"] == "too_many"
        async with socket(*server.at, "?since=latest") as three:
            assert await three.closed() == 4429
        await two.send("unsubscribe", id="d")
        await two.until("unsubscribed")
        await two.subscribe("e", since="latest")
    await until_open(server.at)


def answer_in_pieces(request):
    """A response as an export is one; of a request whose view says that it goes wrong, it does."""

    async def pieces():
        yield b"a"
        if "fail" in request.GET:
            raise RuntimeError("the database is away")
        yield b"b"

    return OpenResponse(pieces(), hold("things", "a", 1), 0.2)


urlpatterns = [path("", answer_in_pieces)]


class TestResponses:
    """What is open is let go, wherever its end comes from."""

    @pytest.fixture
    def serve(self, settings, monkeypatch):
        async def read_body(self, receive):
            return io.BytesIO()

        # Its own is left open where an answer cannot be sent.
        monkeypatch.setattr(ASGIHandler, "read_body", read_body)
        settings.ROOT_URLCONF = __name__
        settings.MIDDLEWARE = []
        settings.ALLOWED_HOSTS = ["*"]

        async def serve(send, query=b""):
            scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
            scope["query_string"] = query
            async with asyncio.timeout(10):
                await ASGIHandler()(scope, asyncio.Future, send)

        yield serve
        assert not limits._open

    async def test_to_its_end(self, serve):
        """It counts until the client was told of the end."""
        counted = []

        async def send(message):
            counted.append(len(limits._open))

        await serve(send)
        assert counted == [1, 1, 1, 1]

    @pytest.mark.parametrize("taken", range(4))
    async def test_a_client_that_takes_no_more(self, serve, taken):
        """Of the headers, of a piece, or of the end; the headers alone fit into any buffer."""
        sent = []

        async def send(message):
            if len(sent) > taken:
                await asyncio.Future()
            sent.append(message)

        await serve(send)
        assert len(sent) == min(4, taken + 1)

    @pytest.mark.parametrize("taken", range(4))
    async def test_a_server_that_fails(self, serve, taken):
        sent = []

        async def send(message):
            if len(sent) == taken:
                raise OSError("gone")
            sent.append(message)

        with contextlib.suppress(OSError):
            await serve(send)
        assert len(sent) == taken
        # At the end, what waits for the client to take it is forgotten only after its time.
        await until(lambda: [gc.collect()] and not limits._open)

    async def test_a_body_that_fails(self, serve):
        async def send(message):
            pass

        with contextlib.suppress(RuntimeError):
            await serve(send, b"fail=1")
        gc.collect()


@pytest.mark.django_db(transaction=True)
async def test_an_append_is_answered_whatever_is_open(settings):
    """A large answer is streamed; who was refused it would append once more."""
    settings.EVENTS = {"default": {"MAX_CONNECTIONS": 1}}
    user = await User.objects.acreate_superuser("writer")
    client = AsyncClient()
    await client.aforce_login(user)
    events = [{"kind": "n", "payload": {"text": "x" * 1000}}] * 100
    with hold(CONNECTIONS, ("user", user.pk), 1):
        answer = await client.post(API, json.dumps(events), content_type="application/json")
        assert answer.status_code == 201
        assert (await client.get(API)).status_code == 429
    assert (await client.get(API)).status_code == 200
    await sync_to_async(connections.close_all)()


class TestInOneProcess:
    @pytest.fixture
    def log(self, make_log, monkeypatch):
        monkeypatch.setattr(Anybody, "answer", True)
        return make_log(**QUICK, POLICY="tests.support.connections.Anybody")

    @pytest.mark.parametrize(("user", "code"), [(None, 4401), (SOMEBODY, 4408)])
    def test_a_socket_that_never_subscribes_is_closed(self, log, user, code):
        """Fifteen seconds after it was opened, whatever it says meanwhile."""

        async def story():
            loop = asyncio.get_running_loop()
            silent, loud, refused, reader = (Socket(user=user) for _ in range(4))
            await reader.live(log=log.name)
            refused.say(type="subscribe", id="a", log="nope")
            await pass_real_time()
            await loop.pass_time(clocks.SUBSCRIBE_WITHIN - 1)
            loud.say(type="ping")
            await pass_real_time()
            assert [one.code for one in (silent, loud, refused, reader)] == [None] * 4
            await loop.pass_time(2)
            await pass_real_time()
            assert [one.code for one in (silent, loud, refused, reader)] == [code] * 3 + [None]
            reader.say(type="unsubscribe", id="a")
            await pass_real_time()
            await loop.pass_time(clocks.SUBSCRIBE_WITHIN + 1)
            assert reader.code is None

        virtual.run(story())

    async def test_a_socket_that_is_cut_off_is_let_go(self, log):
        """Also one whose subscription is only about to begin."""
        user = SimpleNamespace(is_authenticated=True, pk=7)
        for subscribed in (True, False):
            one = Socket(user=user)
            one.say(type="subscribe", id="a", log=log.name)
            await until(lambda one=one, all=subscribed: one.frames("live") if all else one.sent)
            assert (CONNECTIONS, ("user", 7)) in limits._open
            one.task.cancel()
            await asyncio.wait([one.task])
            assert not limits._open
