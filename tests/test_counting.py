"""What a backend counts for the admin: how a log stands, and what came when."""

from collections import Counter
from itertools import pairwise

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from events.backends.database import counting
from events.models import Event, Log, Stream
from events.testing import ManualClock
from events.types import from_micros, to_micros

from .support.admin import fill
from .support.databases import DATABASES

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

KINDS = ("job.done", "job.done", "job.started", "job.done", "order.paid")


@pytest.fixture(params=DATABASES)
def log(request, make_log):
    return make_log(request.param)


def rows_of(log):
    return Event.objects.using(log.backend.alias).filter(log__name=log.name)


def counted(log, start, end, **stream):
    """The same by Django, from all of the rows."""
    some = rows_of(log).filter(
        timestamp__gte=from_micros(start), timestamp__lt=from_micros(end), **stream
    )
    return Counter(some.values_list("kind", flat=True))


def test_every_stretch_is_counted(log):
    """Up to 20,000 events, one by one, whatever holes a deleted stream has left, and nothing of
    what was pruned."""
    fill(log, 3_000, kinds=KINDS, streams=("kept", "kept", "gone"), start=1_000, step=7)
    rows_of(log).filter(stream="gone").delete()
    Log.objects.using(log.backend.alias).filter(name=log.name).update(removed=1_000, floor=300)
    edges = [0, 1_000, 2_500, 2_501, 9_000, 9_000, 20_000, 50_000]
    found = log.backend.stretches(edges)
    assert [(one.start, one.end) for one in found] == list(pairwise(edges))
    pruned = to_micros(rows_of(log).get(position=301).timestamp)
    for one in found:
        assert one.kinds == counted(log, max(one.start, pruned), one.end)
        assert one.total == sum(one.kinds.values())
        assert not one.estimated


def test_the_kinds_of_the_last_hour_are_among_those_of_the_last_day(log):
    """7,635 events of one hour are the same ones whatever stretches they are counted in, and each
    time."""
    fill(log, 7_635, kinds=KINDS, start=1_000_000, step=400_000)
    hour, day = (
        log.backend.stretches(range(0, 4_000_000_000, width))
        for width in (60_000_000, 1_800_000_000)
    )
    truth = Counter({"job.done": 4_581, "job.started": 1_527, "order.paid": 1_527})
    for found in (hour, day, log.backend.stretches([0, 500_000_000, 4_000_000_000])):
        assert sum((Counter(one.kinds) for one in found), Counter()) == truth


def test_more_than_that_is_estimated_and_says_so(log, monkeypatch):
    """The newest are counted; older ones are sampled, their total is exact where there are no
    holes, and what is loaded again says the same."""
    monkeypatch.setattr(counting, "EXACT", 2_000)
    fill(log, 10_000, kinds=KINDS, start=0, step=1_000)
    edges = list(range(0, 10_000_001, 1_000_000))
    found = log.backend.stretches(edges)
    assert [one.estimated for one in found] == [True] * 8 + [False] * 2
    assert [one.total for one in found] == [999, *[1_000] * 9]
    for one in found[:8]:
        assert sum(one.kinds.values()) == one.total
        assert 350 < one.kinds["job.done"] < 850
    log.append("n")
    assert log.backend.stretches(edges)[:8] == found[:8]


def test_an_estimate_leaves_room_for_holes(log, monkeypatch):
    """Half of the positions went with their stream, so there are about half as many events."""
    monkeypatch.setattr(counting, "EXACT", 1_000)
    fill(log, 10_000, kinds=("a", "b", "b"), streams=("kept", "gone"), start=1, step=1)
    rows_of(log).filter(stream="gone").delete()
    [one] = log.backend.stretches([0, 20_000])
    assert one.estimated
    assert 3_000 < one.total < 7_000


def test_a_stream_is_counted_by_itself(log):
    """Whatever came in between."""
    fill(log, 5_000, kinds=KINDS, streams=("s", "other", "other"), start=1, step=1)
    found = log.backend.stretches([0, 1_000, 3_000, 9_000], "s")
    for one in found:
        assert one.kinds == counted(log, one.start, one.end, stream="s")
        assert not one.estimated
    assert [one.total for one in log.backend.stretches([0, 9_000], "none")] == [0]


