"""The broker: one reader of a log for all that wait in an event loop."""

import asyncio
import logging

import pytest

from events.backends.memory import MemoryBackend
from events.cursors import Query, State
from events.live import broker as live
from events.live.broker import Broker, broker_for

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.01}


@pytest.fixture
def log(make_log):
    return make_log(**QUICK)


@pytest.fixture
def new_broker(log):
    """A broker that has seen the log as it is now."""

    def new(log=log):
        info = log.info()
        return Broker(log, State(info.head, info.floor, info.epoch))

    return new


def waiting(broker, log, cursor=0, seconds=5, **query):
    limit = query.pop("limit", 100)
    return asyncio.ensure_future(
        broker.wait(Query(limit=limit, **query), cursor, log.info().epoch, seconds)
    )


async def test_a_waiter_is_told_what_comes(log, new_broker):
    """B31, B38: all that matches, from its cursor on."""
    waiter = waiting(new_broker(), log)
    await asyncio.sleep(0)
    log.append_many([("a", {}), ("b", {})])
    found = await waiter
    assert [row.position for row in found.rows] == [1, 2]
    assert (found.cursor, found.state.head) == (2, 2)


async def test_what_came_before_the_broker_looked_is_not_missed(log, new_broker):
    """B38: an event between the caller's read and the broker's first look."""
    broker = new_broker()
    log.append("a")
    assert [row.position for row in (await waiting(broker, log)).rows] == [1]


async def test_a_late_waiter_is_answered_from_the_window(log, new_broker, monkeypatch):
    """B38: what the broker has read already is not read again."""
    broker = new_broker()
    first = waiting(broker, log)
    await asyncio.sleep(0)
    log.append("a", stream="s")
    await first
    reads = []
    read = MemoryBackend.read
    monkeypatch.setattr(
        MemoryBackend, "read", lambda self, query: (reads.append(query.since), read(self, query))[1]
    )
    assert [row.position for row in (await waiting(broker, log, stream="s")).rows] == [1]
    assert 0 not in reads


async def test_a_thousand_waiters_cost_one_reader(log, new_broker, monkeypatch):
    """B31: what is new is read once, however many wait for it."""
    broker = new_broker()
    waiters = [waiting(broker, log) for _ in range(1000)]
    await asyncio.sleep(0)
    rows = []
    read = MemoryBackend.read

    def spy(backend, query):
        found = read(backend, query)
        rows.extend(found.rows)
        return found

    monkeypatch.setattr(MemoryBackend, "read", spy)
    log.append("a")
    results = await asyncio.gather(*waiters)
    assert {result.rows[0].position for result in results} == {1}
    assert len(rows) == 1


async def test_a_filter_is_kept_to(log, new_broker):
    """B31, B11: an event wakes nobody who does not want it."""
    broker = new_broker()
    stream = waiting(broker, log, stream="s")
    kind = waiting(broker, log, exact=("wanted",))
    prefix = waiting(broker, log, prefixes=("a.",))
    await asyncio.sleep(0)
    log.append("unwanted", stream="t")
    log.append("n", stream="s")
    assert [row.position for row in (await stream).rows] == [2]
    assert not kind.done()
    log.append("a.b")
    log.append("wanted")
    assert [row.kind for row in (await kind).rows] == ["wanted"]
    assert [row.kind for row in (await prefix).rows] == ["a.b"]


async def test_a_limit_is_kept_to(log, new_broker):
    """B2: and the cursor stays behind what was not told."""
    waiter = waiting(new_broker(), log, limit=2)
    await asyncio.sleep(0)
    log.append_many([("n", {})] * 5)
    found = await waiter
    assert ([row.position for row in found.rows], found.cursor) == ([1, 2], 2)


async def test_in_vain_the_cursor_moves_on(log, new_broker):
    """B11: past what did not match."""
    waiter = waiting(new_broker(), log, seconds=0.2, exact=("wanted",))
    await asyncio.sleep(0)
    log.append("unwanted")
    found = await waiter
    assert (found.rows, found.cursor) == ([], 1)


