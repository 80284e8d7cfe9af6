"""Long-polling on real servers: an answer at once, and nothing held while it waits."""

import asyncio
import re
import time
import uuid
from pathlib import Path

import httpx
import psycopg
import pytest

from .support.servers import wait_until
from .support.sites import PAIRS, scratch_site

API = "/api/events/"


@pytest.fixture(scope="module", params=PAIRS)
def pair(request):
    """A database and a server: each twice would tell no more, and take twice the time."""
    return request.param


@pytest.fixture(scope="module")
def site(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with scratch_site(pair[0], folder, EVENTS_MAX_CONNECTIONS="1000") as site:
        yield site


@pytest.fixture(scope="module")
def server(pair, site):
    cookie = site.sign_in()
    with site.serve(pair[1]) as (process, address):
        yield site, process, address, {"sessionid": cookie}


@pytest.fixture
async def http(server):
    _, _, address, cookies = server
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=address, cookies=cookies, timeout=40, limits=limits
    ) as client:
        yield client


async def head(http):
    return int((await http.get(API, params={"since": "latest"})).headers["X-Events-Head"])


async def emit(site, *arguments):
    await asyncio.to_thread(site.manage, "emit_event", *arguments)


def threads(process):
    return int(re.search(r"Threads:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])


async def test_an_event_of_another_process_is_told_at_once(server, http):
    """B36: within the poll interval and some."""
    site, *_ = server
    since = await head(http)
    poll = asyncio.ensure_future(http.get(API, params={"since": since, "wait": 20}))
    await emit(site, "told", "--payload", '{"n": 1}')
    done = time.monotonic()
    answer = await poll
    assert time.monotonic() - done < 1
    assert [entry["kind"] for entry in answer.json()["results"]] == ["told"]
    assert answer.json()["cursor"] == since + 1
    assert answer.headers["X-Events-Last-Idx"] == str(since + 1)
    assert answer.json()["next"] is None


async def test_what_is_there_is_told_without_waiting(server, http):
    """B1: a wait is for those who have caught up."""
    site, *_ = server
    await emit(site, "there")
    began = time.monotonic()
    answer = await http.get(API, params={"since": await head(http) - 1, "wait": 20})
    assert len(answer.json()["results"]) == 1
    assert time.monotonic() - began < 5


async def test_in_vain(server, http):
    """B8: after the wait an empty answer, with its cursor."""
    since = await head(http)
    began = time.monotonic()
    answer = await http.get(API, params={"since": since, "wait": 1})
    assert 0.9 < time.monotonic() - began < 5
    assert answer.status_code == 200
    assert answer.json() == {"results": [], "cursor": since, "next": None, "gap": None}


async def test_a_quiet_filter_still_moves_the_cursor(server, http):
    """B11: what did not match need not be looked at again."""
    site, *_ = server
    since = await head(http)
    poll = asyncio.ensure_future(
        http.get(API, params={"since": since, "wait": 4, "kind": "wanted"})
    )
    await emit(site, "unwanted")
    answer = await poll
    assert answer.json()["results"] == []
    assert answer.json()["cursor"] == since + 1


async def test_only_the_stream_that_was_asked_for(server, http):
    """B31: and a stream that is not there yet is waited for."""
    site, *_ = server
    since = await head(http)
    name = f"s-{uuid.uuid4().hex}"
    poll = asyncio.ensure_future(http.get(API, params={"since": since, "wait": 20, "stream": name}))
    await emit(site, "n", "--stream", "somebody-elses")
    await emit(site, "n", "--stream", name)
    assert [entry["stream"] for entry in (await poll).json()["results"]] == [name]


async def test_many_cost_no_threads_and_no_connections(server, http):
    """B31, B51: three hundred wait, one event answers them all."""
    site, process, *_ = server
    since = await head(http)
    idle = threads(process)
    polls = []

    def settled():
        return not any(poll.done() for poll in polls) and threads(process) <= idle + 10

    # By twenties: while it signs somebody in, Django has a thread and a connection for each.
    while len(polls) < 300:
        polls += [
            asyncio.ensure_future(http.get(API, params={"since": since, "wait": 30}))
            for _ in range(10)
        ]
        await asyncio.sleep(0)
        await asyncio.to_thread(wait_until, settled)
    # What a database is asked while all of them wait, and from how many connections.
    if "postgres" in site.environment["DATABASE_URL"]:
        with psycopg.connect(site.environment["DATABASE_URL"], autocommit=True) as database:
            sessions = database.execute(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchone()[0]
        assert sessions < 20
    await emit(site, "all")
    answers = await asyncio.gather(*polls)
    assert {answer.status_code for answer in answers} == {200}
    assert {tuple(e["kind"] for e in answer.json()["results"]) for answer in answers} == {("all",)}


async def test_who_goes_away_leaves_nothing_behind(server, http):
    """B51: no thread, and the next one is answered."""
    site, process, address, cookies = server
    since = await head(http)
    idle = threads(process)
    async with httpx.AsyncClient(base_url=address, cookies=cookies) as leaving:
        for _ in range(30):
            with pytest.raises(httpx.ReadTimeout):
                await leaving.get(API, params={"since": since, "wait": 30}, timeout=0.1)
    await asyncio.to_thread(wait_until, lambda: threads(process) <= idle + 10)
    poll = asyncio.ensure_future(http.get(API, params={"since": since, "wait": 20}))
    await emit(site, "after")
    assert (await poll).json()["cursor"] == since + 1


async def test_ndjson_from_a_server(server, http):
    """B3: streamed, whole, and with its headers."""
    site, *_ = server
    await asyncio.to_thread(
        site.manage,
        "shell",
        "-v0",
        "-c",
        "from events import emit_many; emit_many([('n', {'n': n}) for n in range(2500)])",
    )
    until = await head(http)
    answer = await http.get(API, params={"format": "ndjson"})
    lines = answer.text.splitlines()
    assert len(lines) == until
    assert answer.headers["X-Events-Last-Idx"] == str(until)