def test_a_long_stream_is_sampled(log, monkeypatch):
    """Its numbers are dense, so that the totals are exact all the same; and a step in its life
    stands for itself alone."""
    monkeypatch.setattr(counting, "EXACT", 1_000)
    fill(log, 6_000, kinds=("a", "a", "b"), streams=("s", "other"), start=1, step=1)
    rows_of(log).filter(position=2).update(kind="stream.opened")
    found = log.backend.stretches([0, 2_001, 4_001, 9_000], "s")
    assert all(one.estimated for one in found)
    assert [one.total for one in found] == [
        sum(counted(log, one.start, one.end, stream="s").values()) for one in found
    ]
    assert found[0].kinds["stream.opened"] == 1
    assert all(sum(one.kinds.values()) == one.total for one in found)


def test_what_has_expired_is_not_counted(make_log):
    """B17: nobody is served it."""
    clock = ManualClock()
    log = make_log(TTL=10, OPTIONS={"clock": clock})
    log.append("old")
    clock.advance(11)
    log.append("new")
    [one] = log.backend.stretches([0, log.backend.now() + 1])
    assert one.kinds == {"new": 1}
    found = log.backend.figures()
    assert (found.count, found.floor, found.expired) == (1, 1, 1)
    assert found.oldest == found.newest
    assert found.oldest_age == 11


def test_how_a_log_stands(log):
    """Streams by status, and those that somebody ought to have failed."""
    for name in ("a", "b", "c"):
        log.stream(name).open(idle_timeout=60)
    log.stream("c").wait()
    streams = Stream.objects.using(log.backend.alias).filter(log__name=log.name)
    streams.filter(name="a").update(last_event_at=from_micros(log.backend.now() - 100_000_000))
    found = log.backend.figures()
    assert (found.head, found.count, found.running, found.waiting, found.idle) == (4, 4, 2, 1, 1)
    assert (found.pending, found.refused, found.deletions, found.has_holes) == (0, 0, 0, False)


def test_a_log_without_a_row(log):
    """It has nothing, and gets no row by that."""
    assert log.backend.figures().head == 0
    assert [one.total for one in log.backend.stretches([0, 1, 2])] == [0, 0]
    assert not Log.objects.using(log.backend.alias).filter(name=log.name).exists()


@pytest.mark.parametrize("alias", ["default", "postgres"])
def test_it_takes_two_statements(make_log, alias):
    """However many stretches there are."""
    log = make_log(alias)
    fill(log, 5_000, start=0, step=1_000)
    with CaptureQueriesContext(connections[log.backend.alias]) as queries:
        log.backend.stretches(range(0, 5_000_000, 50_000))
    assert len(queries) == 2


@pytest.mark.parametrize("backend", ["memory", "disabled"])
def test_a_backend_may_lack_it(make_log, backend):
    """Then it answers None."""
    log = make_log(BACKEND=backend)
    assert log.backend.figures() is None
    assert log.backend.stretches([0, 1]) is None


READS = {
    "the first page": lambda log: log.read(limit=5),
    "a page": lambda log: log.read(since=15_000, limit=5),
    "a stream": lambda log: log.read(since=15_000, limit=5, stream="s"),
    "two streams": lambda log: log.read(since=15_000, limit=5, stream=["s", "t"]),
    "a rare kind": lambda log: log.read(since=1_000, limit=5, kind="none"),
    "a moment": lambda log: log.backend.position_at(log.backend.now() - 1_000_000_000),
    "where it stands": lambda log: log.info(),
    "figures": lambda log: log.backend.figures(),
    "stretches": lambda log: log.backend.stretches(
        [log.backend.now() - 100_000_000, log.backend.now()]
    ),
}


@pytest.mark.parametrize("ttl", [None, 3600])
def test_mariadb_reads_by_position(make_log, monkeypatch, ttl):
    """A few rows of 20,000, although it does not enter an index at a bound that an outer row or a
    common table tells: it would walk there from the first entry, in every read."""
    monkeypatch.setattr("events.cursors.SCAN_PAGES", 1)
    log = make_log("mariadb", TTL=ttl)
    fill(log, 20_000, ("s", "t"), start=log.backend.now() - 5_000_000_000, step=250_000)
    rows = {}
    for name, read in READS.items():
        with connections["mariadb"].cursor() as cursor:
            cursor.execute("FLUSH LOCAL STATUS")
            read(log)
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
            rows[name] = sum(int(count) for _, count in cursor.fetchall())
    assert max(rows.values()) < 1_500, rows
