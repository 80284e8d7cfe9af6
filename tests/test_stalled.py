"""Clients that ask for much and read none of it, beside others who want to be served."""

import asyncio
import contextlib
import json
import socket
import time
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from .support import live_clients
from .support.emitter import emitter
from .support.live_clients import event_stream
from .support.servers import wait_until
from .support.sites import scratch_site

FILL = (
    "from events import logs\n"
    "[logs['default'].append_many([('a', {'text': 'x' * 60_000})] * 100) for _ in range(6)]"
)

# Whole, by pages, and live.
PATHS = ["?format=ndjson", "?since=0&limit=1000", "live/?since=0"]
POOL = 3
STALLED = 6
ENVIRONMENT = {"SITE_POOL": str(POOL), "SITE_EVENTS": json.dumps({"SEND_TIMEOUT": 6})}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A site on PostgreSQL whose pool has fewer connections than there are stalled clients."""
    with scratch_site("postgres", tmp_path_factory.mktemp("site"), **ENVIRONMENT) as site:
        site.manage("shell", "-v0", "-c", FILL)
        cookies = {"sessionid": site.sign_in()}
        with site.serve("uvicorn") as (_, address):
            yield site, address, cookies


def stalled(address, path, cookies):
    """A connection that sends a request, and never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    url = urlsplit(address)
    client.connect((url.hostname, url.port))
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    client.sendall(
        f"GET /api/events/{path} HTTP/1.1\r\nHost: {url.netloc}\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    return client


def wait_until_begun(clients):
    for client in clients:
        client.settimeout(10)
        assert client.recv(1, socket.MSG_PEEK)


@pytest.mark.parametrize("path", ["?format=ndjson", "?since=0&limit=1000"])
async def test_a_download_that_nobody_reads_keeps_nothing_from_the_others(server, path):
    """More stalled downloads than the pool has connections delay neither a read nor a follower."""
    site, address, cookies = server
    with contextlib.ExitStack() as clients:
        other = clients.enter_context(emitter(site))
        await asyncio.to_thread(other.emit)
        waiting = [clients.enter_context(stalled(address, path, cookies)) for _ in range(STALLED)]
        await asyncio.to_thread(wait_until_begun, waiting)
        async with (
            httpx.AsyncClient(base_url=address, cookies=cookies, timeout=5) as http,
            event_stream(address, cookies, since="latest") as stream,
        ):
            began = time.monotonic()
            assert (await http.get("/api/events/head/")).status_code == 200
            await asyncio.to_thread(other.emit)
            await stream.entry()
            assert time.monotonic() - began < 4


async def test_a_response_of_which_nothing_is_taken_ends(server):
    """After SEND_TIMEOUT the server lets go of stalled clients, and what they get is not whole."""
    _, address, cookies = server
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(stalled(address, path, cookies)) for path in PATHS]
        await asyncio.to_thread(wait_until_begun, clients)
        await asyncio.to_thread(wait_until, lambda: held(address)["leaving"] == len(clients))
        for client in clients:
            assert await asyncio.to_thread(rest, client) < 16 * 2**20


async def test_a_pool_without_a_free_connection_stops_no_follower(server):
    """The broker reads through connections of its own: whoever is live stays live, and catches up."""
    site, address, cookies = server
    with emitter(site) as other:
        async with (
            live_clients.socket(address, cookies) as ws,
            httpx.AsyncClient(base_url=address, cookies=cookies, timeout=30) as http,
        ):
            await ws.subscribe(since="latest")
            asking = [http.get("/keep/", params={"seconds": 5}) for _ in range(POOL)]
            keeping = asyncio.gather(*asking)
            await asyncio.to_thread(wait_until_asleep, site.environment["DATABASE_URL"])
            for _ in range(3):
                position = await asyncio.to_thread(other.emit)
                async with asyncio.timeout(1):
                    assert await ws.positions(1) == [position]
            assert not keeping.done()
            await keeping


def wait_until_asleep(url):
    """All connections of the pool are kept."""
    asleep = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state = 'active' AND query LIKE 'SELECT pg_sleep%'"
    )
    with psycopg.connect(url, autocommit=True) as other:
        while other.execute(asleep).fetchone() != (POOL,):
            time.sleep(0.02)


