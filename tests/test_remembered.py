"""The batches that topics remember: one budget for all of them."""

from contextlib import AsyncExitStack

import pytest

from events.live.remembered import OVERHEAD, remembered
from events.live.tail import follow
from events.live.window import MAX_FORMS

from .support.connections import next_batch

FILTERS, PLACES = 30, 4


@pytest.fixture
async def topics(make_log):
    """Many filters that fit everything, each with batches from several places on."""
    log = make_log(BACKEND="memory", TTL=None)
    log.append_many([("n", {"text": "x" * 10_000})] * 20)
    async with AsyncExitStack() as stack:
        found = {}
        for number in range(FILTERS):
            query = log.query("latest", kind=["n", f"another{number}"])
            tail = await stack.enter_async_context(follow(log.backend, query))
            while not tail.live:
                await next_batch(tail, 5)
            found[tail.topic] = tail
        log.append_many([("n", {"text": "x" * 10_000})] * 20)
        await next(iter(found.values())).broker.look()
        for topic in found:
            for place in range(PLACES):
                batch = topic.after(20 + place)
                for form in range(MAX_FORMS):
                    batch.once(form, lambda batch: "".join(entry.text for entry in batch.entries))
        yield list(found)
    assert not any(topic in found for topic, _ in remembered.sizes)


def bytes_held(topics):
    """Of all that was made of batches that are still remembered."""
    forms = [
        form for one in topics for batch in one.batches.values() for form in batch.forms.items()
    ]
    return sum(len(form) for _, form in forms)


@pytest.fixture
def most(monkeypatch):
    monkeypatch.setattr(remembered, "most", remembered.size + 2_000_000)
    return 2_000_000


async def test_one_budget_for_all_filters(most, topics):
    """Thirty filters pin as much as one, and the newest batches are those that are kept."""
    assert most // 2 < bytes_held(topics) <= most
    assert topics[-1].batches
    assert not topics[0].batches


async def test_what_is_forgotten_is_not_counted(topics):
    """A topic whose batches are out of date, or that nobody follows, gives its share back."""
    before = remembered.size
    size = sum(
        OVERHEAD + MAX_FORMS * sum(entry.size for entry in batch.entries)
        for batch in topics[0].batches.values()
    )
    topics[0].forget()
    assert remembered.size == before - size
    assert remembered.size == sum(remembered.sizes.values())
