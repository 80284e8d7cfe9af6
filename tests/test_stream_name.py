"""A stream's name of any texts: always valid, and never the name of other texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.streams import stream_name
from events.validation import STREAM

# What is escaped, what does the escaping, and what has to be cut.
TEXTS = st.one_of(st.text("aA.:-_ é0e2", max_size=6), st.text(max_size=60))
PARTS = st.lists(TEXTS, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (["red", 7], "red:7"),
        (["Red_team-2"], "Red_team-2"),
        (["red team", "build 7"], "red.20team:build.207"),
        (["a.b", "c:d"], "a.2eb:c.3ad"),
        (["é"], "0.-.c3.a9"),
        (["-a"], "0.--a"),
        ([""], "0.-"),
        (["", ""], "0.-:"),
        (["a" * 128], "a" * 128),
        (["\ud800\0"], "0.-.ed.a0.80.00"),
    ],
)
def test_what_it_makes(parts, name):
    """What a reader may rely on: names are stored."""
    assert stream_name(*parts) == name


@given(PARTS, PARTS)
def test_valid_and_distinct(one, other):
    """Whatever the texts are."""
    assert STREAM.fullmatch(stream_name(*one))
    assert (stream_name(*one) == stream_name(*other)) == (one == other)


@given(TEXTS, PARTS)
def test_a_prefix(team, parts):
    """A policy may ask for the beginning of a name."""
    prefix, name = stream_name(team, ""), stream_name(*parts)
    if len(prefix) < 60:
        assert name.startswith(prefix) == (parts[0] == team and len(parts) > 1)


def test_too_long():
    """Long texts that begin alike have other names."""
    long, longer = stream_name("é" * 100), stream_name("é" * 101)
    assert len(long) == len(longer) == 128
    assert long != longer
    assert long[:94] == longer[:94]
