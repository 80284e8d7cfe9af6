"""Following a log: replay and live without a seam, from one reader in the process."""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
import weakref
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import TestCase

from events import emit, logs
from events.backends import memory
from events.backends.memory import MemoryBackend
from events.exceptions import CursorExpired
from events.live import broker as live
from events.live import window as windows
from events.live.broker import broker_for
from events.live.tail import follow
from events.models import Stream
from events.testing import ManualClock
from events.types import Row, Status

from .support.connections import next_batch

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.01}
PATIENCE = 5


@pytest.fixture
def log(make_log):
    return make_log(**QUICK)


@pytest.fixture
async def tail():
    """Follow a log until the test ends."""
    async with AsyncExitStack() as stack:

        async def tail(log, since="earliest", epoch=None, **filters):
            return await stack.enter_async_context(
                follow(log.backend, log.query(since, epoch=epoch, **filters))
            )

        yield tail


async def batches(tail, until):
    """What comes, until one satisfies the condition."""
    found = []
    async with asyncio.timeout(PATIENCE):
        while not (found and until(found[-1])):
            found.append(await anext(tail))
    return found


async def live_at(tail):
    return (await batches(tail, lambda batch: batch.live))[-1].cursor


async def positions(tail, count):
    """The positions of the next entries, `count` of them."""
    found = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += [entry.position for entry in (await anext(tail)).entries]
    return found


@pytest.fixture
def reads(monkeypatch):
    """The queries that a memory log is asked for entries with."""
    asked = []
    read = MemoryBackend.read

    def spy(backend, query):
        if query.limit:
            asked.append(query)
        return read(backend, query)

    monkeypatch.setattr(MemoryBackend, "read", spy)
    return asked


# What a reader is given


async def test_it_begins_where_it_was_told(log, tail):
    """B42: the first batch says where, then come the entries, then that it is live."""
    log.append_many([("a", {}), ("b", {}), ("c", {})])
    found = await batches(await tail(log, 1), lambda batch: batch.live)
    assert [(b.cursor, [e.position for e in b.entries], b.live) for b in found] == [
        (1, [], False),
        (3, [2, 3], False),
        (3, [], True),
    ]


async def test_it_follows_what_comes(log, tail):
    """B31, B38: from the end of what is there on, in order."""
    log.append("a")
    reader = await tail(log)
    assert await live_at(reader) == 1
    for _ in range(3):
        await asyncio.to_thread(log.append, "b")
    assert await positions(reader, 3) == [2, 3, 4]


async def test_latest_begins_behind_what_is_there(log, tail):
    """B38: also behind what the broker has not heard of."""
    await live_at(await tail(log))
    log.append("before")
    reader = await tail(log, "latest")
    assert (await anext(reader)).cursor == 1
    log.append("after")
    assert await positions(reader, 1) == [2]


@pytest.mark.parametrize("window", [1, 1000])
async def test_the_last(make_log, tail, window):
    """It begins before the newest so many, from the log or from the window, and follows."""
    log = make_log(**QUICK, WINDOW=window)
    log.append_many([{"kind": "n", "stream": name} for name in "abab"])
    reader = await tail(log, last=1, stream=["a", "c"])
    found = await batches(reader, lambda batch: batch.live)
    assert [
        (b.cursor, [e.position for e in b.entries]) for b in found if b.entries or not b.live
    ] == [
        (2, []),
        (found[1].cursor, [3]),
    ]
    await asyncio.to_thread(log.append, "n", stream="c")
    assert await positions(reader, 1) == [5]
    late = await tail(log, last=3)
    assert (await anext(late)).cursor == 2
    assert await positions(late, 3) == [3, 4, 5]


async def test_the_last_of_nothing(log, tail):
    """Who finds nothing begins at the head, is live at once, and is given what comes."""
    log.append_many([("n", {})] * 3)
    reader = await tail(log, last=5, stream="nobody")
    assert await live_at(reader) == 3
    await asyncio.to_thread(log.append, "n", stream="nobody")
    assert await positions(reader, 1) == [4]


async def test_the_last_while_others_prune(make_log, tail, monkeypatch):
    """What is pruned before it could be given is no gap for who has been given nothing."""
    log = make_log(**QUICK, WINDOW=1)
    log.append_many([("n", {})] * 9)
    reader = await tail(log, last=5)
    assert (await anext(reader)).cursor == 4
    log.prune(max_entries=2)
    batch = await anext(reader)
    assert (batch.gap, [entry.position for entry in batch.entries]) == (None, [8, 9])


async def test_the_last_of_a_stream_that_has_ended(log, tail):
    """They are given, and then its end."""
    log.stream("s").open()
    log.append_many([{"kind": "n", "stream": "s"}] * 3)
    log.stream("s").complete()
    reader = await tail(log, last=2, stream="s")
    found = await batches(reader, lambda batch: batch.end)
    assert [entry.position for batch in found for entry in batch.entries] == [4, 5]