async def test_who_leaves_is_forgotten(log, new_broker):
    """B32, B51"""
    broker = new_broker()
    waiter = waiting(broker, log, stream="s")
    await asyncio.sleep(0)
    assert broker.waiters
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert not broker.waiters


async def test_it_stops_when_nobody_waits(log, new_broker, monkeypatch):
    """B51: no task is left, and the next waiter starts another."""
    monkeypatch.setattr(live, "LINGER", 0.02)
    broker = new_broker()
    await waiting(broker, log, seconds=0.01)
    await asyncio.wait_for(broker.task, 5)
    waiter = waiting(broker, log)
    await asyncio.sleep(0)
    log.append("a")
    assert len((await waiter).rows) == 1


async def test_behind_the_window_the_log_is_asked(make_log, new_broker):
    """B34: a window is bounded, and what it has dropped is not guessed."""
    log = make_log(**QUICK, WINDOW=3)
    broker = new_broker(log)
    first = waiting(broker, log)
    await asyncio.sleep(0)
    log.append_many([("n", {})] * 5)
    assert await first is None
    assert await waiting(broker, log, cursor=1) is None
    assert [row.position for row in (await waiting(broker, log, cursor=2)).rows] == [3, 4, 5]


async def test_the_window_is_bounded_in_bytes(make_log, new_broker, monkeypatch):
    """B34"""
    monkeypatch.setattr(live, "WINDOW_BYTES", 100)
    log = make_log(**QUICK)
    broker = new_broker(log)
    waiter = waiting(broker, log)
    await asyncio.sleep(0)
    log.append_many([("n", {"text": "x" * 30})] * 10)
    await waiter
    assert len(broker.window) == 2
    assert broker.size == sum(len(row.text) for row in broker.window) <= 100


async def test_another_epoch_sends_everybody_to_the_log(log, new_broker):
    """B13: the window is dropped."""
    broker = new_broker()
    waiter = waiting(broker, log)
    await asyncio.sleep(0)
    log.renew_epoch()
    assert await waiter is None
    assert not broker.window


async def test_a_waiter_of_another_epoch(log, new_broker):
    """B13: is told at once."""
    broker = new_broker()
    assert await asyncio.wait_for(broker.wait(Query(), 0, "other", 5), 1) is None


async def test_errors_are_retried_and_logged_once(log, new_broker, monkeypatch, caplog):
    """B37: a database that is down costs time, no reader."""
    broker = new_broker()
    failures = []
    read = MemoryBackend.read

    def fail(backend, query):
        if len(failures) < 3:
            failures.append(1)
            raise OSError("down")
        return read(backend, query)

    monkeypatch.setattr(MemoryBackend, "read", fail)
    waiter = waiting(broker, log)
    await asyncio.sleep(0)
    log.append("a")
    assert len((await waiter).rows) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_hint_makes_it_look_at_once(make_log):
    """B36: in this process nobody waits for the interval."""
    log = make_log(**{**QUICK, "POLL_INTERVAL": 60})
    info = log.info()
    broker = broker_for(log, State(info.head, info.floor, info.epoch))
    waiter = waiting(broker, log, seconds=30)
    await asyncio.sleep(0.05)
    await asyncio.to_thread(log.append, "a")
    assert len((await asyncio.wait_for(waiter, 5)).rows) == 1


async def test_one_broker_a_log(log, make_log):
    """B31: callers in one loop share it."""
    info = log.info()
    state = State(info.head, info.floor, info.epoch)
    waiter = asyncio.ensure_future(broker_for(log, state).wait(Query(), 0, info.epoch, 5))
    await asyncio.sleep(0)
    assert broker_for(log, state) is broker_for(log, state)
    assert broker_for(make_log(**QUICK), state) is not broker_for(log, state)
    log.append("a")
    await waiter
