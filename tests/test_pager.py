"""Reading a log for those who are far behind: turn by turn between users."""

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from events.backends.memory import MemoryBackend
from events.live.tail import follow

LOG = {"BACKEND": "memory", "TTL": None, "WINDOW": 1, "POLL_INTERVAL": 0.01}


@pytest.fixture
def log(make_log):
    log = make_log(**LOG)
    log.append_many([(f"k{n % 7}", {}) for n in range(100)])
    return log


class Reads:
    """The kinds that are read for, in order; a read waits until it may go on."""

    def __init__(self, monkeypatch):
        self.kinds = []
        self.gate = threading.Semaphore(0)
        self.original = MemoryBackend.read
        reads = self

        def read(self, query):
            if query.limit and query.exact:
                reads.kinds.append(query.exact[0])
                assert reads.gate.acquire(timeout=10)
            return reads.original(self, query)

        monkeypatch.setattr(MemoryBackend, "read", read)

    async def let(self, count):
        """Let so many go on, and wait until the next one waits."""
        seen = len(self.kinds)
        for n in range(count):
            self.gate.release()
            async with asyncio.timeout(5):
                while len(self.kinds) < seen + n + 1:
                    await asyncio.sleep(0.001)


@pytest.fixture
def reads(monkeypatch):
    reads = Reads(monkeypatch)
    yield reads
    reads.gate.release(1000)


@pytest.fixture
async def ask(log):
    """Follow one kind from the first event on, and ask for the first batch of it."""
    asked = []
    async with AsyncExitStack() as stack:

        async def ask(who, kind):
            query = log.query(0, kind=kind)
            tail = await stack.enter_async_context(follow(log.backend, query, who=who))
            await tail.take()
            asked.append(asyncio.ensure_future(tail.take()))
            await asyncio.sleep(0)
            return asked[-1]

        yield ask
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def begun(reads):
    async with asyncio.timeout(5):
        while not reads.kinds:
            await asyncio.sleep(0.001)


async def test_users_take_turns(ask, reads):
    """However much one user has asked for, another one's read is the next but one."""
    for n in range(5):
        await ask("greedy", f"k{n}")
    await begun(reads)
    await ask("other", "k5")
    await ask("third", "k6")
    await reads.let(4)
    assert reads.kinds == ["k0", "k1", "k5", "k6", "k2"]


async def test_a_read_that_two_share_comes_at_the_first_turn_of_either(ask, reads):
    """B31: it is read once, and the one who asks for little does not wait for the other's turn."""
    shared = [await ask("greedy", f"k{n}") for n in range(5)][4]
    await begun(reads)
    mine = await ask("other", "k4")
    await reads.let(3)
    assert reads.kinds == ["k0", "k1", "k4", "k2"]
    assert (await mine).entries == (await shared).entries
    await reads.let(1)
    assert reads.kinds[4:] == ["k3"]


async def test_who_leaves_gives_the_turn_to_the_next(ask, reads):
    """Neither a place in the line nor the turn itself is kept by a reader that is gone."""
    first, second, third = [await ask("greedy", f"k{n}") for n in range(3)]
    await begun(reads)
    second.cancel()
    first.cancel()
    await reads.let(1)
    assert reads.kinds == ["k0", "k2"]
    reads.gate.release()
    assert (await third).entries


async def test_a_read_that_is_cancelled_by_others_is_asked_for_again(ask, reads):
    """Nobody waits for ever for a task that somebody has ended."""
    reading = await ask("one", "k0")
    await begun(reads)
    for task in asyncio.all_tasks():
        if "Pager._read" in repr(task.get_coro()):
            task.cancel()
    reads.gate.release(2)
    async with asyncio.timeout(1):
        assert (await reading).entries
