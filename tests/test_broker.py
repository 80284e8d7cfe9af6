"""A broker that ends although somebody follows: it is logged, and works again."""

import asyncio
import logging
import threading
from contextlib import AsyncExitStack

import pytest

from events.backends.memory import MemoryBackend
from events.live import broker as live
from events.live import window as windows
from events.live.tail import follow

from .support.connections import next_batch

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 60}


@pytest.fixture
def log(make_log):
    return make_log(**QUICK)


@pytest.fixture
async def tails(log):
    """Three that follow the log, and are live."""
    async with AsyncExitStack() as stack:
        queries = [log.query(), log.query(kind="n"), log.query(stream="s")]
        tails = [await stack.enter_async_context(follow(log.backend, q)) for q in queries]
        for tail in tails:
            while not tail.live:
                await next_batch(tail, 5)
        yield tails


async def cancel(tails, monkeypatch):
    """The task is ended from outside."""
    tails[0].broker.task.cancel()


async def cancel_twice(tails, monkeypatch):
    """The task that goes on in place of another is ended as well, before it has begun."""
    broker = tails[0].broker
    first = broker.task
    first.cancel()
    while broker.task is None or broker.task is first:
        await asyncio.sleep(0)
    broker.task.cancel()


async def fail(tails, monkeypatch):
    """What was read cannot be taken in."""
    seal = windows.seal

    def failing(row):
        if row.position == 2:
            monkeypatch.setattr(windows, "seal", seal)
            raise ZeroDivisionError
        return seal(row)

    monkeypatch.setattr(windows, "seal", failing)


@pytest.mark.parametrize("end", [cancel, cancel_twice, fail])
async def test_a_broker_that_ends_works_again(log, tails, monkeypatch, caplog, end):
    """Everybody is served within a second, misses nothing, and an ERROR line tells why."""
    await end(tails, monkeypatch)
    log.append_many([{"kind": "n", "stream": "s"}] * 3)
    async with asyncio.timeout(1):
        for tail in tails:
            found = []
            while len(found) < 3:
                found += [entry.position for entry in (await next_batch(tail)).entries]
            assert found == [1, 2, 3]
    lines = 2 if end is cancel_twice else 1
    assert [one.levelname for one in caplog.records] == ["ERROR"] * lines
    assert "begins again" in caplog.text
    assert all(tail.broker is tails[0].broker for tail in tails)


async def test_who_comes_after_the_end_shares_the_broker(log, tails):
    """There is one broker of a log, and a hint reaches all who follow."""
    tails[0].broker.task.cancel()
    await asyncio.sleep(0)
    async with follow(log.backend, log.query()) as tail:
        assert tail.broker is tails[0].broker
        async with asyncio.timeout(1):
            while not tail.live:
                await next_batch(tail)


async def test_who_waits_for_a_look_gets_it(log, tails):
    """A reader that begins as the broker ends waits no longer for it than the others."""
    broker = tails[0].broker
    looking = asyncio.ensure_future(broker.look())
    while not broker.asking or not broker.hinted.is_set():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    broker.task.cancel()
    async with asyncio.timeout(1):
        await looking


async def test_a_stream_that_it_was_looking_at_is_looked_at_again(log, tails, monkeypatch):
    """Its follower is told that it has ended, and waits for no look at all the streams."""
    looking, gate = threading.Event(), threading.Event()
    find = MemoryBackend.find_streams

    def slow(backend, names):
        looking.set()
        assert gate.wait(5)
        return find(backend, names)

    monkeypatch.setattr(MemoryBackend, "find_streams", slow)
    tail = tails[2]
    log.stream("s").complete()
    assert await asyncio.to_thread(looking.wait, 5)
    tail.broker.task.cancel()
    gate.set()
    async with asyncio.timeout(1):
        while not tail.ended:
            await anext(tail)


def test_a_loop_that_ends_starts_nothing(make_log, caplog):
    """All tasks are ended together: nothing is revived, and nothing of the broker stays."""
    log = make_log(**QUICK)

    async def leave():
        async def read():
            async for _ in log.tail():
                pass

        reading = asyncio.ensure_future(read())
        while not (brokers := live.here(live._brokers)) or not brokers[log.name].looked:
            await asyncio.sleep(0.001)
        return reading, brokers[log.name]

    with caplog.at_level(logging.WARNING):
        _, broker = asyncio.run(leave())
    assert broker.task is None or broker.task.done()
    assert caplog.text == ""
