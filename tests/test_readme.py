"""The README is short and tells the truth: its snippets run, and its lines are the tutorial's."""

import ast
import asyncio
import inspect

import pytest

from events import aemit, logs

from .support.pages import ROOT, blocks
from .support.tutorial import PAGE as TUTORIAL

README = ROOT / "README.md"
PYTHON = [block for block in blocks(README) if block.language == "python"]
[PLUGGING_IN] = [block for block in PYTHON if "INSTALLED_APPS" in block.text]
[FOLLOWING] = [block for block in PYTHON if "async for" in block.text]


def test_it_can_be_read_in_two_minutes():
    assert len(README.read_text().splitlines()) <= 180


@pytest.mark.django_db(transaction=True)
def test_every_snippet_runs():
    """One after the other, as a reader would try them."""
    runnable = [block for block in PYTHON if block.mark == "runs"]
    assert {PLUGGING_IN, FOLLOWING, *runnable} == set(PYTHON)
    for block in runnable:
        exec(compile(block.text, block.where, "exec"), {})


@pytest.mark.django_db(transaction=True)
async def test_the_tail_follows():
    """From the page's cursor, to the first entry that it prints."""

    class Seen(Exception):
        pass

    def saw(position, kind):
        raise Seen(kind)

    page = await logs["default"].aread()
    await aemit("turn.started")
    code = compile(FOLLOWING.text, FOLLOWING.where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with asyncio.timeout(10):
        with pytest.raises(Seen, match=r"turn\.started"):
            await eval(code, {"logs": logs, "page": page, "print": saw})
    assert code.co_flags & inspect.CO_COROUTINE


def test_what_plugs_it_in_is_what_the_tutorial_does():
    """And a test follows that word for word."""
    done = {line for block in blocks(TUTORIAL) for line in block.text.splitlines()}
    lines = [line for line in PLUGGING_IN.text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert set(lines) <= done
