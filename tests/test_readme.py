"""The README tells the truth: its snippets run, and every setting and command is in it."""

import re
from pathlib import Path

import pytest

import events.management.commands as commands
from events import urls
from events.conf import DEFAULTS, OPTIONS
from events.websocket import frames

README = (Path(__file__).parent.parent / "README.md").read_text()
RUNNABLE = re.findall(r"<!-- runs -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.django_db(transaction=True)
def test_every_snippet_runs():
    """One after the other, as a reader would try them."""
    assert len(RUNNABLE) == 5
    for snippet in RUNNABLE:
        exec(snippet, {})


@pytest.mark.parametrize("name", [*DEFAULTS, *OPTIONS])
def test_every_setting_is_there(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize(
    "name",
    [path.stem for path in Path(commands.__file__).parent.glob("[a-z]*.py")],
)
def test_every_command_is_there(name):
    assert f"`{name}" in README


@pytest.mark.parametrize(
    "route", [str(pattern.pattern) for pattern in urls.urlpatterns if str(pattern.pattern)]
)
def test_every_endpoint_is_there(route):
    assert re.sub(r"<str:(\w+)>", r"<\1>", route) in README


@pytest.mark.parametrize(
    "code",
    [value for name, value in vars(frames).items() if name.isupper() and 4000 < value < 5000],
)
def test_every_close_code_is_there(code):
    assert str(code) in README
