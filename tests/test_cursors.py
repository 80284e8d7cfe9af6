"""What a reader asks for, and where in the log that is: functions without a store."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.cursors import SCAN_PAGES, Query, State, finish, locate, make_query
from events.types import Gap, Row

STATE = State(head=9, floor=4, epoch="now")
EMPTY = State(head=0, floor=0, epoch="now")
# Too many digits to be printed: str() of it is a ValueError.
HUGE = 10**5000
HUGE_PARAM = pytest.param(HUGE, id="huge")
MINUS_HUGE_PARAM = pytest.param(-HUGE, id="-huge")


def query(since="earliest", limit=None, stream=None, kind=None, epoch=None, **sizes):
    return make_query(
        since, limit, stream, kind, epoch, **{"page_size": 3, "max_page_size": 5, **sizes}
    )


def row(position, kind="n", stream=""):
    return Row(position, kind, stream, 0, 0, "{}", None)


class TestQuery:
    def test_the_defaults(self):
        """B1, B3: from the first resident entry, a page, and everything that is there."""
        assert query() == Query("earliest", 3, None, (), (), None, None)

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [(None, 3), (0, 0), (1, 1), (5, 5), (6, 5), pytest.param(HUGE, 5, id="huge")],
    )
    def test_limits_are_clamped(self, limit, expected):
        """B5: more than MAX_PAGE_SIZE is no error."""
        assert query(limit=limit).limit == expected

    @pytest.mark.parametrize(
        "limit", [-1, MINUS_HUGE_PARAM, 1.0, "1", True, False, [], "\ud800", float("nan")]
    )
    def test_a_malformed_limit(self, limit):
        """B6: the error begins with the name, and can be printed."""
        with pytest.raises(ValueError, match="^limit ") as caught:
            query(limit=limit)
        assert len(str(caught.value).encode()) < 150

    @pytest.mark.parametrize("since", [0, 1, HUGE_PARAM, "earliest", "latest"])
    def test_a_cursor(self, since):
        """A position from 0, or one of two words."""
        assert query(since).since == since

    @pytest.mark.parametrize(
        "since",
        [
            -1,
            MINUS_HUGE_PARAM,
            1.0,
            "1",
            "",
            None,
            True,
            "Earliest",
            "latest\n",
            b"latest",
            [],
            "\ud800",
        ],
    )
    def test_a_malformed_cursor(self, since):
        """B6: here too."""
        with pytest.raises(ValueError, match="^since ") as caught:
            query(since)
        assert len(str(caught.value).encode()) < 150

    @pytest.mark.parametrize(
        ("kind", "exact", "prefixes"),
        [
            (None, (), ()),
            ("a.b", ("a.b",), ()),
            ("a.*", (), ("a.",)),
            (["a", "b.*", "c.d.*"], ("a",), ("b.", "c.d.")),
            (("a",), ("a",), ()),
            ((kind for kind in ("a", "b")), ("a", "b"), ()),
            ([], (), ()),
            ("*", (), ()),
            (["a", "*"], (), ()),
            ("a" * 100, ("a" * 100,), ()),
            ("a" * 100 + ".*", (), ("a" * 100 + ".",)),
            ("stream.*", (), ("stream.",)),
            ("end", ("end",), ()),
        ],
    )
    def test_kinds(self, kind, exact, prefixes):
        """Exact ones and prefixes are told apart; reserved kinds can be asked for."""
        found = query(kind=kind)
        assert (found.exact, found.prefixes) == (exact, prefixes)

    @pytest.mark.parametrize(
        "kind",
        [
            "",
            ".*",
            "**",
            "a*",
            "a.*.*",
            "a.*.b",
            "A",
            "a\n",
            "a.\n*",
            "a" * 101,
            [""],
            [None],
            [b"a"],
        ],
    )
    def test_a_malformed_kind(self, kind):
        """B6: and here."""
        with pytest.raises(ValueError, match="^kind "):
            query(kind=kind)

    @pytest.mark.parametrize("kind", [5, 1.5, True, b"turn.*", object(), HUGE_PARAM, [HUGE]])
    def test_a_kind_that_is_no_text(self, kind):
        """B6: an int is not gone through like a list."""
        with pytest.raises(ValueError, match="^kind "):
            query(kind=kind)

    @pytest.mark.parametrize(
        "stream", ["a b", "\x00", "\ud800", "é", "x" * 129, 5, b"s", [["s"]], False, object()]
    )
    def test_a_malformed_stream(self, stream):
        """B6: no store is asked for what it cannot hold; PostgreSQL would raise a DataError."""
        with pytest.raises(ValueError, match="^stream"):
            query(stream=stream)

    def test_a_stream(self):
        """None is every stream, and an empty name is what is in none."""
        assert [query(stream=stream).stream for stream in (None, "", "s")] == [None, "", "s"]

    def test_sets_of_streams(self):
        """Sorted and without repetitions, so that those who ask for the same share it."""
        found = query(stream=["b", "a*", "c", "b"])
        assert (found.stream, found.streams, found.starts) == (None, ("b", "c"), ("a",))
        assert found == query(stream=iter(["c", "b", "a*"]))
        assert found.patterns == ("b", "c", "a*")
        assert found.span == query(stream="a*").span == SCAN_PAGES * 5

    def test_one_stream_is_no_set(self):
        """However often it is named."""
        assert query(stream=["a", "a"]) == query(stream="a")
        assert (query(stream="a").patterns, query().patterns) == (("a",), ())

    def test_a_filter_by_kind_is_bounded(self):
        """B9: a rare kind costs many short reads; a stream has an index of its own."""
        assert query(kind="a").span == query(kind="a.*").span == SCAN_PAGES * 5
        assert query(stream="s").span is query(kind="*").span is None


class TestWants:
    @pytest.mark.parametrize(
        ("kind", "wanted"),
        [
            ("turn", False),
            ("turn.a", True),
            ("turn.a.b", True),
            ("turns.a", False),
            ("turn_a", False),
            ("tool", True),
            ("tool.x", False),
            ("other", False),
        ],
    )
    def test_kinds(self, kind, wanted):
        """B11: a prefix ends at its dot, and an exact kind has no children."""
        assert query(kind=["turn.*", "tool"]).wants(row(1, kind)) is wanted

    def test_streams(self):
        """They are compared exactly, the empty one included."""
        found = [query(stream=s).wants(row(1, stream=t)) for s in ("s", "") for t in ("s", "S", "")]
        assert found == [True, False, False, False, False, True]
        assert query().wants(row(1, stream="s"))

    def test_both(self):
        """A stream and a kind have to match together."""
        asked = query(stream="s", kind="a")
        assert asked.wants(row(1, "a", "s"))
        assert not asked.wants(row(1, "b", "s"))
        assert not asked.wants(row(1, "a", "t"))


class TestLocate:
    @pytest.mark.parametrize(
        ("since", "start", "gap"),
        [
            ("earliest", 4, None),
            ("latest", 9, None),
            (0, 4, Gap("pruned", 0, 5, 4)),
            (3, 4, Gap("pruned", 3, 5, 1)),
            (4, 4, None),
            (5, 5, None),
            (9, 9, None),
            (10, 9, Gap("ahead", 10, 10, 0)),
            pytest.param(HUGE, 9, Gap("ahead", HUGE, 10, 0), id="huge"),
        ],
    )
    def test_where_a_reader_goes_on(self, since, start, gap):
        """B1, B4, B12: and what it has missed, to the number."""
        assert locate(query(since), STATE) == (start, gap)

    @pytest.mark.parametrize("since", [0, 3, 4, 7, 9, 10])
    def test_another_epoch(self, since):
        """B13: from the start, whatever the number was."""
        assert locate(query(since, epoch="then"), STATE) == (4, Gap("epoch", since, 5, 4))

    @pytest.mark.parametrize("since", ["earliest", "latest"])
    def test_a_word_has_no_epoch(self, since):
        """B13: who holds no position has none that could be another log's."""
        assert locate(query(since, epoch="then"), STATE)[1] is None

    def test_the_same_epoch(self):
        """B13: nothing to tell."""
        assert locate(query(7, epoch="now"), STATE) == (7, None)

    def test_an_empty_log(self):
        """B8: 0 is where it stands, and 1 is ahead of it."""
        assert locate(query(0), EMPTY) == (0, None)
        assert locate(query(1), EMPTY) == (0, Gap("ahead", 1, 1, 0))

    @settings(deadline=None, max_examples=200)
    @given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 60))
    def test_loss_is_exact(self, floor, more, since):
        """B12: what is lost is what lies between the cursor and the first that is available."""
        start, gap = locate(query(since), State(floor + more, floor, "now"))
        assert floor <= start <= floor + more
        if gap is None:
            assert start == since
        elif gap.reason == "pruned":
            assert gap.lost == gap.first_available - 1 - since == floor - since > 0
        else:
            assert (gap.reason, gap.lost, start) == ("ahead", 0, floor + more)


