"""Waking the readers of an event: a crowd of one user's keeps nobody else waiting."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from events.live import waking
from events.live.tail import follow

LOG = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.01}
CROWD = 2_000
# Seconds that it takes to send to one reader.
COST = 0.0002


class Readers:
    def __init__(self, log):
        self.log = log
        self.stack = AsyncExitStack()
        self.woken = []

    async def join(self, who, count, cost=0.0, **filters):
        for _ in range(count):
            query = self.log.query("latest", **filters)

            def wake():
                self.woken.append(who)
                time.sleep(cost)  # what a server does to send

            tail = await self.stack.enter_async_context(follow(self.log.backend, query, wake, who))
        await tail.take()

    async def all_woken(self, count):
        async with asyncio.timeout(10):
            while len(self.woken) < count:
                await asyncio.sleep(0)


@pytest.fixture
async def readers(make_log):
    readers = Readers(make_log(**LOG))
    async with readers.stack:
        yield readers


@pytest.mark.parametrize("crowds_kinds", [None, ["n", "x.*"]])
async def test_a_crowd_comes_after_the_others(readers, crowds_kinds):
    """Whoever reads little is woken first, whatever the crowd reads, and each reader once."""
    await readers.join("crowd", CROWD, kind=crowds_kinds)
    await readers.join("other", 3)
    readers.woken.clear()
    readers.log.append("n")
    await readers.all_woken(CROWD + 3)
    assert readers.woken[:3] == ["other"] * 3
    assert len(readers.woken) == CROWD + 3


async def test_others_hear_of_what_comes_while_a_crowd_is_woken(readers, monkeypatch):
    """The event loop goes on between two turns: the next event reaches the others before the crowd
    has heard of the first."""
    monkeypatch.setattr(waking, "CROWD", 50)
    await readers.join("crowd", CROWD, COST)
    await readers.join("other", 1)
    readers.woken.clear()
    readers.log.append("n")
    await readers.all_woken(1)
    readers.log.append("n")
    async with asyncio.timeout(10):
        while readers.woken.count("other") < 2:
            await asyncio.sleep(0)
    assert readers.woken.count("crowd") < CROWD
    await readers.all_woken(CROWD + 2)


async def test_two_crowds_take_turns(readers, monkeypatch):
    """Neither waits for the end of the other."""
    monkeypatch.setattr(waking, "CROWD", 10)
    await readers.join("one", 30)
    await readers.join("two", 30)
    readers.woken.clear()
    readers.log.append("n")
    await readers.all_woken(60)
    assert readers.woken == (["one"] * 10 + ["two"] * 10) * 3


async def test_a_crowd_that_leaves_meanwhile(readers, monkeypatch):
    """A reader that is gone before its turn is woken in vain, and stops no other."""
    monkeypatch.setattr(waking, "CROWD", 10)
    await readers.join("crowd", 30)
    tail = await readers.stack.enter_async_context(
        follow(readers.log.backend, readers.log.query("latest"), lambda: 1 / 0, "crowd")
    )
    await tail.take()
    readers.woken.clear()
    readers.log.append("n")
    await readers.all_woken(30)
