"""Clocks that cannot be right, and what one of them may have left in a log."""

import logging
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from events.backends import clock as clocks
from events.exceptions import EventsError
from events.models import Outbox
from events.testing import ManualClock
from events.types import Status

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

DAY = 86_400


@pytest.fixture(params=["default", "postgres", "mariadb", "memory"])
def make(request, make_log):
    if request.param == "memory":
        return lambda **config: make_log(BACKEND="memory", **config)
    return lambda **config: make_log(request.param, **config)


@pytest.fixture
def clock():
    clocks._tell.cache_clear()
    return ManualClock()


@pytest.fixture
def log(make, clock):
    return make(OPTIONS={"clock": clock}, TTL=30 * DAY)


@pytest.fixture(params=["default", "postgres", "mariadb"])
def own(request, make_log):
    """A log by the time of its process, which can be set."""
    log = make_log(request.param)
    clock = SimpleNamespace(ahead=0)
    set_clock(log, lambda: time.time() + clock.ahead)
    return log, clock


def set_clock(log, clock):
    object.__setattr__(log.settings, "clock", clock)


class TestImplausible:
    @pytest.mark.parametrize(
        "seconds", [1_795_966_234_771, 0, -5, float("nan"), float("inf"), 946_684_799]
    )
    def test_such_a_time_is_refused(self, log, clock, seconds):
        """Nothing is stored, and what is there can be read."""
        right = clock.now
        log.append("n")
        clock.now = seconds
        with pytest.raises(EventsError, match="between 2000 and 2200"):
            log.append("n")
        with pytest.raises(EventsError, match="between 2000 and 2200"):
            log.append_many([("n", {}), ("n", {})])
        with pytest.raises(EventsError):
            log.stream("run").open()
        with pytest.raises(EventsError):
            log.prune(ttl=60)
        assert [entry.position for entry in log.read().entries] == [1]
        assert log.info().head == 1
        clock.now = right
        assert log.append("n").position == 2

    def test_in_a_transaction(self, log, clock):
        """The caller hears of it before its commit."""
        clock.now *= 1000
        alias = log.backend.alias
        with pytest.raises(EventsError), transaction.atomic(using=alias):
            log.append("n")
        assert not Outbox.objects.using(alias).filter(log=log.name).exists()
        clock.now /= 1000
        assert log.info().head == 0

    def test_far_ahead_of_the_database(self, own):
        """Also when the clock was right at first; in a transaction as well."""
        log, clock = own
        log.append("n")
        clock.ahead = 2 * DAY
        for _ in range(2):
            with pytest.raises(EventsError, match="ahead of the database"):
                log.append("n")
        with pytest.raises(EventsError), transaction.atomic(using=log.backend.alias):
            log.append("n")
        assert log.info().head == 1
        clock.ahead = DAY / 2
        assert log.append("n").position == 2

    def test_it_costs_no_query_that_anybody_counts(self, own):
        """A project's own tests count theirs, and would find one more in the first of them."""
        log, clock = own
        log.append("n")
        counts = []
        for ahead in (0, 1000):
            clock.ahead = ahead
            with CaptureQueriesContext(log.backend.connection) as captured:
                log.append("n")
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_a_clock_of_ones_own_may_run_ahead(self, log, clock):
        """Simulations and tests do."""
        clock.advance(400 * DAY)
        assert log.append("n").timestamp == datetime.fromtimestamp(clock.now, UTC)


class TestAfterOneFromTheFuture:
    @pytest.fixture
    def bent(self, log, clock):
        """One event ten days ahead, and the clock is right again."""
        log.append("n", stream="run")
        clock.advance(10 * DAY)
        log.append("n", stream="late")
        clock.advance(-10 * DAY)
        return log

    def test_somebody_is_told(self, bent, caplog):
        """Once, and what to do."""
        bent.append("n")
        bent.append("n", stream="a")
        with transaction.atomic(using=bent.backend.alias):
            bent.append("n")
        bent.read()
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        [record] = errors
        assert "renew_epoch --reset-clock" in record.getMessage()

    @pytest.mark.parametrize("inside", [False, True])
    def test_silent_streams_fail_in_time(self, bent, clock, inside):
        """The watchdog goes by now, whatever time the log has come to."""
        if inside:
            with transaction.atomic(using=bent.backend.alias):
                bent.stream("task").open(idle_timeout=60)
                bent.stream("task").emit("n")
        else:
            bent.stream("task").open(idle_timeout=60)
            bent.stream("task").emit("n")
        assert bent.reconcile() == []
        clock.advance(59)
        assert bent.reconcile() == []
        clock.advance(2)
        assert bent.reconcile() == ["task"]
        assert bent.stream("task").status == Status.FAILED

    def test_one_that_was_last_heard_of_in_the_future(self, log, clock):
        """It has its time from the first look on."""
        clock.advance(10 * DAY)
        log.stream("task").open(idle_timeout=60)
        clock.advance(-10 * DAY)
        assert log.reconcile() == []
        clock.advance(61)
        assert log.reconcile() == ["task"]

    def test_reset(self, bent, clock):
        """Times are right again, rise with positions, and readers are told of a new epoch."""
        bent.append("n")
        epoch = bent.info().epoch
        clock.advance(5)
        bent.renew_epoch(reset_clock=True)
        clock.advance(5)
        bent.append("n")
        now = datetime.fromtimestamp(clock.now, UTC)
        seconds = [(entry.timestamp - now) / timedelta(seconds=1) for entry in bent.read().entries]
        assert seconds == [-10, -5, -5, 0]
        assert bent.read(0, epoch=epoch).gap.reason == "epoch"
        clock.advance(30 * DAY - 6)
        assert [entry.position for entry in bent.read().entries] == [2, 3, 4]
