"""What every backend has to be. A subclass says how to make its log; see test_backends.py."""

import threading
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.transaction import TransactionManagementError

from events.exceptions import InvalidEvent, KeyConflict
from events.testing import ManualClock
from events.wire import PAGE_BYTES, encode

DAY = 86_400


def in_threads(count, work):
    """Run `work(number)` in that many threads at once; their results, or the first error."""
    results, errors = [None] * count, []
    barrier = threading.Barrier(count)

    def run(number):
        try:
            barrier.wait()
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class LogContract:
    """Give `config`, and `alias` when the log lives in a database of its own."""

    config: dict = {}
    alias = "default"

    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def new_log(self, make_log, clock):
        def new(**config):
            options = {"clock": clock, **config.pop("OPTIONS", {})}
            return make_log(alias=self.alias, **{**self.config, **config, "OPTIONS": options})

        return new

    @pytest.fixture
    def log(self, new_log):
        return new_log()

    def atomic(self, **options):
        return transaction.atomic(using=self.alias, **options)

    def fill(self, log, count, kind="n", **fields):
        return log.append_many(
            [{"kind": kind, "payload": {"n": n}, **fields} for n in range(1, count + 1)]
        )

    def positions(self, page):
        return [entry.position for entry in page.entries]

    # Pages of many bytes

    def test_a_page_is_bounded_in_bytes(self, new_log):
        """A page ends at its last entry, and its reader is not at the head."""
        log = new_log(MAX_PAYLOAD_BYTES=2**20)
        self.fill(log, 3, "small")
        for _ in range(10):
            log.append("large", {"text": "é" * 500_000})
        first = log.backend.read(log.query(0, 1000))
        assert [row.position for row in first.rows] == [*range(1, 12)]
        assert sum(len(encode(row)) for row in first.rows) <= PAGE_BYTES
        assert first.cursor == 11
        assert not first.caught_up
        assert self.positions(log.read(first.cursor, 1000)) == [12, 13]
        assert [row.position for page in log.backend.pages(log.query(0)) for row in page.rows] == [
            *range(1, 14)
        ]

    def test_entries_that_fit_share_a_page(self, new_log):
        """As many as were asked for, however uneven their sizes."""
        log = new_log()
        self.fill(log, 900)
        log.append_many([("large", {"text": "x" * 60_000})] * 100)
        page = log.read(0, 1000)
        assert len(page.entries) == page.cursor == page.head == 1000

    def test_a_filtered_page_is_bounded_in_bytes(self, new_log):
        """What is left out counts neither in bytes nor in positions."""
        log = new_log()
        for _ in range(5):
            log.append_many(
                [{"kind": kind, "payload": {"text": "x" * 60_000}} for kind in ("a", "b")] * 20
            )
        first = log.read(0, 1000, kind="b")
        assert 50 < len(first.entries) < 140
        assert first.cursor == first.entries[-1].position
        assert len(first.entries) + len(log.read(first.cursor, 1000, kind="b").entries) == 100

    def test_one_entry_larger_than_a_page_comes_alone(self, new_log):
        """It would never come otherwise."""
        log = new_log(MAX_PAYLOAD_BYTES=2**24)
        log.append("small")
        log.append("huge", {"text": "x" * 9_000_000})
        log.append("small")
        cursors = [page.cursor for page in log.backend.pages(log.query(0))]
        assert cursors == [1, 2, 3]

    # Appending

    def test_the_first_position_is_1(self, log):
        """B14: append answers with the entry and its position."""
        entry = log.append("turn.started", {"n": 1}, stream="run-42", key="req-7")
        assert (entry.position, entry.kind, entry.stream, entry.seq, entry.key) == (
            1,
            "turn.started",
            "run-42",
            1,
            "req-7",
        )
        assert entry.payload == {"n": 1}
        assert log.append("turn.done").position == 2

    def test_what_was_appended_is_read(self, log):
        """B40: events flow into the log with no reader attached."""
        entry = log.append("turn.started", {"n": 1, "é": [None, True, 1.5, "😀"]}, stream="s")
        assert log.read().entries == [entry]

    def test_the_payload_defaults_to_an_empty_object(self, log):
        """B16: and so it is read."""
        assert log.append("tick").payload == {}
        assert log.read().entries[0].payload == {}

    def test_an_entry_cannot_be_changed(self, log):
        """B16: entries are immutable."""
        entry = log.append("tick")
        with pytest.raises(FrozenInstanceError):
            entry.position = 7

    def test_the_payload_is_a_copy(self, log):
        """B16: neither the writer's dict nor a reader's is the log's."""
        payload = {"list": [1]}
        entry = log.append("tick", payload)
        payload["list"].append(2)
        entry.payload["list"].append(3)
        log.read().entries[0].payload["list"].append(4)
        assert log.read().entries[0].payload == {"list": [1]}

    def test_a_new_kind_needs_nothing(self, log):
        """B39: nobody has to be told of a kind before it is used."""
        assert log.append("never.seen_before.v2").kind == "never.seen_before.v2"

    def test_append_many_keeps_the_order(self, log):
        """B14: one position each, in the order given."""
        entries = log.append_many(
            [("a", {"n": 1}), {"kind": "b", "payload": {"n": 2}, "stream": "s"}, ("c",)]
        )
        assert [(entry.position, entry.kind) for entry in entries] == [(1, "a"), (2, "b"), (3, "c")]
        assert log.read().entries == entries

    def test_append_many_of_nothing(self, log):
        assert log.append_many([]) == []

    def test_append_many_stores_all_or_none(self, log):
        """B26: one bad event keeps its neighbours out."""
        with pytest.raises(InvalidEvent, match=r"^items\[1\]\.kind: "):
            log.append_many([("a", {}), ("Not A Kind", {})])
        log.append("a", key="k")
        with pytest.raises(KeyConflict):
            log.append_many([("b", {}), {"kind": "c", "key": "k"}])
        assert [entry.kind for entry in log.read().entries] == ["a"]

    def test_a_breach_stores_nothing(self, log):
        """B26: no position is burnt by an event that was refused."""
        with pytest.raises(InvalidEvent):
            log.append("tick", {"n": float("nan")})
        assert log.append("tick").position == 1

    def test_seq_is_dense_in_each_stream(self, log):
        """B53: the first event makes the stream, with seq 1."""
        entries = [log.append("n", stream=stream) for stream in ("a", "b", "a", "", "a", "B", "b")]
        assert [entry.seq for entry in entries] == [1, 1, 2, None, 3, 1, 2]

    def test_concurrent_appends_are_dense(self, log):
        """B22, B53: 8 threads times 200 appends: 1,600 positions, none twice, none left out."""

        def work(number):
            return [log.append("n", {"t": number, "n": n}, stream=f"s{n % 2}") for n in range(200)]

        entries = [entry for own in in_threads(8, work) for entry in own]
        assert sorted(entry.position for entry in entries) == list(range(1, 1601))
        for stream in ("s0", "s1"):
            seqs = sorted(entry.seq for entry in entries if entry.stream == stream)
            assert seqs == list(range(1, 801))

    # Keys

    def test_a_key_stores_one_entry(self, log):
        """B30: the first one is answered both times."""
        first = log.append("order.paid", {"id": 7, "sum": 3}, stream="s", key="k")
        again = log.append("order.paid", {"sum": 3, "id": 7}, stream="s", key="k")
        assert again == first
        assert log.info().head == 1

    @pytest.mark.parametrize(
        "other",
        [
            ("order.other", {"id": 7}, "s"),
            ("order.paid", {"id": 8}, "s"),
            ("order.paid", {"id": True}, "s"),
            ("order.paid", {"id": 7}, ""),
        ],
    )
    def test_a_key_cannot_stand_for_something_else(self, log, other):
        """B30: another kind, payload or stream is a conflict."""
        log.append("order.paid", {"id": 7}, stream="s", key="k")
        kind, payload, stream = other
        with pytest.raises(KeyConflict, match="'k' was used before"):
            log.append(kind, payload, stream=stream, key="k")
        assert log.info().head == 1

    def test_keys_are_compared_exactly(self, log):
        """B30: case, accents and spaces at the end make another key."""
        keys = ["k", "K", "k ", "ḱ", "k\u0301", "\u1e31"[:1] + "x", "ß", "ss", "😀", "😁"]
        entries = [log.append("n", {"n": n}, key=key) for n, key in enumerate(keys)]
        assert [entry.position for entry in entries] == list(range(1, len(keys) + 1))
        assert log.append("n", {"n": 2}, key="k ").position == 3

    def test_a_key_twice_in_one_call(self, log):
        """B30: also next to itself."""
        item = {"kind": "n", "payload": {"a": 1}, "key": "k"}
        first, second, third = log.append_many([item, ("m", {}), item])
        assert (first.position, second.position, third) == (1, 2, first)

    def test_a_racing_key_stores_one_entry(self, log):
        """B30: whoever comes first, all are answered with the same entry."""
        entries = in_threads(4, lambda number: [log.append("n", key=f"k{n}") for n in range(20)])
        assert all(own == entries[0] for own in entries)
        assert log.info().head == 20

    def test_a_key_lives_as_long_as_its_entry(self, log):
        """B30: what is pruned frees its key."""
        log.append("n", key="k")
        log.clear()
        assert log.append("m", key="k").position == 2

    # Reading

    def test_a_read_starts_at_the_first_resident_entry(self, log):
        """B1: earliest is never a gap."""
        self.fill(log, 5)
        log.prune(max_entries=3)
        page = log.read()
        assert self.positions(page) == [3, 4, 5]
        assert (page.cursor, page.head, page.gap) == (5, 5, None)

    def test_a_page_is_what_follows_the_cursor(self, log):
        """B2: (N, N+M], and the cursor is N+M."""
        self.fill(log, 9)
        page = log.read(3, 4)
        assert self.positions(page) == [4, 5, 6, 7]
        assert (page.cursor, page.head) == (7, 9)

    def test_a_page_has_the_page_size(self, new_log):
        """B3, B5: a limit is clamped without an error."""
        log = new_log(PAGE_SIZE=3, MAX_PAGE_SIZE=5)
        self.fill(log, 9)
        assert self.positions(log.read(0)) == [1, 2, 3]
        assert self.positions(log.read(0, 1000)) == [1, 2, 3, 4, 5]
        assert self.positions(log.read(7, 5)) == [8, 9]

    def test_a_cursor_past_the_head(self, log):
        """B4: nothing, and the cursor is the head; the gap says ahead."""
        self.fill(log, 3)
        for since in (4, 10**6, 2**63 - 1, 2**63, 2**200):
            page = log.read(since)
            assert (page.entries, page.cursor, page.head) == ([], 3, 3)
            assert (page.gap.reason, page.gap.requested) == ("ahead", since)
            assert (page.gap.first_available, page.gap.lost) == (4, 0)

    @pytest.mark.parametrize("stream", [None, "s"])
    def test_a_cursor_at_the_end_of_numbers(self, log, stream):
        """B4: with a kind filter as well as without."""
        log.append("n", stream="s")
        page = log.read(2**63 - 1, kind="n", stream=stream)
        assert (page.entries, page.cursor, page.gap.reason) == ([], 1, "ahead")

    def test_at_the_head_there_is_no_gap(self, log):
        """B4: being caught up is no loss."""
        self.fill(log, 3)
        page = log.read(3)
        assert (page.entries, page.cursor, page.gap) == ([], 3, None)

    def test_an_empty_log(self, log):
        """B8: the cursor is there, also when nothing is."""
        page = log.read(0)
        assert (page.entries, page.cursor, page.head, page.gap) == ([], 0, 0, None)
        assert page.epoch

    @pytest.mark.parametrize("since", [-1, 1.0, "1", "", None, True, "now", [], "-1", "earliest "])
    def test_a_malformed_cursor(self, log, since):
        """B6: ValueError names the argument."""
        with pytest.raises(ValueError, match="^since "):
            log.read(since)

    @pytest.mark.parametrize("limit", [-1, 1.0, "1", True])
    def test_a_malformed_limit(self, log, limit):
        """B6: here too."""
        with pytest.raises(ValueError, match="^limit "):
            log.read(0, limit)

    def test_latest_starts_at_the_head(self, log):
        self.fill(log, 3)
        page = log.read("latest")
        assert (page.entries, page.cursor, page.gap) == ([], 3, None)

    def test_chained_reads_cover_everything(self, log):
        """B7: no overlap and no hole."""
        self.fill(log, 23)
        seen, cursor = [], 0
        while cursor < 23:
            page = log.read(cursor, 5)
            seen += self.positions(page)
            cursor = page.cursor
        assert seen == list(range(1, 24))

    def test_a_limit_of_0_is_a_probe(self, log):
        """B10: no entries, and the cursor stays, if the log goes that far."""
        self.fill(log, 3)
        assert (log.read(2, 0).entries, log.read(2, 0).cursor) == ([], 2)
        assert log.read(9, 0).cursor == 3
        assert log.read(limit=0).cursor == 0

    def test_a_probe_below_the_floor_consumes_nothing(self, log):
        """B10, B12: the cursor stays, and the gap is told."""
        self.fill(log, 5)
        log.prune(max_entries=2)
        page = log.read(1, 0)
        assert (page.cursor, page.gap.lost) == (1, 2)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("turn.started", [1]),
            ("turn.*", [1, 3, 5]),
            (["turn.started", "turn_x.y"], [1, 6]),
            (["tool.*", "turn.started"], [1, 2]),
            ("turn", [4]),
            ("*", [1, 2, 3, 4, 5, 6]),
            ([], [1, 2, 3, 4, 5, 6]),
            ("nothing.here", []),
        ],
    )
    def test_kinds_are_exact_or_prefixes(self, log, kind, expected):
        """B11: and the cursor moves past what did not match."""
        kinds = ["turn.started", "tool.x", "turn.done", "turn", "turn.a.b", "turn_x.y"]
        log.append_many([(kind, {}) for kind in kinds])
        page = log.read(kind=kind)
        assert self.positions(page) == expected
        assert page.cursor == 6

    @pytest.mark.parametrize(
        "kind", ["turn.", "*.a", "Turn", "turn*", "a.**", "", [1], "a\n", "tu%"]
    )
    def test_a_malformed_kind(self, log, kind):
        """B6: ValueError names the argument."""
        with pytest.raises(ValueError, match="^kind "):
            log.read(kind=kind)

    def test_a_full_page_with_a_filter_ends_at_its_last_match(self, log):
        """B11: nothing after the last entry shown has been looked at."""
        log.append_many([("a", {}), ("b", {}), ("a", {}), ("b", {}), ("a", {})])
        page = log.read(kind="a", limit=2)
        assert (self.positions(page), page.cursor) == ([1, 3], 3)
        page = log.read(3, kind="a", limit=2)
        assert (self.positions(page), page.cursor) == ([5], 5)

    def test_a_rare_kind_is_looked_for_by_stretches(self, new_log):
        """B9, B11: a page may be empty and still have a next one."""
        log = new_log(PAGE_SIZE=1, MAX_PAGE_SIZE=1)
        self.fill(log, 50)
        log.append("rare")
        pages, cursor = [], 0
        while cursor < 51:
            page = log.read(cursor, kind="rare")
            pages.append((self.positions(page), page.cursor))
            cursor = page.cursor
        assert pages == [([], 20), ([], 40), ([51], 51)]

    def test_a_stream_is_read_by_name(self, log):
        """B11: names are compared exactly, also by case."""
        for stream in ("a", "b", "a", "A"):
            log.append("n", stream=stream)
        page = log.stream("a").read()
        assert (self.positions(page), page.cursor) == ([1, 3], 4)
        assert self.positions(log.read(stream="A")) == [4]
        assert self.positions(log.read(stream="c")) == []

    @pytest.mark.parametrize(
        ("stream", "expected"),
        [
            (["a", "Z"], ["a", "Z"]),
            (["a", "a"], ["a"]),
            (("Z", "nobody"), ["Z"]),
            ("a*", ["a", "a_b", "axb", "a_b:1", "a-1", "a.1", "ab"]),
            ("a_*", ["a_b", "a_b:1"]),
            ("a_b:1*", ["a_b:1"]),
            (["a-*", "a.*", "z*"], ["a-1", "a.1", "z"]),
            (["A*", "a_b", "A_B"], ["a_b", "A_B"]),
            ({"Z*", "z"}, ["Z", "z"]),
            ("none*", []),
        ],
    )
    def test_a_set_of_streams(self, log, stream, expected):
        """Names and prefixes, compared exactly: `_` stands for itself, and case counts."""
        names = ["a", "a_b", "axb", "A_B", "a_b:1", "a-1", "a.1", "", "Z", "z", "ab"]
        log.append_many([{"kind": "n", "stream": name} for name in names])
        page = log.read(stream=stream)
        assert [entry.stream for entry in page.entries] == expected
        assert page.cursor == 11

    @pytest.mark.parametrize(
        "stream",
        [
            "*",
            "a*b",
            "a**",
            "-*",
            "a%*",
            "á*",
            ["*"],
            [],
            ["a", ""],
            ["a", None],
            [1],
            [["a"]],
            b"a",
        ],
    )
    def test_a_malformed_set_of_streams(self, log, stream):
        """An empty list is refused too: whoever has computed it does not mean everything."""
        with pytest.raises(ValueError, match="^stream"):
            log.read(stream=stream)
        with pytest.raises(ValueError, match="^stream: must be 1 to 32 "):
            log.read(stream=[f"s{n}" for n in range(33)])

    @pytest.mark.parametrize("stream", ["rare*", ["rare-1", "rare-2"]])
    def test_a_rare_set_is_looked_for_by_stretches(self, new_log, stream):
        """As a rare kind is."""
        log = new_log(PAGE_SIZE=1, MAX_PAGE_SIZE=1)
        self.fill(log, 25, stream="frequent")
        log.append("n", stream="rare-1")
        pages, cursor = [], 0
        while cursor < 26:
            page = log.read(cursor, stream=stream)
            pages.append((self.positions(page), page.cursor))
            cursor = page.cursor
        assert pages == [([], 20), ([26], 26)]

    def test_a_gap_of_a_set_is_the_logs(self, log):
        """Whatever the set has lost of it."""
        self.fill(log, 5, stream="a")
        log.append("n", stream="b")
        log.prune(max_entries=1)
        for stream in ("b*", ["b", "c"]):
            page = log.read(0, stream=stream)
            assert (self.positions(page), page.gap.lost) == ([6], 5)

    def test_a_set_and_a_kind(self, log):
        """Both have to fit."""
        log.append_many(
            [
                {"kind": kind, "stream": stream}
                for kind in ("a", "b")
                for stream in ("s1", "s2", "t")
            ]
        )
        assert self.positions(log.read(stream="s*", kind="b")) == [4, 5]
        assert self.positions(log.read(stream=["t", "s2"], kind=["b", "c.*"], limit=1)) == [5]

    def test_a_stream_and_a_kind(self, log):
        log.append_many(
            [{"kind": kind, "stream": stream} for kind in ("a", "b") for stream in ("s", "t")]
        )
        assert self.positions(log.read(stream="t", kind="b")) == [4]

    STREAMS = ("a", "b", "", "a:1", "a", "b", "b", "a:2")

    @pytest.mark.parametrize(
        ("last", "filters", "expected"),
        [
            (1, {}, [8]),
            (3, {}, [6, 7, 8]),
            (8, {}, [1, 2, 3, 4, 5, 6, 7, 8]),
            (9, {}, [1, 2, 3, 4, 5, 6, 7, 8]),
            (1, {"stream": "a"}, [5]),
            (5, {"stream": "a"}, [1, 5]),
            (2, {"stream": ""}, [3]),
            (2, {"stream": ["a", "a:*"]}, [5, 8]),
            (3, {"stream": "a*"}, [4, 5, 8]),
            (2, {"stream": ["b", "nobody"]}, [6, 7]),
            (2, {"kind": "even"}, [6, 8]),
            (2, {"kind": "even", "stream": "b"}, [2, 6]),
            (2, {"kind": ["odd.*"], "stream": ["a", "b"]}, [5, 7]),
            (2, {"stream": "nobody"}, []),
        ],
    )
    def test_the_last(self, log, last, filters, expected):
        """The newest so many that match, in order, and what follows."""
        kinds = ["odd.n", "even"] * 4
        log.append_many(
            [{"kind": k, "stream": s} for k, s in zip(kinds, self.STREAMS, strict=True)]
        )
        page = log.read(last=last, **filters)
        assert (self.positions(page), page.cursor, page.gap) == (expected, 8, None)
        log.append("even", stream="a")
        page = log.read(page.cursor, **filters)
        assert (len(page.entries), page.cursor) in [(1, 9), (0, 9)]

    def test_the_last_in_pages(self, log):
        """A limit is of the page; without one, all that were asked for are on it."""
        self.fill(log, 300)
        page = log.read(last=250)
        assert (self.positions(page)[0], len(page.entries)) == (51, 250)
        page = log.read(last=250, limit=2)
        assert (self.positions(page), page.cursor) == ([51, 52], 52)
        assert (log.read(last=250, limit=0).cursor, log.read(last=250, limit=0).entries) == (50, [])

    def test_the_last_of_what_is_left(self, log, clock):
        """Retention, deleted streams and an empty log make no gap."""
        assert (log.read(last=5).entries, log.read(last=5).cursor) == ([], 0)
        self.fill(log, 4)
        log.append("n", stream="gone")
        self.fill(log, 2)
        log.prune(max_entries=4)
        log.stream("gone").delete()
        page = log.read(last=5)
        assert (self.positions(page), page.gap) == ([4, 6, 7, 8], None)
        log.clear()
        page = log.read(last=5, epoch="another")
        assert (self.positions(page), page.cursor, page.gap) == ([], 8, None)

    def test_the_last_that_have_not_expired(self, new_log, clock):
        log = new_log(TTL=60)
        self.fill(log, 3)
        clock.advance(61)
        self.fill(log, 2)
        page = log.read(last=3)
        assert (self.positions(page), page.gap) == ([4, 5], None)

    def test_the_last_after_a_commit(self, log):
        """What was committed before the call is among them, also if it had no position yet."""
        self.fill(log, 3)
        with self.atomic():
            self.fill(log, 2)
        assert self.positions(log.read(last=2)) == [4, 5]

    @pytest.mark.parametrize(
        "filters", [{"kind": "rare"}, {"stream": ["r", "s"]}, {"stream": "r*"}]
    )
    def test_the_last_are_looked_for_so_far(self, new_log, filters):
        """A filter without an index looks back no further than one page of it."""
        log = new_log(PAGE_SIZE=1, MAX_PAGE_SIZE=1)
        log.append_many([{"kind": "rare", "stream": "r"}] * 2)
        self.fill(log, 19)
        page = log.read(last=1, **filters)
        assert (self.positions(page), page.cursor) == ([2], 2)
        log.append("n")
        assert log.read(last=1, **filters).cursor == 22
        assert self.positions(log.read(last=1, stream="r")) == [2]

    @pytest.mark.parametrize("last", [0, -1, 1001, 1.0, "1", True, 2**70, [1]])
    def test_a_malformed_last(self, log, last):
        """From 1 to MAX_PAGE_SIZE."""
        with pytest.raises(ValueError, match="^last must be "):
            log.read(last=last)

    @pytest.mark.parametrize("since", [0, 5, "latest"])
    def test_the_last_and_a_cursor(self, log, since):
        """One of them says where to begin."""
        with pytest.raises(ValueError, match="^last stands in place of since"):
            log.read(since, last=1)
        with pytest.raises(ValueError, match="^last stands in place of since"):
            log.tail(since, last=1)

    def test_a_cursor_below_the_floor(self, log):
        """B12: the resident tail, and the exact number lost."""
        self.fill(log, 10)
        log.prune(max_entries=4)
        page = log.read(2)
        assert self.positions(page) == [7, 8, 9, 10]
        gap = page.gap
        assert (gap.reason, gap.requested, gap.first_available, gap.lost) == ("pruned", 2, 7, 4)
        assert log.read(6).gap is None

    def test_since_a_moment(self, new_log, clock):
        """From the first entry of that time on, and never a gap."""
        log = new_log(TTL=100)
        moments = []
        for _ in range(4):
            moments.append(datetime.fromtimestamp(clock(), UTC))
            log.append_many([("n", {})] * 2)
            clock.advance(10)
        moments.append(datetime.fromtimestamp(clock(), UTC))
        read = [self.positions(log.read(moment)) for moment in moments]
        assert read == [list(range(first, 9)) for first in (1, 3, 5, 7, 9)]
        assert self.positions(log.read(moments[1] + timedelta(microseconds=1))) == [5, 6, 7, 8]
        log.prune(max_entries=3)
        clock.advance(85)
        page = log.read(moments[0])
        assert (self.positions(page), page.gap) == ([7, 8], None)
        assert self.positions(log.read(moments[0], kind="x.*", limit=1)) == []
        with pytest.raises(ValueError, match="last"):
            log.read(moments[0], last=3)

    async def test_tail_since_a_moment(self, new_log, clock):
        """As a read."""
        log = new_log()
        await log.aappend("before")
        clock.advance(10)
        moment = datetime.fromtimestamp(clock(), UTC)
        await log.aappend("after")
        async for entry in log.tail(moment):
            assert entry.kind == "after"
            break
        with pytest.raises(ValueError, match="last"):
            log.tail(moment, last=3)

    def test_since_0_says_that_nothing_was_consumed(self, log):
        """B12: so what was pruned is lost to it, as it is not to earliest."""
        self.fill(log, 3)
        log.prune(max_entries=1)
        assert log.read(0).gap.lost == 2
        assert log.read("earliest").gap is None

    def test_a_cursor_of_another_epoch(self, log):
        """B13: from the start, and the gap says so."""
        self.fill(log, 3)
        page = log.read(2, epoch="somebody-elses")
        assert self.positions(page) == [1, 2, 3]
        assert (page.gap.reason, page.gap.requested) == ("epoch", 2)
        assert log.read(2, epoch=page.epoch).gap is None
        assert log.read(2, 0, epoch="somebody-elses").cursor == 0

    def test_renewing_the_epoch(self, log):
        """B13, B15: positions go on, cursors from before are told."""
        self.fill(log, 3)
        before = log.info().epoch
        assert log.renew_epoch() == log.info().epoch != before
        assert log.read(3, epoch=before).gap.reason == "epoch"
        assert log.append("n").position == 4

    # Time

    def test_the_clock_is_injected(self, log, clock):
        """B21: and an aware datetime comes out."""
        entry = log.append("n")
        assert entry.timestamp == datetime.fromtimestamp(clock.now, UTC)
        assert log.read().entries[0].timestamp == entry.timestamp

    def test_time_never_runs_backwards(self, log, clock):
        """B21: whatever the clock does."""
        first = log.append("n")
        clock.advance(-DAY)
        second = log.append("n", stream="s")
        [third] = log.append_many([("n", {})])
        assert first.timestamp == second.timestamp == third.timestamp
        clock.advance(DAY + 1)
        assert log.append("n").timestamp == first.timestamp + timedelta(seconds=1)

    def test_expired_entries_are_not_served(self, new_log, clock):
        """B17: pruned or not; and the loss is said."""
        log = new_log(TTL=60)
        self.fill(log, 2)
        clock.advance(30)
        log.append("n")
        clock.advance(31)
        assert self.positions(log.read()) == [3]
        assert log.read(0).gap.lost == 2
        assert log.read(1).gap.first_available == 3
        info = log.info()
        assert (info.head, info.floor, info.count) == (3, 2, 1)

    def test_everything_expired(self, new_log, clock):
        """B17, B15: an empty page, and positions go on."""
        log = new_log(TTL=60)
        self.fill(log, 2)
        clock.advance(61)
        page = log.read(1)
        assert (page.entries, page.cursor, page.gap.lost) == ([], 2, 1)
        assert log.append("n").position == 3

    def test_exactly_ttl_old_stays(self, new_log, clock):
        """B18: older than the TTL goes, as old as it does not."""
        log = new_log(TTL=60)
        log.append("n")
        clock.advance(60)
        assert log.prune() == 0
        assert self.positions(log.read()) == [1]
        clock.advance(0.000002)
        assert self.positions(log.read()) == []
        assert log.prune() == 1

    # Letting go

    def test_prune_removes_the_oldest_beyond_max_entries(self, log):
        """B19, B15: and tells how many."""
        self.fill(log, 10)
        assert log.prune(max_entries=10) == 0
        assert log.prune(max_entries=4) == 6
        assert log.prune(max_entries=4) == 0
        assert log.info().floor == 6
        assert log.append("n").position == 11

    def test_max_entries_comes_after_ttl(self, log, clock):
        """B19: what has expired does not count as kept."""
        self.fill(log, 3)
        clock.advance(100)
        self.fill(log, 3)
        assert log.prune(ttl=50, max_entries=2) == 4
        assert self.positions(log.read()) == [5, 6]

    def test_prune_goes_by_the_settings(self, new_log, clock):
        """B19: without arguments."""
        log = new_log(TTL=50, MAX_ENTRIES=1000)
        self.fill(log, 3)
        clock.advance(51)
        log.append("n")
        log.prune()
        assert (log.info().floor, log.info().count) == (3, 1)

    def test_a_timedelta_is_a_ttl(self, log, clock):
        log.append("n")
        clock.advance(61)
        assert log.prune(ttl=timedelta(minutes=1)) == 1

    def test_a_dry_run_removes_nothing(self, log):
        self.fill(log, 5)
        assert log.prune(max_entries=2, dry_run=True) == 3
        assert log.info().count == 5

    def test_prune_by_small_batches(self, log):
        """B7: as many rows, whatever the batch."""
        self.fill(log, 25)
        assert log.prune(max_entries=2, batch_size=4) == 23
        assert self.positions(log.read()) == [24, 25]

    def test_clear_removes_everything(self, log):
        """B15: positions and seqs go on."""
        self.fill(log, 3, stream="s")
        before = log.info()
        assert log.clear() == 3
        info = log.info()
        assert (info.head, info.floor, info.count, info.epoch) == (3, 3, 0, before.epoch)
        entry = log.append("n", stream="s")
        assert (entry.position, entry.seq) == (4, 4)

    def test_clear_of_an_empty_log(self, log):
        assert log.clear() == 0
        assert log.append("n").position == 1

    def test_retention_refuses_a_transaction(self, log):
        """B27: it would hold the head until the caller's commit."""
        for verb in (log.prune, log.clear, log.stream("s").delete, log.renew_epoch):
            with self.atomic(), pytest.raises(TransactionManagementError, match="inside a trans"):
                verb()

    # Streams

    def test_deleting_a_stream(self, log):
        """B63: it says so in the log, its events go, and no position is used again."""
        for stream in ("a", "b", "a", ""):
            log.append("n", stream=stream)
        assert log.stream("a").delete() == 2
        page = log.read()
        assert self.positions(page) == [2, 4, 5]
        deleted = page.entries[-1]
        assert (deleted.kind, deleted.stream, deleted.seq) == ("stream.deleted", "", None)
        assert deleted.payload == {"stream": "a", "events": 2}
        assert log.append("n").position == 6

    def test_holes_are_no_loss(self, log):
        """B63, B12: a reader that comes across them is told of no gap."""
        for stream in ("a", "b", "a", "a", "b"):
            log.append("n", stream=stream)
        log.stream("a").delete()
        for since in range(6):
            page = log.read(since, 1)
            assert page.gap is None
            assert self.positions(page) == [p for p in (2, 5, 6) if p > since][:1]

    def test_count_knows_of_holes(self, log):
        """B63: also when the floor passes them."""
        for stream in ("a", "b", "a", "b", "a", "b"):
            log.append("n", stream=stream)
        log.stream("a").delete()
        assert log.info().count == 4
        assert log.prune(max_entries=2) == 2
        assert (log.info().floor, log.info().count) == (4, 2)
        log.clear()
        assert log.info().count == 0

    def test_deleting_what_is_not_there(self, log):
        """B64: nothing happens, so nothing is said."""
        assert log.stream("nobody").delete() == 0
        assert log.info().head == 0

    def test_a_deleted_name_can_be_used_again(self, log):
        """B53: as a new stream, from seq 1."""
        log.append("n", stream="a")
        log.stream("a").delete()
        assert log.append("n", stream="a").seq == 1
        assert self.positions(log.read(stream="a")) == [3]

    # Transactions

    def test_a_receipt_has_no_position(self, log):
        """B26: nobody knows it before the commit."""
        with self.atomic():
            entry = log.append("n", {"a": 1}, stream="s", key="k")
            many = log.append_many([("n", {})])
        assert (entry.position, entry.seq, entry.key) == (None, None, "k")
        assert entry.payload == {"a": 1}
        assert [one.position for one in many] == [None]

    def test_what_commits_is_visible(self, log):
        """B26: as soon as the block has ended, in the order of its emits."""
        with self.atomic():
            for n in range(3):
                log.append("n", {"n": n}, stream="s")
        entries = log.read().entries
        assert [(entry.position, entry.seq, entry.payload["n"]) for entry in entries] == [
            (1, 1, 0),
            (2, 2, 1),
            (3, 3, 2),
        ]

    def test_what_rolls_back_never_was(self, log):
        """B26: it is not visible, and no position is burnt."""
        with pytest.raises(ZeroDivisionError), self.atomic():
            log.append("n", stream="s", key="k")
            1 / 0  # noqa: B018
        assert log.info().head == 0
        entry = log.append("m", stream="s", key="k")
        assert (entry.position, entry.seq) == (1, 1)

    def test_a_savepoint_takes_its_events_along(self, log):
        """B29: the ones before and after it stay."""
        with self.atomic():
            log.append("before")
            with pytest.raises(ZeroDivisionError), self.atomic():
                log.append("inside")
                1 / 0  # noqa: B018
            log.append("after")
        assert [entry.kind for entry in log.read().entries] == ["before", "after"]

    def test_only_what_follows_a_rolled_back_savepoint(self, log):
        """B29: the hook that the savepoint took along is not missed."""
        with self.atomic():
            with pytest.raises(ZeroDivisionError), self.atomic():
                log.append("inside")
                1 / 0  # noqa: B018
            log.append("after")
        assert [entry.kind for entry in log.read().entries] == ["after"]

    def test_an_emit_after_a_commit_comes_after_it(self, log):
        """B28: in the same process."""
        with self.atomic():
            log.append("first")
        assert log.append("second").position == 2

    def test_a_key_of_ones_own_transaction(self, log):
        """B30: one entry; both answers are receipts."""
        with self.atomic():
            first = log.append("n", {"a": 1}, key="k")
            again = log.append("n", {"a": 1}, key="k")
            with pytest.raises(KeyConflict):
                log.append("n", {"a": 2}, key="k")
        assert (first.position, again.position) == (None, None)
        assert self.positions(log.read()) == [1]

    def test_a_key_that_is_taken_answers_inside_a_transaction(self, log):
        """B30: with the first entry, since that has its place."""
        first = log.append("n", {"a": 1}, key="k")
        with self.atomic():
            assert log.append("n", {"a": 1}, key="k") == first
            with pytest.raises(KeyConflict):
                log.append("n", {"a": 2}, key="k")
            log.append("m")
        assert [entry.kind for entry in log.read().entries] == ["n", "m"]

    def test_a_breach_leaves_the_transaction_usable(self, log):
        """B26: the caller may catch it and go on."""
        with self.atomic():
            for payload in ({"a": {1}}, {"a": "\x00"}, {"a": "\ud800"}):
                with pytest.raises(InvalidEvent):
                    log.append("n", payload)
            log.append("n", {"fine": True})
        assert [entry.payload for entry in log.read().entries] == [{"fine": True}]

    # Asynchronous twins

    async def test_the_twins(self, log):
        """B25: every verb has one."""
        entry = await log.aappend("a", {"n": 1}, stream="s")
        assert [e.kind for e in await log.aappend_many([("b", {}), ("c", {})])] == ["b", "c"]
        assert await log.aappend_many([]) == []
        assert (await log.aread(limit=1)).entries == [entry]
        assert (await log.ainfo()).head == 3
        assert (await log.stream("s").aemit("d")).seq == 2
        assert len((await log.stream("s").aread()).entries) == 2
        assert await log.aprune(max_entries=2) == 2
        assert await log.stream("s").adelete() == 1
        assert await log.arenew_epoch()
        assert await log.aclear() == 2
        # What sync_to_async leaves open in its thread would keep the test database busy.
        await sync_to_async(connections.close_all)()
