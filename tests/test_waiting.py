"""A poll that waits: its cursor never passes what its answer does not hold."""

import asyncio
import time

import pytest

from events.api.waiting import Wait
from events.backends.memory import MemoryBackend
from events.live import broker as live
from events.live.pager import Pager
from events.live.tail import follow

from .support.connections import next_batch

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}


@pytest.fixture
def log(make_log):
    return make_log(**QUICK)


async def test_a_poll_whose_look_is_late(log, monkeypatch):
    """B8: the cursor stays where it was; the client is not given the whole log again."""
    log.append_many([("n", {})] * 5)
    query = log.query(5)
    found = log.backend.read(query)
    read = MemoryBackend.read

    def slow(self, query):
        time.sleep(0.3)
        return read(self, query)

    monkeypatch.setattr(MemoryBackend, "read", slow)
    late = await Wait(log, query, found, 0.1).in_loop()
    assert (late.cursor, late.state.epoch) == (5, found.state.epoch)


async def test_a_poll_in_a_change_of_epoch(log, monkeypatch):
    """B13: the answer has a gap or the old epoch, and never an old cursor with the new epoch."""
    log.append_many([("old", {})] * 20)
    query = log.query(20)
    found = log.backend.read(query)
    async with follow(log.backend, query) as other:
        while not (await next_batch(other, 1)).live:
            pass
        read = MemoryBackend.read

        def slow(self, query):
            if (query.limit and query.limit != live.LOOK) or (query.since == 20 and renewed):
                time.sleep(0.2)
            return read(self, query)

        renewed = []
        wait = asyncio.ensure_future(Wait(log, query, found, 0.4).in_loop())
        await asyncio.sleep(0.2)
        old = log.info().epoch
        extract = Pager._page

        def late(self, *arguments):
            time.sleep(1)
            return extract(self, *arguments)

        monkeypatch.setattr(Pager, "_page", late)
        log.renew_epoch()
        late_answer = await wait
        assert late_answer.gap or late_answer.state.epoch == old, late_answer