async def test_joining_while_others_write(make_log, tail):
    """B38: every reader gets everything after its cursor, once and in order."""
    log = make_log(**{**QUICK, "WINDOW": 20})
    until = 600

    async def write():
        for n in range(until):
            log.append("n", {"n": n}, stream=f"s{n % 3}")
            await asyncio.sleep(0)

    async def join(delay, since):
        await asyncio.sleep(delay)
        since = min(since, log.info().head)
        return since, await positions(await tail(log, since), until - since)

    joins = [join(n * 0.004, n * 10) for n in range(30)]
    *found, _ = await asyncio.gather(*joins, write())
    for since, got in found:
        assert got == list(range(since + 1, until + 1))


async def test_a_filter_is_kept_to(log, tail):
    """B31, B11: by stream, by kind and by prefix."""
    stream = await tail(log, stream="s")
    kind = await tail(log, kind="wanted")
    prefix = await tail(log, kind="a.*")
    for reader in (stream, kind, prefix):
        await live_at(reader)
    log.append("unwanted", stream="t")
    log.append("n", stream="s")
    log.append("a.b")
    log.append("wanted")
    assert await positions(stream, 1) == [2]
    assert await positions(kind, 1) == [4]
    assert await positions(prefix, 1) == [3]


async def test_the_bookmark_passes_what_does_not_match(log, tail):
    """B11: a quiet reader comes back with where the log was looked at, not where it was quiet."""
    everything = await tail(log)
    reader = await tail(log, kind="wanted")
    await live_at(reader)
    log.append_many([("unwanted", {})] * 5)
    await positions(everything, 5)
    assert (reader.cursor, reader.bookmark) == (0, 5)


async def test_the_bookmark_does_not_pass_what_was_not_given(log, tail):
    """B38: what is there, but has not been taken, is not behind it."""
    everything = await tail(log)
    reader = await tail(log)
    await live_at(reader)
    log.append("a")
    await positions(everything, 1)
    assert reader.bookmark == 0


# Falling behind


async def test_a_slow_reader_goes_on_from_the_log(make_log, tail):
    """B34: what the window has let go is read again; nothing is lost, and nobody waits."""
    log = make_log(**QUICK, WINDOW=3)
    slow, fast = await tail(log), await tail(log)
    await live_at(slow), await live_at(fast)
    for n in range(1, 31):
        log.append("n")
        assert await positions(fast, 1) == [n]
    assert await positions(slow, 30) == list(range(1, 31))
    log.append("n")
    assert await positions(slow, 1) == [31]


async def test_a_quiet_stream_needs_no_second_look(make_log, tail, reads):
    """B34: what others wrote in the meantime puts nobody behind."""
    log = make_log(**QUICK, WINDOW=3)
    everything, quiet = await tail(log), await tail(log, stream="quiet")
    await live_at(everything), await live_at(quiet)
    log.append_many([("n", {})] * 20)
    await positions(everything, 20)
    del reads[:]
    log.append("n", stream="quiet")
    assert await positions(quiet, 1) == [21]
    assert not [query for query in reads if query.stream]


async def test_the_window_is_bounded_in_bytes(log, tail, monkeypatch):
    """B34"""
    monkeypatch.setattr(windows, "WINDOW_BYTES", 400)
    reader = await tail(log)
    await live_at(reader)
    log.append_many([("n", {"text": "ä" * 30})] * 10)
    assert await positions(reader, 10) == list(range(1, 11))
    window = reader.broker.window
    assert 0 < window.size == sum(len(e.text.encode()) for e in window.entries) <= 400


async def test_a_batch_is_bounded_in_bytes(log, tail, monkeypatch):
    """B34: from the log as from the window; one entry comes whatever its size."""
    monkeypatch.setattr(windows, "BATCH_BYTES", 500)
    monkeypatch.setattr("events.live.tail.BATCH_BYTES", 500)
    log.append_many([("n", {"text": "x" * 200})] * 9)
    log.append("n", {"text": "x" * 2000})
    reader = await tail(log)
    found = await batches(reader, lambda batch: batch.live)
    log.append_many([("n", {"text": "x" * 200})] * 9)
    found += await batches(reader, lambda batch: batch.cursor == 19)
    entries = [batch.entries for batch in found if batch.entries]
    assert [e.position for some in entries for e in some] == list(range(1, 20))
    assert all(len(some) == 1 or sum(e.size for e in some) <= 500 for some in entries)


async def test_a_rare_kind_in_a_long_log(make_log, tail):
    """B11: found, however many positions lie between."""
    log = make_log(**QUICK, MAX_PAGE_SIZE=5)
    log.append_many([("n", {})] * 500)
    log.append("wanted")
    assert await positions(await tail(log, kind="wanted"), 1) == [501]


async def test_those_who_return_together_share_what_is_read(make_log, tail, reads):
    """B34: fifty who missed the same cost a handful of reads."""
    log = make_log(**QUICK, WINDOW=5)
    log.append_many([("n", {})] * 900)
    await live_at(await tail(log, "latest"))
    del reads[:]
    readers = [await tail(log, 100) for _ in range(50)]
    found = await asyncio.gather(*(positions(reader, 800) for reader in readers))
    assert all(got == list(range(101, 901)) for got in found)
    assert len([query for query in reads if query.since in (100, 600)]) <= 6


