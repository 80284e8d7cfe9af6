"""The newest entries of a log, which the handlers of a process read once for all of them."""

import pytest

from events.cursors import Query
from events.handlers import newest
from events.handlers.newest import Newest
from events.handlers.spec import is_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(make_log):
    return make_log()


@pytest.fixture
def known(log):
    """What is known of a log with five entries, from its third on."""
    log.append_many([("a",)] * 2)
    found = Newest(log.backend)
    found.look()
    log.append_many([{"kind": "b", "stream": "x"}, ("a",), ("b",)])
    found.look()
    return found


def query(known, since, **options):
    return Query(since=since, epoch=known.known.state.epoch, whole=True, **options)


def positions(rows):
    return [row.position for row in rows]


def test_what_they_reach_back_to_is_not_read(known, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert positions(known.read(query(known, 2)).rows) == [3, 4, 5]
        found = known.read(query(known, 2, exact=("b",), limit=1))
        assert (positions(found.rows), found.cursor) == ([3], 3)
        found = known.read(query(known, 3, exact=("c",)))
        assert (found.rows, found.cursor, found.state.head) == ([], 5, 5)


def test_what_is_older_is_read(known, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert positions(known.read(query(known, 1)).rows) == [2, 3, 4, 5]


def test_another_epoch_is_left_to_the_log(log, known):
    before = query(known, 2)
    log.renew_epoch()
    known.look()
    assert (known.known.start, known.known.end) == (5, 5)
    assert known.read(before).gap.reason == "epoch"


def test_only_so_many_are_kept(log, known, monkeypatch):
    monkeypatch.setattr(newest, "MOST", 4)
    log.append_many([("a",)] * 3)
    known.look()
    assert positions(known.known.rows) == [5, 6, 7, 8]
    assert (known.known.start, known.known.end) == (4, 8)
    monkeypatch.setattr(newest, "MOST_TEXT", 5)
    log.append("a")
    known.look()
    assert positions(known.known.rows) == [8, 9]


def test_of_very_many_the_last_are_waited_for(log, known, monkeypatch):
    """Who is behind reads for itself."""
    monkeypatch.setattr(newest, "MOST", 2)
    monkeypatch.setattr(newest.store, "PAGE", 3)
    log.append_many([("a",)] * 9)
    known.look()
    assert (known.known.start, known.known.rows) == (14, [])


def test_a_stream_is_in_the_shard_that_its_hash_says():
    """CRC-32 of the name, modulo their number; no stream is the empty name."""
    # zlib.crc32(b"run-42") is 1586205986.
    assert [is_in("run-42", number, 4) for number in range(4)] == [False, False, True, False]
    assert is_in("", 0, 7)
    assert is_in("anything", 0, 1)