class TestFinish:
    def test_a_full_page_ends_at_its_last_entry(self):
        """B2: what follows has not been looked at."""
        rows = [row(5), row(6), row(8)]
        assert finish(query(4), STATE, rows).cursor == 8

    def test_a_short_page_ends_at_the_head(self):
        """B7: also over holes at the end."""
        assert finish(query(6), STATE, [row(7)]).cursor == 9
        assert finish(query(6), STATE, []).cursor == 9

    def test_with_a_kind_it_ends_where_the_look_ended(self):
        """B11: at most the span further, and never beyond the head."""
        long = State(head=1000, floor=0, epoch="now")
        assert finish(query(10, kind="a"), long, []).cursor == 10 + SCAN_PAGES * 5
        assert finish(query(990, kind="a"), long, [row(991, "a")]).cursor == 1000

    @pytest.mark.parametrize(
        ("since", "cursor"),
        [("earliest", 4), ("latest", 9), (2, 2), (4, 4), (7, 7), (9, 9), (12, 9)],
    )
    def test_a_probe_consumes_nothing(self, since, cursor):
        """B10: the cursor stays, also below the floor, and comes back from beyond the head."""
        assert finish(query(since, 0), STATE, []).cursor == cursor

    def test_the_gap_goes_along(self):
        """B12: with the rows and the state."""
        found = finish(query(2), STATE, [])
        assert (found.gap, found.state) == (Gap("pruned", 2, 5, 2), STATE)