async def test_those_who_missed_little_cost_no_page(log, tail, reads):
    """B34: the window answers, after one look for all who come together."""
    keeper = await tail(log, "latest")
    await live_at(keeper)
    log.append_many([("n", {})] * 50)
    await positions(keeper, 50)
    del reads[:]
    readers = [await tail(log, 10) for _ in range(50)]
    for found in await asyncio.gather(*(positions(reader, 40) for reader in readers)):
        assert found == list(range(11, 51))
    # The last look of another test's broker may still be on its way.
    own = [query.since for query in reads if query.epoch == keeper.epoch]
    assert set(own) <= {50}
    assert len(own) < 5


async def test_a_thousand_cost_one_read(log, tail, reads):
    """B31: what is new is read once, and encoded once, however many follow."""
    readers = [await tail(log, "latest") for _ in range(1000)]
    await asyncio.gather(*map(live_at, readers))
    del reads[:]
    log.append("a")
    found = [(await anext(reader)).entries[0] for reader in readers]
    assert len({id(entry) for entry in found}) == 1
    assert len([query for query in reads if query.since == 0]) == 1


# Gaps


async def test_a_gap_at_the_beginning(log, tail):
    """B12: the first batch says what is lost; then comes what is left."""
    log.append_many([("n", {})] * 10)
    log.prune(max_entries=4)
    found = await batches(await tail(log, 2), lambda batch: batch.live)
    assert found[0].gap.to_dict() == {
        "reason": "pruned",
        "requested": 2,
        "first_available": 7,
        "lost": 4,
    }
    assert [e.position for batch in found for e in batch.entries] == [7, 8, 9, 10]


async def test_a_gap_in_the_middle(make_log, tail):
    """B12: a reader that retention overtakes is told so, exactly."""
    log = make_log(**QUICK, WINDOW=3)
    reader = await tail(log)
    await live_at(reader)
    log.append_many([("n", {})] * 20)
    log.prune(max_entries=8)
    found = await batches(reader, lambda batch: batch.entries)
    gap = next(batch.gap for batch in found if batch.gap)
    assert (gap.reason, gap.requested, gap.lost) == ("pruned", 0, 12)
    assert [e.position for e in found[-1].entries] == list(range(13, 21))


async def test_what_has_expired_is_not_given_from_the_window(make_log, tail):
    """B17: also to one who comes back soon."""
    now = [1_800_000_000.0]
    log = make_log(**{**QUICK, "TTL": 10}, OPTIONS={"clock": lambda: now[0]})
    keeper = await tail(log)
    await live_at(keeper)
    log.append_many([("n", {})] * 3)
    await positions(keeper, 3)
    now[0] += 100
    log.append("n")
    await positions(keeper, 1)
    found = await batches(await tail(log, 1), lambda batch: batch.live)
    assert [e.position for batch in found for e in batch.entries] == [4]
    assert [batch.gap.lost for batch in found if batch.gap] == [2]


async def test_what_expires_before_it_is_taken_is_a_gap(make_log, tail):
    """B12, B17: for a reader that was slow, though the window still has it."""
    now = [1_800_000_000.0]
    log = make_log(**{**QUICK, "TTL": 10}, OPTIONS={"clock": lambda: now[0]})
    keeper, slow = await tail(log), await tail(log)
    await live_at(keeper), await live_at(slow)
    log.append_many([("n", {})] * 3)
    await positions(keeper, 3)
    now[0] += 100
    log.append("n")
    await positions(keeper, 1)
    found = await batches(slow, lambda batch: batch.cursor == 4)
    assert [e.position for batch in found for e in batch.entries] == [4]
    assert [batch.gap.lost for batch in found if batch.gap] == [3]


async def test_who_is_at_the_head_has_no_gap(make_log, tail):
    """B12: retention that has passed nothing unseen is nobody's loss."""
    log = make_log(**QUICK)
    everything, quiet = await tail(log), await tail(log, kind="wanted")
    await live_at(everything), await live_at(quiet)
    log.append_many([("n", {})] * 9)
    await positions(everything, 9)
    log.clear()
    await everything.broker.look()
    log.append("wanted")
    for reader in (everything, quiet):
        found = await batches(reader, lambda batch: batch.entries)
        assert not [batch for batch in found if batch.gap]


async def test_a_stream_that_lost_nothing_has_no_gap(log, tail):
    """B63: what was pruned was others'."""
    log.append("n", stream="old")
    log.append_many([("n", {})] * 10)
    log.append("n", stream="young")
    log.prune(max_entries=1)
    old = await anext(await tail(log, 0, stream="old"))
    young = await anext(await tail(log, 0, stream="young"))
    seen = await anext(await tail(log, 1, stream="old"))
    assert (bool(old.gap), bool(young.gap), bool(seen.gap)) == (True, False, False)


async def test_a_cursor_of_another_epoch(log, tail):
    """B13"""
    log.append("n")
    first = await anext(await tail(log, 1, epoch="other"))
    assert (first.gap.reason, first.cursor) == ("epoch", 0)


