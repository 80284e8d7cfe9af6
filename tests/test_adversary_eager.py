"""What an attack on eager sending has found."""

import asyncio

import pytest

from events.live.tail import follow

from .test_eager import OPEN, sender


class Bare:
    """As much of an awaitable as has to be: other languages' servers give us such."""

    def __init__(self, opened):
        self.steps = opened.wait().__await__()

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.steps)


@pytest.fixture
def log(make_log):
    return make_log(**OPEN)


async def test_an_awaitable_that_is_no_coroutine():
    """Granian's has neither `send` nor `throw`."""
    opened, sent = asyncio.Event(), []

    def send(message):
        sent.append(message)
        return Bare(opened)

    one = await sender(send)
    one.deputy.begin({"n": 1})
    await asyncio.sleep(0)
    assert not one.deputy.is_free
    opened.set()
    while not one.deputy.is_free:
        await asyncio.sleep(0)
    one.deputy.begin({"n": 2})
    assert one.deputy.is_free
    assert sent == [{"n": 1}, {"n": 2}]
    one.task.cancel()


class Gone(BaseException):
    """Not an Exception, as a group of cancellations is none."""


async def test_no_failure_is_that_of_who_brought_the_message():
    """Whatever it is."""

    async def send(message):
        raise Gone

    one = await sender(send)
    one.deputy.begin({"n": 1})
    with pytest.raises(Gone):
        await one.task


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