async def test_a_slow_client_goes_on(server):
    """One that takes a page in longer than SEND_TIMEOUT has taken something all the while."""
    _, address, cookies = server
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(stalled(address, path, cookies)) for path in PATHS]
        await asyncio.to_thread(wait_until_begun, clients)
        reading = [asyncio.to_thread(read_slowly, client, 10) for client in clients]
        assert await asyncio.gather(*reading) == [True] * len(clients)


def read_slowly(client, seconds):
    """Half a mebibyte a second; does more come in the end?"""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        taken = 0
        while taken < 2**17:
            if not (piece := client.recv(2**17 - taken)):
                return False
            taken += len(piece)
        time.sleep(0.25)
    return bool(client.recv(1))


@pytest.mark.parametrize("path", ["?format=ndjson", "live/?since=0"])
async def test_who_stalls_again_and_again_has_no_more_sockets(tmp_path, path):
    """A server keeps the socket of a client that reads nothing: it counts until that has gone."""
    bounds = json.dumps({"SEND_TIMEOUT": 0.5, "MAX_CONNECTIONS": 2})
    with scratch_site("sqlite", tmp_path, SITE_EVENTS=bounds) as site:
        site.manage("shell", "-v0", "-c", FILL)
        cookies = {"sessionid": site.sign_in()}
        with site.serve("uvicorn") as (_, address):
            await asyncio.to_thread(never_more_than, 2, address, path, cookies)


def never_more_than(bound, address, path, cookies):
    def status(client):
        client.settimeout(10)
        return int(client.recv(12).split()[1])

    def tasks():
        return held(address)["tasks"]

    idle = tasks()
    first = [stalled(address, path, cookies) for _ in range(bound)]
    assert {status(client) for client in first} == {200}
    # Each has its own, which waits for the client to go, and nothing else.
    wait_until(lambda: tasks() <= idle + bound)
    with stalled(address, path, cookies) as another:
        assert status(another) == 429
    for client in first:
        client.close()
    wait_until(lambda: tasks() <= idle)
    with stalled(address, path, cookies) as another:
        assert status(another) == 200


async def test_a_follower_that_stops_reading_ends(server):
    """Also one that had caught up, to which the broker sends."""
    site, address, cookies = server
    with stalled(address, "live/?since=latest", cookies) as client:
        await asyncio.to_thread(wait_until_begun, [client])
        async with event_stream(address, cookies, since="latest") as stream:
            assert await asyncio.to_thread(followers, address) == 2
            await asyncio.to_thread(site.manage, "shell", "-v0", "-c", FILL)
            await stream.positions(600)
            # After SEND_TIMEOUT, and not when the test ends.
            await asyncio.to_thread(wait_until, lambda: followers(address) == 1)


def followers(address):
    return held(address)["followers"]


def held(address):
    return httpx.get(f"{address}/held/").json()


async def test_daphne_ends_a_download_before_it_has_all_of_it_in_memory(tmp_path):
    """Without backpressure a transfer is broken off, and goes on from its last whole line."""
    small = json.dumps({"PAGE_SIZE": 50, "MAX_PAGE_SIZE": 50})
    with scratch_site("sqlite", tmp_path, SITE_EVENTS=small) as site:
        site.manage("shell", "-v0", "-c", FILL)
        cookies = {"sessionid": site.sign_in()}
        with site.serve("daphne") as (_, address):
            entries, transfers = [], 0
            while len(entries) < 600:
                body = await download(address, cookies, entries[-1]["position"] if entries else 0)
                assert len(body) < 16 * 2**20
                entries += map(json.loads, body[: body.rindex(b"\n")].split(b"\n"))
                transfers += 1
            assert [entry["position"] for entry in entries] == list(range(1, 601))
            assert transfers > 2


async def download(address, cookies, since):
    """As much of an export as the server sends."""
    body = bytearray()
    query = {"format": "ndjson", "since": since}
    async with (
        httpx.AsyncClient(cookies=cookies) as http,
        http.stream("GET", f"{address}/api/events/", params=query) as response,
    ):
        with contextlib.suppress(httpx.RemoteProtocolError):
            async for piece in response.aiter_bytes():
                body += piece
    return bytes(body)


def rest(client):
    """How many bytes come until the connection ends."""
    size = 0
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(2**16):
            size += len(piece)
    return size