async def test_an_epoch_that_changes_meanwhile(log, tail):
    """B13: everybody is told, and starts again."""
    reader, other = await tail(log), await tail(log, stream="s")
    await live_at(reader), await live_at(other)
    log.append("n", stream="s")
    await positions(reader, 1), await positions(other, 1)
    log.renew_epoch()
    for told in (reader, other):
        found = await batches(told, lambda batch: batch.gap)
        assert found[-1].gap.reason == "epoch"
        assert [e.position for e in found[-1].entries] == [1]
    log.append("n")
    assert await positions(reader, 1) == [2]


async def test_an_epoch_that_the_broker_has_not_heard_of(make_log, tail):
    """B13: whoever has read on in the new log is not given what the window has of the old one."""
    name = "made-anew"
    log = make_log(**{**QUICK, "WINDOW": 3, "POLL_INTERVAL": 30}, name=name)
    await live_at(await tail(log))
    log.append_many([("old", {})] * 10)
    reader = await tail(log, 0)
    await anext(reader)
    broker = broker_for(log.backend)
    assert broker.window.first == 8
    broker.hinted.set = lambda: None
    memory.forget(name)
    log.append_many([("new", {})] * 8)
    found = await batches(reader, lambda batch: batch.cursor == 8)
    assert {entry.row.kind for batch in found for entry in batch.entries} == {"new"}
    coming = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.05)
    assert not coming.done() or not coming.result().entries
    coming.cancel()


async def test_a_gap_with_nothing_behind_it(make_log, tail):
    """B12: everything is gone before it could be given, and that is said."""
    log = make_log(**{**QUICK, "WINDOW": 2})
    log.append_many([("a", {})] * 10)
    reader = await tail(log, 3)
    await anext(reader)
    log.clear()
    found = await batches(reader, lambda batch: batch.live)
    assert [batch.gap.lost for batch in found if batch.gap] == [7]


async def test_more_than_one_look_can_hold(make_log, tail):
    """B31: one hint is enough for all of it, long before the next poll."""
    log = make_log(**{**QUICK, "POLL_INTERVAL": 30})
    reader = await tail(log)
    await live_at(reader)
    log.append_many([("a", {})] * (3 * live.LOOK))
    assert await positions(reader, 3 * live.LOOK) == list(range(1, 3 * live.LOOK + 1))


async def test_live_is_who_has_been_given_all_that_there_was(log, tail, monkeypatch):
    """B38: also when the broker needs several looks for it."""
    await live_at(await tail(log))
    monkeypatch.setattr(live, "LOOK", 2)
    log.append_many([("n", {})] * 40)
    assert await live_at(await tail(log, "earliest")) == 40


async def test_ahead_of_the_head(log, tail):
    """B4"""
    log.append("n")
    first = await anext(await tail(log, 9))
    assert (first.gap.reason, first.cursor) == ("ahead", 1)


# Streams


@pytest.fixture(params=["memory", "default", "postgres", "mariadb"])
def stored(request, make_log):
    if request.param == "memory":
        return make_log(**QUICK)
    return make_log(request.param, POLL_INTERVAL=0.05)


def close(log, name, status=Status.COMPLETED):
    """End a stream behind everybody's back."""
    if log.settings.backend.endswith("MemoryBackend"):
        streams = log.backend.ledger.streams

        streams[name] = replace(streams[name], status=status)
    else:
        Stream.objects.using(log.backend.alias).filter(name=name).update(status=status)


async def in_thread(function, *arguments, **options):
    """As another thread of the process would, with its own connection."""

    def run():
        try:
            return function(*arguments, **options)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


@pytest.mark.django_db(transaction=True, databases="__all__")
async def test_it_ends_with_its_stream(stored, tail, monkeypatch):
    """B61, B49: found in the state of the stream, when no hint and no event tells of it."""
    monkeypatch.setattr(live, "RECONCILE", 0.05)
    await in_thread(stored.append_many, [{"kind": "n", "stream": "s"}])
    reader = await tail(stored, stream="s")
    deaf = await tail(stored, stream="s", kind="other")
    await live_at(reader), await live_at(deaf)
    await in_thread(close, stored, "s")
    for told in (reader, deaf):
        last = (await batches(told, lambda batch: batch.end))[-1]
        assert (last.end, last.cursor) == ("completed", 1)
        assert await next_batch(told) is None


@pytest.mark.django_db(transaction=True, databases="__all__")
async def test_one_that_has_ended_is_replayed_first(stored, tail):
    """B49: all of it, then the end, and nothing is waited for."""
    await in_thread(stored.append_many, [{"kind": "n", "stream": "s"}] * 3)
    await in_thread(close, stored, "s", Status.FAILED)
    found = await batches(await tail(stored, stream="s"), lambda batch: batch.end)
    assert [e.position for batch in found for e in batch.entries] == [1, 2, 3]
    assert found[-1].end == "failed"
    assert not [batch for batch in found if batch.live]


@pytest.mark.django_db(transaction=True, databases="__all__")
async def test_one_that_does_not_exist_yet_is_waited_for(stored, tail):
    """B62"""
    reader = await tail(stored, stream="s")
    await live_at(reader)
    await in_thread(stored.append, "n", stream="s")
    assert await positions(reader, 1) == [1]


