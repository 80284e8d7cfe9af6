"""One user who asks for as much as the protocol allows, beside others who want to be served."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from .support.live_clients import socket
from .support.sites import scratch_site

EVENTS = 100_000
FILL = f"""
from django.db import connection
from events import logs
logs["default"].read()
with connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload) "
        "SELECT id, n, 'n', '', 0, 1700000000000000 + n, '{{}}' "
        "FROM events_log, generate_series(1, {EVENTS}) AS n"
    )
    cursor.execute("UPDATE events_log SET head = {EVENTS}, latest = 1700000000000000 + {EVENTS}")
    cursor.execute("ANALYZE events_event")
"""
SOCKETS, SUBSCRIPTIONS = 60, 8


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A site with a long log, and the cookies of two who may read it."""
    with scratch_site("postgres", tmp_path_factory.mktemp("site")) as site:
        site.manage("shell", "-v0", "-c", FILL)
        users = [{"sessionid": site.sign_in(name)} for name in ("greedy", "other")]
        with site.serve("uvicorn") as (_, address):
            yield address, *users


async def first_batch(address, cookies):
    """Seconds from a subscription to its first events."""
    async with socket(address, cookies) as ws:
        began = time.monotonic()
        await ws.send("subscribe", id="a", since=0)
        await ws.until("events")
        return time.monotonic() - began


async def test_another_users_catch_up(server):
    """Five hundred replays of a kind that hardly comes delay somebody else's first batch by less than
    half a second."""
    address, greedy, other = server
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(socket(address, greedy)) for _ in range(SOCKETS)]
        for number, ws in enumerate(sockets):
            for subscription in range(SUBSCRIPTIONS):
                kind = f"rare{number}.kind{subscription}"
                await ws.send("subscribe", id=str(subscription), since=0, kind=kind)
            await ws.send("ping")
        await asyncio.gather(*(ws.until("pong") for ws in sockets))
        seconds = [await first_batch(address, other) for _ in range(3)]
        assert min(seconds) < 0.5, seconds
