"""aemit calls that arrive together share one append, and nothing else."""

import asyncio
import contextvars
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError, connections, transaction

from events import coalesce
from events.backends.database.backend import DatabaseBackend
from events.exceptions import EventsError, InvalidEvent, KeyConflict, LogBusy, StreamClosed
from events.models import Stream
from events.validation import Item

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(params=["default", "postgres", "mariadb"])
def alias(request):
    return request.param


@pytest.fixture
def log(make_log, alias):
    return make_log(alias)


@pytest.fixture
def appends(monkeypatch):
    """How many events each append of the backend had."""
    sizes = []
    append = DatabaseBackend.append

    def spy(backend, items):
        sizes.append(len(items))
        return append(backend, items)

    monkeypatch.setattr(DatabaseBackend, "append", spy)
    return sizes


@pytest.fixture(autouse=True)
async def close_connections():
    yield
    await sync_to_async(connections.close_all)()


async def test_calls_that_arrive_together_share_an_append(log, appends):
    """B22: everybody gets an entry of their own, in the order of the calls."""
    entries = await asyncio.gather(*(log.aappend("n", {"n": n}, stream="s") for n in range(100)))
    assert [entry.position for entry in entries] == list(range(1, 101))
    assert [entry.payload["n"] for entry in entries] == list(range(100))
    assert [entry.seq for entry in entries] == list(range(1, 101))
    assert sum(appends) == 100
    assert len(appends) <= 3


async def test_a_batch_is_bounded(log, appends):
    """B34: the lock is not held for any number of callers."""
    await asyncio.gather(*(log.aappend("n") for _ in range(1200)))
    assert max(appends) <= coalesce.BATCH
    assert sum(appends) == 1200


async def test_a_list_stays_together(log, appends):
    """B26: many or none, also among others."""
    results = await asyncio.gather(
        *(log.aappend_many([("n", {"call": n}), ("m", {"call": n})]) for n in range(10))
    )
    for entries in results:
        assert entries[1].position == entries[0].position + 1


async def test_each_caller_hears_of_its_own_mistake(log, alias):
    """B30, B56: the others' events are stored all the same."""
    await log.aappend("n", {"a": 1}, key="k")
    await log.aappend("n", stream="closed")
    await Stream.objects.using(alias).filter(name="closed").aupdate(status="completed")
    results = await asyncio.gather(
        log.aappend("one"),
        log.aappend("n", {"a": 2}, key="k"),
        log.aappend("n", {"a": 1}, key="k"),
        log.aappend("n", stream="closed"),
        log.aappend("Not A Kind"),
        log.aappend("two"),
        return_exceptions=True,
    )
    assert [type(result) for result in results[1::2]] == [
        KeyConflict,
        StreamClosed,
        type(results[0]),
    ]
    assert isinstance(results[4], InvalidEvent)
    assert results[2].position == 1
    page = await log.aread()
    assert [entry.kind for entry in page.entries] == ["n", "n", "one", "two"]


async def test_one_caller_giving_up_takes_nobody_along(log):
    """B26: what was on its way arrives."""
    calls = [asyncio.ensure_future(log.aappend("n", {"n": n})) for n in range(5)]
    await asyncio.sleep(0)
    calls[2].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    assert {entry.payload["n"] for entry in (await log.aread()).entries} == {0, 1, 2, 3, 4}


async def test_an_unknown_outcome_is_not_tried_again(log, monkeypatch):
    """B22: a batch whose fate nobody knows must not be stored twice."""
    await log.aappend("zero")
    append = DatabaseBackend.append

    def lose_the_answer(backend, items):
        append(backend, items)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseBackend, "append", lose_the_answer)
        results = await asyncio.gather(
            *(log.aappend("n") for _ in range(5)), return_exceptions=True
        )
    assert [type(result) for result in results] == [OperationalError] * 5
    assert (await log.ainfo()).head == 6
    assert (await log.aappend("n")).position == 7


async def test_a_batch_belongs_to_no_caller(log, monkeypatch):
    """B22: it runs in nobody's context."""
    name = contextvars.ContextVar("name", default="nobody")
    seen = []
    work = coalesce._Batcher.work

    async def spy(batcher):
        seen.append(name.get())
        await work(batcher)

    monkeypatch.setattr(coalesce._Batcher, "work", spy)
    name.set("somebody")
    await log.aappend("n")
    assert seen == ["nobody"]


async def test_the_connection_is_given_back(log, monkeypatch):
    """B51: an idle loop keeps none busy, and the next call makes another."""
    monkeypatch.setattr(coalesce, "LINGER", 0.01)
    await log.aappend("n")
    batcher = coalesce._batchers[asyncio.get_running_loop()][log.name]
    await asyncio.wait_for(batcher.worker, 5)
    assert (await log.aappend("n")).position == 2


def test_a_loop_that_ends_leaves_nothing_behind(log):
    """B51: a script's asyncio.run() returns, and another one works."""

    async def main():
        await log.aappend("n")

    asyncio.run(main())
    asyncio.run(main())
    assert log.info().head == 2


def test_with_a_sync_caller_it_sees_the_open_transaction(log, alias):
    """B26: under async_to_sync it is emit in the caller's own thread."""

    async def work():
        return await log.aappend("n")

    with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
        assert async_to_sync(work)().position is None
        1 / 0  # noqa: B018
    assert log.info().head == 0
    assert async_to_sync(work)().position == 1


async def test_a_call_in_the_moment_of_giving_up(log, monkeypatch):
    """B26: it is stored, and its caller is not told that it was cancelled."""
    monkeypatch.setattr(coalesce, "LINGER", 0.05)
    await log.aappend("n")
    loop = asyncio.get_running_loop()
    batcher = coalesce._batchers[loop][log.name]
    calls = []
    loop.call_later(0.06, lambda: calls.append(batcher.add([Item("m", "", "{}", None)])))
    time.sleep(0.1)  # a busy loop: both are due when it goes on
    await asyncio.sleep(0.3)
    [result] = await asyncio.gather(*calls, return_exceptions=True)
    assert not isinstance(result, BaseException), repr(result)
    assert result[0].position == 2


async def test_what_was_stored_is_not_called_a_failure(log, monkeypatch):
    """B22: one by one after a refusal, an error belongs to whom it happened to."""
    await log.aappend("n", {"a": 1}, key="k")
    append = DatabaseBackend.append
    calls = []

    def fail_later(backend, items):
        calls.append(len(items))
        if len(calls) == 3:
            raise LogBusy("could not lock")
        return append(backend, items)

    monkeypatch.setattr(DatabaseBackend, "append", fail_later)
    results = await asyncio.gather(
        log.aappend("one"),
        log.aappend("two"),
        log.aappend("n", {"a": 2}, key="k"),
        return_exceptions=True,
    )
    assert calls[:3] == [3, 1, 1]
    assert results[0].position == 2
    assert isinstance(results[1], LogBusy)
    assert isinstance(results[2], EventsError)
    assert (await log.ainfo()).head == 2