@pytest.mark.django_db(transaction=True, databases="__all__")
async def test_one_that_is_deleted(stored, tail):
    """B61, B63: the followers are told; to others the holes are no gap."""
    await in_thread(stored.append_many, [{"kind": "n", "stream": "s"}, {"kind": "n"}] * 2)
    reader, everything = await tail(stored, stream="s"), await tail(stored)
    await live_at(reader), await live_at(everything)
    await in_thread(stored.stream("s").delete)
    assert (await batches(reader, lambda batch: batch.end))[-1].end == "deleted"
    assert await positions(everything, 1) == [5]
    found = await batches(await tail(stored, 0), lambda batch: batch.live)
    assert [e.position for batch in found for e in batch.entries] == [2, 4, 5]
    assert not [batch for batch in found if batch.gap]


async def test_the_end_waits_for_the_last_event(log, tail, monkeypatch):
    """B48: the state of the stream may be known before all of its events are read."""
    monkeypatch.setattr(live, "LOOK", 3)
    monkeypatch.setattr(live, "RECONCILE", -1)
    log.append("n", stream="s")
    reader, deaf = await tail(log, stream="s"), await tail(log, stream="s", kind="other")
    await live_at(reader), await live_at(deaf)
    log.append_many([("n", {})] * 10)
    log.append("last", stream="s")
    close(log, "s")
    found = await batches(reader, lambda batch: batch.end)
    assert [e.row.kind for batch in found for e in batch.entries] == ["last"]
    assert (await batches(deaf, lambda batch: batch.end))[-1].cursor >= 12


async def test_what_was_deleted_is_not_given_from_the_window(log, tail):
    """B63: also to one who comes back soon."""
    keeper = await tail(log)
    await live_at(keeper)
    log.append("n", stream="s")
    log.append("n")
    await positions(keeper, 2)
    log.stream("s").delete()
    await positions(keeper, 1)
    assert await positions(await tail(log, 0), 2) == [2, 3]


@pytest.mark.django_db(transaction=True, databases="__all__")
async def test_one_that_is_deleted_and_made_anew(stored, tail):
    """B61: the old one has ended; the new one is another."""
    await in_thread(stored.append, "old", stream="s")
    reader = await tail(stored, stream="s")
    await live_at(reader)
    await in_thread(stored.stream("s").delete)
    await in_thread(stored.append, "new", stream="s")
    assert (await batches(reader, lambda batch: batch.end))[-1].end == "deleted"
    assert await positions(await tail(stored, stream="s"), 1) == [3]


async def test_one_that_is_made_anew_between_two_looks(log, tail):
    """B61: the follower is told, though none of the new one's events is for it."""
    log.append("old", stream="s")
    reader = await tail(log, stream="s", kind="old")
    await live_at(reader)
    log.stream("s").delete()
    log.append("new", stream="s")
    assert (await batches(reader, lambda batch: batch.end))[-1].end == "deleted"


async def test_one_that_is_gone_before_it_was_seen(log, tail, monkeypatch):
    """B61: who was given an event of it has met it."""
    monkeypatch.setattr(MemoryBackend, "find_streams", lambda backend, names: {})
    reader = await tail(log, stream="s")
    await live_at(reader)
    log.append("n", stream="s")
    assert await positions(reader, 1) == [1]
    log.stream("s").delete()
    assert (await batches(reader, lambda batch: batch.end))[-1].end == "deleted"


async def test_one_that_is_found_only_when_it_is_made_anew(log, tail, monkeypatch):
    """B61: who was given an event of the first one is told, though the broker met the second only."""
    known = {}
    find = MemoryBackend.find_streams
    monkeypatch.setattr(MemoryBackend, "find_streams", lambda backend, names: known)
    reader = await tail(log, stream="s", kind="old")
    await live_at(reader)
    log.append("old", stream="s")
    assert await positions(reader, 1) == [1]
    # How the stream stands is read after its events, and may be of later.
    [info] = find(log.backend, ["s"]).values()
    known["s"] = replace(info, first_position=4, last_position=4)
    log.append("other", stream="s")
    assert await next_batch(reader, 0.1) is None
    log.stream("s").delete()
    log.append("new", stream="s")
    assert (await batches(reader, lambda batch: batch.end))[-1].end == "deleted"


async def test_one_of_a_log_made_anew_was_never_deleted(make_log, tail):
    """B61, B63: what the old log said about position 6 is nothing to a stream of the new one."""
    log = make_log(**QUICK, name="made-anew-streams")
    log.append_many([{"kind": "n", "stream": "s"}] * 5)
    old = await tail(log, stream="s")
    await live_at(old)
    log.stream("s").delete()
    await batches(old, lambda batch: batch.end)
    memory.forget(log.name)
    log.append("n", stream="s")
    reader = await tail(log, stream="s")
    found = await batches(reader, lambda batch: batch.live or batch.end)
    assert [e.position for batch in found for e in batch.entries] == [1]
    assert not found[-1].end


