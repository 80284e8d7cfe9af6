"""A buffer before a stream: text that arrives together is one event."""

import asyncio

import pytest

from events.exceptions import InvalidEvent, StreamClosed

pytestmark = pytest.mark.django_db(transaction=True)
LONG = 60


@pytest.fixture
def run(make_log):
    return make_log().stream("run")


def texts(run):
    return [entry.payload["text"] for entry in run.read(kind="delta").entries]


def test_pieces_are_joined(run):
    """And stored when the block ends."""
    with run.writer("delta", every=LONG) as write:
        for piece in ("Hel", "lo", " you"):
            write(piece)
        assert texts(run) == []
    assert texts(run) == ["Hello you"]


def test_a_piece_after_the_time_of_the_first(run, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("events.writer.time.monotonic", lambda: now[0])
    with run.writer("delta", every=1) as write:
        write("a")
        now[0] = 2
        write("b")
        assert texts(run) == ["ab"]


def test_a_full_buffer_is_stored_at_once(run):
    with run.writer("delta", every=LONG, at_most=4) as write:
        write("ab")
        write("cd")
        assert texts(run) == ["abcd"]


def test_a_piece_that_is_larger_than_an_event(run):
    """It becomes several, and no character is torn."""
    with run.writer("delta", every=LONG, at_most=16) as write:
        write("😀" * 10)
    assert "".join(texts(run)) == "😀" * 10
    assert all(len(text.encode()) <= 16 for text in texts(run))


def test_an_exception_stores_what_there_is(run):
    with pytest.raises(ZeroDivisionError), run.writer("delta", every=LONG) as write:
        write("half")
        raise ZeroDivisionError
    assert texts(run) == ["half"]


def test_nothing_is_no_event(run):
    with run.writer("delta") as write:
        write("")
    assert texts(run) == []


async def test_joined_in_a_loop(run):
    async with run.writer("delta", every=LONG) as write:
        for piece in ("Hel", "lo"):
            await write(piece)
    page = await run.aread(kind="delta")
    assert [entry.payload["text"] for entry in page.entries] == ["Hello"]


async def test_a_pause_does_not_keep_text_back(run):
    """A reader has it while the writer is still at work."""
    async with run.writer("delta", every=0.001) as write:
        await write("a")
        async for entry in run.tail(kind="delta"):
            assert entry.payload == {"text": "a"}
            break


async def test_a_loop_that_is_left_by_an_exception(run):
    with pytest.raises(ZeroDivisionError):
        async with run.writer("delta", every=LONG) as write:
            await write("half")
            raise ZeroDivisionError
    assert [entry.payload for entry in (await run.aread(kind="delta")).entries] == [
        {"text": "half"}
    ]


async def test_a_loop_that_cancels_all_its_tasks(run):
    """As `asyncio.run` does at its end: the writer's own task as well. Its last piece is stored."""

    async def answer():
        async with run.writer("delta", every=LONG) as write:
            await write("half")
            await asyncio.Event().wait()

    others = asyncio.all_tasks()
    working = asyncio.create_task(answer())
    while len(asyncio.all_tasks() - others) < 2:
        await asyncio.sleep(0)
    for task in (tasks := asyncio.all_tasks() - others):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert working.cancelled()
    assert [entry.payload for entry in (await run.aread(kind="delta")).entries] == [
        {"text": "half"}
    ]


async def test_a_full_buffer_in_a_loop(run):
    async with run.writer("delta", every=LONG, at_most=2) as write:
        await write("ab")
        await write("cd")
        page = await run.aread(kind="delta")
        assert [entry.payload["text"] for entry in page.entries] == ["ab", "cd"]


async def test_a_stream_that_has_ended(run):
    """Its writer hears of that at the next piece, or at the end."""
    await run.acomplete()
    with pytest.raises(StreamClosed):
        async with run.writer("delta", every=LONG) as write:
            await write("late")


def test_a_kind_that_is_none(run):
    with pytest.raises(InvalidEvent), run.writer("No") as write:
        write("x")
