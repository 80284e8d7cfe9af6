"""How a log stands, for a monitor: in a command, and scraped from a server."""

import json
import re

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction

from events.backends.database import hook
from events.backends.memory import MemoryBackend
from events.models import Outbox
from events.status import status_of
from events.testing import ManualClock

from .support.databases import DATABASES
from .support.emitter import emitter
from .support.live_clients import event_stream
from .support.sites import PAIRS, scratch_site

metrics = pytest.importorskip("events.metrics", reason="prometheus_client is not installed")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("alias", [*DATABASES, "memory"])
class TestNumbers:
    @pytest.fixture
    def log(self, make_log, alias, clock):
        if alias == "memory":
            return make_log(BACKEND="memory", TTL=None, OPTIONS={"clock": clock})
        return make_log(alias, OPTIONS={"clock": clock})

    def test_entries(self, log):
        """Of a new log, and of one that was pruned."""
        assert (status_of(log).head, status_of(log).count) == (0, 0)
        log.append_many([("n", {})] * 5)
        log.prune(max_entries=2)
        found = status_of(log)
        assert (found.log, found.head, found.floor, found.count) == (log.name, 5, 3, 2)
        assert (found.outbox, found.outbox_age, found.set_aside) == (0, 0, 0)

    def test_streams(self, log, clock, alias):
        """Open ones, and those that nobody fails although their time is over."""
        for name in ("a", "b", "c", "d"):
            log.stream(name).open(idle_timeout=60 if name == "a" else None)
        log.stream("b").wait()
        log.stream("c").complete()
        found = status_of(log)
        nothing = None if alias == "memory" else 0
        assert (found.open_streams, found.overdue_streams) == (3, nothing)
        clock.advance(100)
        assert status_of(log).overdue_streams == (None if alias == "memory" else 1)
        log.reconcile()
        found = status_of(log)
        assert (found.open_streams, found.overdue_streams) == (2, nothing)


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("alias", ["postgres", "mariadb"])
def test_an_outbox_that_is_not_drained(make_log, alias, clock, monkeypatch):
    """How much waits, and for how long; to look does not drain it."""
    log = make_log(alias, OPTIONS={"clock": clock})
    monkeypatch.setattr(hook.Hook, "__call__", lambda hook: None)
    with transaction.atomic(using=alias):
        log.append("n")
    clock.advance(30)
    with transaction.atomic(using=alias):
        log.stream("run").open()
    for _ in range(2):
        found = status_of(log)
        assert (found.head, found.outbox, found.outbox_age) == (0, 2, 30)
    log.read()
    found = status_of(log)
    assert (found.head, found.outbox, found.outbox_age) == (2, 0, 0)
    Outbox.objects.using(alias).create(log=log.name, kind="n", payload="{}", refused="why")
    assert status_of(log).set_aside == 1


@pytest.mark.django_db
class TestCommand:
    def run(self, capsys, *arguments, **options):
        call_command("events_status", *arguments, **options)
        return capsys.readouterr().out

    def test_json(self, make_log, capsys):
        """Every log, or one; who follows is not known here."""
        log = make_log()
        log.append("n")
        found = json.loads(self.run(capsys, "--json"))
        assert {one["log"] for one in found} == {"default", log.name}
        [one] = json.loads(self.run(capsys, "--json", "--log", log.name))
        assert (one["head"], one["count"], one["outbox"], one["followers"]) == (1, 1, 0, None)

    def test_for_a_person(self, make_log, capsys):
        """A line for each log, below its heading."""
        log = make_log(BACKEND="memory", TTL=None)
        log.append("n")
        heading, line = self.run(capsys, "--log", log.name).splitlines()
        assert heading.split()[:4] == ["log", "head", "floor", "count"]
        assert line.split()[:4] == [log.name, "1", "0", "1"]
        assert line.endswith("-")
        assert self.run(capsys, verbosity=0) == ""

    def test_an_unknown_log(self, capsys):
        """It says which there are."""
        with pytest.raises(CommandError, match="'default'"):
            self.run(capsys, "--log", "nope")


class Down(MemoryBackend):
    def info(self):
        raise OperationalError("the database does not answer")


@pytest.mark.django_db
def test_a_log_that_cannot_be_read(make_log):
    """The others are shown all the same."""
    down, log = make_log(BACKEND=f"{__name__}.Down"), make_log(BACKEND="memory", TTL=None)
    log.append("n")
    found = {
        (sample.name, sample.labels["log"]): sample.value
        for metric in metrics.EventsCollector().collect()
        for sample in metric.samples
    }
    assert found["events_up", down.name] == 0
    assert ("events_head", down.name) not in found
    assert found["events_up", log.name] == found["events_head", log.name] == 1


@pytest.mark.parametrize(("database", "server"), PAIRS)
async def test_what_prometheus_scrapes(tmp_path, database, server):
    """From a server process, with who follows there."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.support.metrics_settings"}
    with (
        scratch_site(database, tmp_path, **settings) as site,
        site.serve(server) as (_, address),
        emitter(site) as process,
    ):
        cookies = {"sessionid": site.sign_in()}

        def scrape():
            answer = httpx.get(f"{address}/metrics/")
            assert answer.headers["content-type"].startswith("text/plain")
            lines = re.findall(r'^(events_\w+)\{log="default"\} (\S+)$', answer.text, re.M)
            assert 'events_head{log="ticks"} 0.0' in answer.text
            return {name: float(value) for name, value in lines}

        process.emit_many(7, stream="s")
        process.do("log.stream('run').open() and None")
        found = scrape()
        assert found["events_up"] == 1
        assert found["events_head"] == found["events_entries"] == 8
        assert found["events_streams_open"] == 1
        assert found["events_followers"] == found["events_outbox"] == 0
        assert set(found) == {metrics.UP[0], *(name for name, _ in metrics.GAUGES.values())}
        async with event_stream(address, cookies, since=0) as stream:
            await stream.positions(8)
            assert scrape()["events_followers"] == 1