async def test_a_deletion_that_the_new_log_knows_nothing_of(make_log, tail):
    """B61, B63: whoever has read on in the new log, before the broker, is not told of one in the old."""
    log = make_log(**{**QUICK, "WINDOW": 3, "POLL_INTERVAL": 30}, name="made-anew-deleted")
    log.append_many([{"kind": "n", "stream": "s"}] * 10)
    old = await tail(log, stream="s")
    await live_at(old)
    log.stream("s").delete()
    await batches(old, lambda batch: batch.end)
    reader = await tail(log, 0, stream="s")
    await anext(reader)
    broker_for(log.backend).hinted.set = lambda: None
    memory.forget(log.name)
    log.append("n", stream="s")
    found = await batches(reader, lambda batch: batch.entries)
    assert found[-1].gap.reason == "epoch"
    coming = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.05)
    assert not coming.done() or not coming.result().end
    coming.cancel()


async def test_the_last_of_a_log_made_anew_meanwhile(make_log, tail, monkeypatch):
    """B63: a stream of the new log is not measured by the one of its name that the broker still knows."""
    log = make_log(**{**QUICK, "POLL_INTERVAL": 30}, name="made-anew-last")
    log.append_many([("other", {})] * 3)
    log.append("n", stream="s")
    broker = broker_for(log.backend)
    read = broker.pager.read

    async def read_late(*args):
        monkeypatch.setattr(broker.pager, "read", read)
        memory.forget(log.name)
        log.append("n", stream="s")
        return await read(*args)

    monkeypatch.setattr(broker.pager, "read", read_late)
    reader = await tail(log, last=5, stream="s")
    found = await batches(reader, lambda batch: batch.entries or batch.end)
    assert [entry.position for entry in found[-1].entries] == [1]
    await broker.look()
    log.append("n", stream="s")
    found = await batches(reader, lambda batch: batch.entries or batch.end)
    assert [entry.position for entry in found[-1].entries] == [2]


# The broker


async def test_who_leaves_is_forgotten(log):
    """B32, B51: no topic, no stream, and after a while no task."""
    async with follow(log.backend, log.query(stream="s", kind="k")) as reader:
        await live_at(reader)
        broker = reader.broker
        assert broker.window.topics
        assert broker.streams.followers
    assert not broker.window.topics
    assert not broker.streams.followers
    assert not broker.streams.known
    assert not broker.wakes


async def test_it_stops_when_nobody_follows(log, tail, monkeypatch):
    """B51: and the next follower starts another."""
    monkeypatch.setattr(live, "LINGER", 0.02)
    async with follow(log.backend, log.query()) as reader:
        await live_at(reader)
        task = reader.broker.task
    await asyncio.wait_for(task, PATIENCE)
    log.append("a")
    assert await positions(await tail(log), 1) == [1]


