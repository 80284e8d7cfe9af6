"""PostgreSQL carries the hints between processes where no channel layer does."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import psycopg
import pytest

from .support.emitter import emitter
from .support.live_clients import socket
from .support.sites import scratch_site

# Longer than any test waits: what comes sooner was hinted at.
POLL_INTERVAL = 20
LISTENERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN events_appended'"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    environment = {"SITE_EVENTS": json.dumps({"POLL_INTERVAL": POLL_INTERVAL}), "REDIS_URL": ""}
    with scratch_site("postgres", tmp_path_factory.mktemp("site"), **environment) as site:
        yield site


@pytest.fixture(scope="module")
def cookies(site):
    return {"sessionid": site.sign_in()}


@pytest.fixture
def servers(site):
    with site.serve("uvicorn") as (_, first), site.serve("uvicorn") as (_, second):
        yield first, second


@pytest.fixture
def database(site):
    url = site.environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def elsewhere(site):
    with emitter(site) as elsewhere:
        yield elsewhere


async def test_every_server_hears_of_it_at_once(site, cookies, servers, elsewhere, database):
    """On one connection for each of them, however many sockets and however long the polls."""
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(socket(address, cookies))
            for address in servers
            for _ in range(3)
        ]
        for one in sockets:
            await one.subscribe(since="latest")
        for inside in (False, True):
            began = time.monotonic()
            if inside:
                code = "transaction.atomic()(lambda: [emit('n') for _ in range(3)] and 3)()"
                await asyncio.to_thread(
                    elsewhere.do, f"__import__('django.db.transaction').db.{code}"
                )
            else:
                await asyncio.to_thread(elsewhere.emit_many, 3)
            await asyncio.gather(*(one.positions(3) for one in sockets))
            assert time.monotonic() - began < POLL_INTERVAL / 4
        [count] = database.execute(f"SELECT count(*) {LISTENERS}").fetchone()
        assert count == 2


async def test_nothing_is_lost_while_it_is_cut_off(site, cookies, servers, elsewhere, database):
    """Again and again; who listens anew looks at once."""
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(socket(address, cookies)) for address in servers]
        heads = [(await one.subscribe(since="latest"))[-1]["cursor"] for one in sockets]
        began = time.monotonic()
        for number in range(30):
            if number % 5 == 2:
                database.execute(f"SELECT pg_terminate_backend(pid) {LISTENERS}")
            await asyncio.to_thread(elsewhere.emit)
            await asyncio.sleep(0.05)
        for one, head in zip(sockets, heads, strict=True):
            assert await one.positions(30) == [*range(head + 1, head + 31)]
        assert time.monotonic() - began < POLL_INTERVAL


async def test_it_can_be_turned_off(site, cookies, database, monkeypatch):
    """`OPTIONS["notify"] = False`."""
    events = {"POLL_INTERVAL": 0.2, "OPTIONS": {"notify": False}}
    monkeypatch.setitem(site.environment, "SITE_EVENTS", json.dumps(events))
    with site.serve("uvicorn") as (_, address), emitter(site) as elsewhere:
        async with socket(address, cookies) as one:
            await one.subscribe(since="latest")
            await asyncio.to_thread(elsewhere.emit)
            await one.positions(1)
            [count] = database.execute(f"SELECT count(*) {LISTENERS}").fetchone()
            assert count == 0


def test_a_check_says_whether_they_arrive(site):
    """Asked of the database itself, with `check --database`."""
    assert "no issues" in site.manage("check", "--database", "default")