async def test_errors_are_retried_and_logged_once(log, tail, monkeypatch, caplog):
    """B37: a store that is down costs time, no reader."""
    reader = await tail(log)
    await live_at(reader)
    failures = []
    read = MemoryBackend.read

    def fail(backend, query):
        if len(failures) < 3:
            failures.append(1)
            raise OSError("down")
        return read(backend, query)

    monkeypatch.setattr(MemoryBackend, "read", fail)
    log.append("a")
    assert await positions(reader, 1) == [1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_hint_makes_it_look_at_once(make_log, tail):
    """B36: in this process nobody waits for the interval."""
    log = make_log(**{**QUICK, "POLL_INTERVAL": 60})
    reader = await tail(log)
    await live_at(reader)
    await asyncio.to_thread(log.append, "a")
    assert await positions(reader, 1) == [1]


async def test_without_a_hint_it_polls(log, tail, monkeypatch):
    """B35, B36: a hint that is lost costs the interval. Again and again: a look that was due when
    it came to be live would find the first event by itself."""
    monkeypatch.setattr("events.hints.send", lambda log, head: None)
    reader = await tail(log)
    await live_at(reader)
    for position in (1, 2, 3):
        log.append("a")
        assert await positions(reader, 1) == [position]


async def test_hints_for_nothing_change_nothing(log, tail):
    """B35: late, doubled, or of a head that is long past or not there yet."""
    reader = await tail(log)
    await live_at(reader)
    for head in (0, 99, 1, 1):
        live.wake(log.name, head)
        log.append("a")
        live.wake(log.name, head)
    assert await positions(reader, 4) == [1, 2, 3, 4]
    assert await next_batch(reader, 0.05) is None


async def test_one_broker_a_log(log, make_log, tail):
    """B31: followers in one loop share it."""
    reader = await tail(log)
    assert (await tail(log)).broker is reader.broker
    assert broker_for(make_log(**QUICK).backend) is not reader.broker


async def test_a_reader_that_is_interrupted_loses_nothing(log, tail):
    """B34: whoever gives up waiting may ask again."""
    reader = await tail(log)
    found = []
    for n in range(50):
        log.append("n")
        waiting = asyncio.ensure_future(anext(reader))
        for _ in range(n % 4):
            await asyncio.sleep(0)
        if waiting.cancel():
            await asyncio.gather(waiting, return_exceptions=True)
        if not waiting.cancelled():
            found += [e.position for e in waiting.result().entries]
    while len(found) < 50:
        found += await positions(reader, 1)
    assert found == list(range(1, 51))


# `log.tail()`


async def test_an_event_that_comes_as_time_runs_out(make_log):
    """B38: the cursor must not pass what the answer does not hold."""
    log = make_log(BACKEND="memory", POLL_INTERVAL=60)
    async with follow(log.backend, log.query()) as tail:
        while not tail.live:
            await next_batch(tail)
        waiter = asyncio.ensure_future(next_batch(tail, 0.05))
        await asyncio.sleep(0)
        broker = tail.broker
        rows = [Row(1, "n", "", 0, 0, "{}", None)]
        asyncio.get_running_loop().call_later(0.06, broker.window.extend, rows, 1)
        time.sleep(0.1)  # a busy loop: both are due when it goes on
        found = await waiter
        assert (found and found.cursor) or tail.bookmark == 0


async def test_a_new_epoch_is_no_reason_to_read_it_all(make_log):
    """B31: a broker goes on at the head; whoever is behind asks the log itself."""
    log = make_log(BACKEND="memory")
    log.append_many([("n", {})] * 5000)
    async with follow(log.backend, log.query(5000)) as tail:
        while not tail.live:
            await next_batch(tail)
        log.renew_epoch()
        await tail.broker.look()
        assert tail.broker.window.position == 5000
        assert not tail.broker.window.entries


async def test_a_follower_that_fails_to_wake_stops_no_other(log, caplog):
    """B34: the broker goes on, and so do those who come after it."""
    seen = []

    def fail():
        raise ZeroDivisionError

    async with follow(log.backend, log.query("latest"), fail) as broken:
        await broken.take()
        tails = [log.tail("latest") for _ in range(3)]

        async def read(tail):
            async for entry in tail:
                seen.append(entry.position)

        tasks = [asyncio.ensure_future(read(tail)) for tail in tails]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            for number in (3, 6):
                log.append("n")
                while len(seen) < number:
                    await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert "could not be woken" in caplog.text


async def test_earliest_is_never_a_gap(make_log):
    """What expires between the look at the log and the first read of it is not told as lost."""
    clock = ManualClock()
    log = make_log(**{**QUICK, "TTL": 100}, OPTIONS={"clock": clock})
    for _ in range(5):
        log.append("n")
        clock.advance(10)
    async with follow(log.backend, log.query()) as tail:
        first = await next_batch(tail, 1)
        assert first.gap is None
        assert first.cursor == 0
        clock.advance(60)  # the first two expire before the first read
        batch = await next_batch(tail, 1)
        assert batch.gap is None
        assert [entry.position for entry in batch.entries]


async def test_earliest_of_a_busy_log(make_log):
    """It is never a gap, however short the TTL is."""
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


async def test_an_extract_outlives_nobody(log, monkeypatch):
    """B32: a read that was being retried when its reader left is given up, and the broker ends."""
    monkeypatch.setattr(live, "LINGER", 0.1)
    monkeypatch.setattr("events.live.pager.MAX_BACKOFF", 0.5)
    log.append_many([("n", {})] * 3)
    read = MemoryBackend.read
    broken = True

    def failing(self, query):
        if query.limit and broken and query.since == 0:
            raise RuntimeError("the database is away")
        return read(self, query)

    monkeypatch.setattr(MemoryBackend, "read", failing)
    async with follow(log.backend, log.query(0)) as tail:
        await next_batch(tail, 1)
        waiting = asyncio.ensure_future(next_batch(tail, 5))
        await asyncio.sleep(0.1)
        broker = tail.broker
        assert broker.pager.reads
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not broker.pager.reads
    async with asyncio.timeout(5):
        await asyncio.gather(broker.task)


def test_a_loop_that_has_ended_is_forgotten(make_log):
    """A Celery task, a command or a synchronous view that tails leaves no loop and no broker behind."""
    log = make_log(**QUICK)
    log.append("n")
    loops = weakref.WeakSet()

    async def one():
        loops.add(asyncio.get_running_loop())
        entries = log.tail()
        await anext(entries)
        await entries.aclose()

    before = set(live._brokers)
    for _ in range(10):
        asyncio.run(one())
    gc.collect()
    # The last one goes when the next one begins.
    assert len(loops) <= 1
    assert len(set(live._brokers) - before) <= 1


async def test_a_look_while_a_tail_begins(log, monkeypatch):
    """B13: a log that is made anew while a tail asks about its stream is a gap to it, and the tail gets
    all of the new log."""
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
        await next_batch(other, 1)
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
            while (batch := await next_batch(tail, 0.5)) is not None:
                found.append(batch)
            gaps = [batch.gap.reason for batch in found if batch.gap]
            positions = [entry.position for batch in found for entry in batch.entries]
            assert "epoch" in gaps
            assert positions == [1, 2, 3, 4, 5]


async def test_a_read_that_is_shared_with_an_older_one(log, monkeypatch):
    """B13: a read that began before the log was made anew is not taken for one of the new log."""
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
        await next_batch(one, 1)
        await next_batch(two, 1)
        first = asyncio.ensure_future(next_batch(one, 5))
        await asyncio.to_thread(there.wait, 5)
        memory.forget(log.name)
        log.append_many([("new", {})] * 10)
        broker = broker_for(log.backend)
        while not broker.turn:
            await asyncio.sleep(0.01)
        second = asyncio.ensure_future(next_batch(two, 5))
        await asyncio.sleep(0.05)
        gate.set()
        await first
        found = [await second]
        while (batch := await next_batch(two, 0.5)) is not None:
            found.append(batch)
        kinds = [entry.row.kind for batch in found for entry in batch.entries]
        assert kinds.count("new") == 10, kinds


async def test_a_stream_that_was_made_anew_before_we_came(log):
    """B62: whoever begins after a stream was deleted and made anew is not told that it is deleted."""
    log.append("old", stream="s")
    async with follow(log.backend, log.query(stream="s")) as one:
        while not (await next_batch(one, 1)).live:
            pass
        log.stream("s").delete()
        log.append("new", stream="s")
        async with follow(log.backend, log.query(0, stream="s")) as two:
            found = []
            while (batch := await next_batch(two, 0.5)) is not None:
                found.append(batch)
        assert [batch.end for batch in found if batch.end] == []


async def test_a_stream_beyond_the_head_makes_no_spin(make_log, monkeypatch):
    """A stream whose last event is beyond the head (a partial restore) does not make the broker read
    as fast as it can."""
    from dataclasses import replace

    log = make_log(**{**QUICK, "POLL_INTERVAL": 0.05})
    log.append("n", stream="s")
    log.backend.ledger.streams["s"] = replace(log.backend.ledger.streams["s"], last_position=99)
    looks = []
    look = live.Broker._look
    monkeypatch.setattr(live.Broker, "_look", lambda *args: looks.append(1) or look(*args))
    async with follow(log.backend, log.query(stream="s")) as tail:
        await next_batch(tail, 0.5)
        await next_batch(tail, 0.5)
        await next_batch(tail, 0.5)
        await next_batch(tail, 0.5)
    assert len(looks) < 100, len(looks)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_child_tells_no_loop_of_its_parent(make_log):
    """A worker that is forked from a server and emits does not remember every hint for ever."""
    log = make_log(BACKEND="memory")
    ready = asyncio.get_running_loop()._ready
    async with follow(log.backend, log.query()) as tail:
        await next_batch(tail)
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


async def test_tail_gives_entries(log):
    """B42: stored and live ones, as Entry."""
    log.append("a", {"n": 1}, stream="s")
    found = []
    async for entry in log.tail():
        found.append(entry)
        if len(found) == 1:
            log.append("b")
        else:
            break
    assert [(e.position, e.kind, e.payload, e.seq) for e in found] == [
        (1, "a", {"n": 1}, 1),
        (2, "b", {}, None),
    ]


async def test_tail_raises_what_is_lost_or_skips_it(log):
    """B12"""
    log.append_many([("n", {})] * 3)
    log.prune(max_entries=1)
    with pytest.raises(CursorExpired) as caught:
        await anext(log.tail(0))
    assert caught.value.gap.lost == 2
    assert (await anext(log.tail(0, on_gap="skip"))).position == 3


async def test_tail_of_the_last(log):
    """Of a log and of a stream."""
    log.stream("s").open()
    log.append_many([{"kind": "n", "stream": "s"}] * 3)
    log.stream("s").complete()
    assert [entry.seq async for entry in log.stream("s").tail(last=2)] == [4, 5]
    assert [entry.position async for entry in log.tail(stream="s", last=1)] == [5]
    assert [entry.position for entry in log.stream("s").read(last=1).entries] == [5]
    assert [entry.position for entry in (await log.aread(last=1)).entries] == [5]


async def test_tail_of_a_stream_ends(log):
    """B61"""
    log.append("n", stream="s")
    close(log, "s")
    assert [entry.position async for entry in log.stream("s").tail()] == [1]


async def test_what_tail_is_asked_is_checked_at_once(log):
    """B6"""
    with pytest.raises(ValueError, match="since"):
        log.tail(-1)
    with pytest.raises(ValueError, match="on_gap"):
        log.tail(on_gap="ignore")


async def test_a_tail_that_is_left_is_closed(log):
    """B51: with the loop, or by hand."""
    entries = log.tail()
    log.append("n")
    await anext(entries)
    await entries.aclose()
    del entries
    gc.collect()
    assert not broker_for(log.backend).wakes


class InTestCase(TestCase):
    """In a test's transaction, which only the thread of the test can see."""

    async def test_what_was_emitted_in_the_test(self):
        """B38: a tail reads through the test's own connection."""
        await sync_to_async(emit)("n", {"n": 1})
        found = []
        async with asyncio.timeout(PATIENCE):
            async for entry in logs["default"].tail():
                found.append(entry.payload["n"])
                if len(found) == 3:
                    break
                await sync_to_async(emit)("n", {"n": len(found) + 1})
        assert found == [1, 2, 3]
