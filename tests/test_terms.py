"""B13, B15: what a log in PostgreSQL does when another server has taken over, as its timeline tells."""

import json
import time
from dataclasses import replace
from functools import partial

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction
from django.test import Client

from events import webhooks
from events.backends.database import terms
from events.cursors import State, ended_terms
from events.durable import offsets
from events.handlers import handlers, turn
from events.handlers.models import Shard
from events.handlers.newest import Newest
from events.models import Event, Log
from events.testing import ManualClock
from events.webhooks.courier import Courier
from events.webhooks.models import Endpoint

from .support.receivers import allow_local, receiver
from .test_handlers import register  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def log(make_log):
    return make_log("postgres")


def wrote_elsewhere(log, timeline="00000000"):
    """Have another server be the one that wrote last."""
    assert Log.objects.using("postgres").filter(name=log.name).update(timeline=timeline)


def row(log):
    return Log.objects.using("postgres").get(name=log.name)


WRITES = {
    "in no stream": lambda log: log.append("n"),
    "in a stream": lambda log: log.append("n", stream="s"),
    "with a key": lambda log: log.append("n", key="k"),
    "a step": lambda log: log.stream("s").open(),
    "a batch": lambda log: log.append_many([("n", {})] * 2),
    "a deletion": lambda log: log.stream("t").delete(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_the_first_position_is_in_a_new_epoch(log, write):
    """Whatever is written first, and in one step with the position."""
    log.append("n", stream="t")
    before = log.info().epoch
    wrote_elsewhere(log)
    write(log)
    after = log.info().epoch
    assert after != before
    assert row(log).terms.split() == [f"{before}:1", f"{after}:2"]
    assert row(log).timeline == "00000001"
    assert log.read(1, epoch=before).gap is None
    assert log.read(2, epoch=before).gap.reason == "epoch"
    log.append("n")
    assert log.info().epoch == after


def test_events_of_a_transaction(log):
    """They are sequenced on the new server."""
    log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    with transaction.atomic(using="postgres"):
        log.append("n")
    assert log.read(1).epoch != before


def test_a_reader_beyond_the_head_begins_the_term(log):
    """Nothing has been written to the new server yet."""
    log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    assert log.read(1, epoch=before).gap is None
    assert log.info().epoch == before
    told = log.read(2, epoch=before)
    assert (told.gap.reason, told.cursor, told.gap.first_available) == ("epoch", 1, 1)
    assert told.epoch != before
    assert log.read(1, epoch=before).gap is None
    # Without an epoch nobody can say more.
    assert log.read(2).gap.reason == "ahead"


@pytest.mark.parametrize("refused", ["no privilege", "read only"])
def test_a_reader_that_may_not_write(log, refused):
    """It is answered as if nobody could tell, and is no error for it."""
    log.append("n")
    wrote_elsewhere(log)
    before, connection = log.info().epoch, connections["postgres"]
    with connection.cursor() as cursor:
        if refused == "read only":
            cursor.execute("SET default_transaction_read_only = on")
        else:
            cursor.execute("CREATE ROLE events_reader")
            cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO events_reader")
            cursor.execute("SET ROLE events_reader")
    try:
        assert log.read(9, epoch=before).gap.reason == "ahead"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE; SET default_transaction_read_only = off")
            if refused == "no privilege":
                cursor.execute("DROP OWNED BY events_reader; DROP ROLE events_reader")
    log.append("n")
    assert log.read(9, epoch=before).gap.reason == "epoch"


def test_a_term_that_begins_while_a_reader_looks(log, monkeypatch):
    """Between what it has read and its look at the timeline, somebody has written."""
    log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    look = terms.look

    def late(*arguments):
        log.append("n")
        return look(*arguments)

    monkeypatch.setattr(terms, "look", late)
    assert log.read(9, epoch=before).gap.reason == "epoch"


def test_a_log_from_before_is_not_disturbed(log):
    """Its row has no timeline: the first write notes it, in its one statement."""
    log.append("n")
    before = log.info().epoch
    Log.objects.using("postgres").update(timeline=None)
    log.append("n")
    assert (row(log).timeline, row(log).terms, log.info().epoch) == ("00000001", None, before)
    Log.objects.using("postgres").update(timeline=None)
    log.append_many([("n", {})] * 2)
    assert (row(log).timeline, row(log).terms, log.info().epoch) == ("00000001", None, before)


def test_renewing_ends_all_terms(log):
    log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    log.append("n")
    between = log.info().epoch
    log.renew_epoch()
    for epoch in (before, between):
        assert log.read(1, epoch=epoch).gap.reason == "epoch"
    assert row(log).terms is None


def test_the_oldest_are_forgotten(log):
    log.append("n")
    epochs = [log.info().epoch]
    for _ in range(terms.MOST):
        wrote_elsewhere(log)
        log.append("n")
        epochs.append(log.info().epoch)
    state = log.backend.read(log.query()).state
    assert [epoch for epoch, _ in state.terms] == epochs[1:-1]
    assert log.read(1, epoch=epochs[0]).gap.reason == "epoch"
    assert log.read(2, epoch=epochs[1]).gap is None


def test_in_whose_name_a_position_was_given():
    state = State(9, 0, "c", ended_terms("a:1 b:4 c:7"))
    assert [state.epoch_at(position) for position in range(1, 9)] == [*"aaabbbcc"]


@pytest.mark.parametrize("refused", ["no_such_function()", "pg_promote()"])
def test_a_service_that_tells_no_timeline(log, monkeypatch, refused):
    """Everything goes on as if there were but one server."""
    monkeypatch.setattr(terms, "_tells", {})
    monkeypatch.setattr(terms, "OF_PRIMARY", refused)
    log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    log.append("n")
    log.append_many([("n", {})] * 2)
    assert log.read(9).gap.reason == "ahead"
    assert (log.info().epoch, row(log).timeline) == (before, "00000000")


def test_a_copied_log_keeps_its_terms(log, make_log):
    """A cursor of an earlier term is as good at the new address."""
    log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    log.append("n")
    other = make_log("default")
    call_command("copy_log", "--from", log.name, "--to", other.name, verbosity=0)
    assert other.info().epoch == log.info().epoch
    assert other.read(1, epoch=before).gap is None
    assert other.read(2, epoch=before).gap.reason == "epoch"


@pytest.mark.parametrize("lost", ["source", "target"])
def test_a_copy_goes_on(make_log, lost):
    """After another server has taken over from either, as long as nothing that was copied is lost."""
    source, target = make_log("postgres"), make_log("postgres")
    copy = partial(
        call_command, "copy_log", "--from", source.name, "--to", target.name, verbosity=0
    )
    source.append("n")
    before = source.info().epoch
    copy()
    wrote_elsewhere({"source": source, "target": target}[lost])
    source.append("n")
    copy()
    assert target.info() == replace(source.info(), name=target.name)
    assert target.read(1, epoch=before).gap is None
    assert target.read(2, epoch=before).gap == source.read(2, epoch=before).gap


def test_a_copy_of_what_is_lost_does_not_go_on(make_log):
    source, target = make_log("postgres"), make_log("postgres")
    source.append_many([("n", {})] * 2)
    call_command("copy_log", "--from", source.name, "--to", target.name, verbosity=0)
    Event.objects.using("postgres").filter(log__name=source.name, position=2).delete()
    Log.objects.using("postgres").filter(name=source.name).update(head=1)
    wrote_elsewhere(source)
    source.append_many([("m", {})] * 2)
    with pytest.raises(CommandError):
        call_command("copy_log", "--from", source.name, "--to", target.name, verbosity=0)
    assert [entry.kind for entry in target.read().entries] == ["n", "n"]


@pytest.mark.parametrize("refusal", ["undefined_function", "feature_not_supported"])
def test_a_server_that_refuses_is_asked_once(log, monkeypatch, refusal):
    """It has no such function, or a service forbids it."""
    log.append("n")
    forget(monkeypatch, f"pg_temp.refuse('{refusal}')")
    with connections["postgres"].cursor() as cursor:
        cursor.execute(REFUSE)
    assert not terms.tells_timeline(connections["postgres"])
    assert terms._tells == {"postgres": False}


@pytest.mark.parametrize("trouble", ["internal_error", "data_corrupted", "lock_not_available"])
def test_a_server_that_is_in_trouble_is_asked_again(log, monkeypatch, trouble):
    """Or a promoted server would go unnoticed for as long as the process lives."""
    log.append("n")
    with monkeypatch.context() as patched:
        forget(patched, f"pg_temp.refuse('{trouble}')")
        with connections["postgres"].cursor() as cursor:
            cursor.execute(REFUSE)
        with pytest.raises(DatabaseError):
            log.append("n")
    before = log.info().epoch
    wrote_elsewhere(log)
    log.append("n")
    assert log.info().epoch != before


REFUSE = """
CREATE OR REPLACE FUNCTION pg_temp.refuse(name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('DO $x$ BEGIN RAISE %I; END $x$', name); RETURN ''; END $$"""


def forget(monkeypatch, told):
    """Have the process not know whether the server tells, and the server answer so."""
    monkeypatch.setattr(terms, "_tells", {})
    monkeypatch.setattr(terms, "OF_PRIMARY", told)


class TestCursorsThatAreStored:
    """They are in the log's database, and come back with it as they were: nothing is missing."""

    def test_a_handler_goes_on(self, log, register):  # noqa: F811
        seen = []
        h = register(lambda entry: seen.append(entry.position))
        log.append_many([("n", {})] * 2)
        h.run_once()
        wrote_elsewhere(log)
        log.append("n")
        for expected in (3, 4):
            h.run_once()
            assert (h.status().state, h.status().cursor) == ("running", expected)
            log.append("n")
        assert seen == [1, 2, 3, 4]

    def test_webhooks_go_on(self, make_log, settings, tmp_path):
        """What is tried again in the new term has the id that it had."""
        allow_local(settings)
        settings.WEBHOOKS_RETRY = (5, 5)
        clock = ManualClock()
        log = make_log("postgres", OPTIONS={"clock": clock})
        with receiver(tmp_path) as other:
            endpoint = webhooks.add(other.url("/some/1"), log=log.name)
            h = handlers[endpoint.handler_name]
            log.append("n")
            h.run_once()
            before = log.info().epoch
            wrote_elsewhere(log)
            log.append("n")
            after = log.info().epoch
            clock.advance(10)
            Endpoint.objects.using("postgres").update(url=other.url())
            for _ in (3, 4):
                h.run_once()
                log.append("n")
            h.run_once()
            assert h.status().state == "running"
            notes = [json.loads(line) for line in other.file.read_text().splitlines()]
            found = [note["headers"]["webhook-id"] for note in notes]
            first, again = [f"evt_{before}_1"] * 2
            assert sorted(found) == sorted([first, again, *(f"evt_{after}_{n}" for n in (2, 3, 4))])

    def test_webhooks_pass_nothing_by_that_came_instead(self, log, settings, tmp_path):
        """What an idle line has been passed over, and the new server does not have."""
        allow_local(settings)
        with receiver(tmp_path) as other:
            endpoint = webhooks.add(other.url(), log=log.name, kinds=["wanted"])
            h = handlers[endpoint.handler_name]
            log.append_many([("other", {})] * 5)
            h.run_once()
            courier = Courier([endpoint.handler_name])
            try:
                courier.round()
                courier.passed = float("inf")
                log.append_many([("other", {})] * 5)
                for _ in range(2):
                    courier.hear()
                    courier.refreshed = float("-inf")
                    courier.round()
                [line] = courier.lines.values()
                assert (line.passed, h.status().cursor) == (10, 5)
                # As the new server has it.
                Event.objects.using("postgres").filter(log__name=log.name, position__gt=7).delete()
                Log.objects.using("postgres").filter(name=log.name).update(head=7)
                wrote_elsewhere(log)
                log.append_many([("wanted", {})] * 3)
                courier.hear()
                courier.refreshed = courier.passed = float("-inf")
                while True:
                    courier.round()
                    if (state := h.status()).state != "running" or not state.lag:
                        break
                    courier.collect(0.1)
                    courier.refreshed = float("-inf")
            finally:
                courier.close()
            assert (state.state, state.cursor) == ("running", 10)
            assert len(other.file.read_text().splitlines()) == 3

    @pytest.mark.parametrize("sent", [False, True])
    def test_webhooks_that_have_read_ahead(self, log, settings, tmp_path, sent):
        """What a line has read, and the new server does not have, is not sent; or, if it was under way
        by then, it is not what the cursor passes."""
        allow_local(settings)
        with receiver(tmp_path) as other:
            endpoint = webhooks.add(other.url(), log=log.name)
            h = handlers[endpoint.handler_name]
            log.append_many([("n", {})] * 5)
            h.run_once()
            other.file.write_text("")
            courier = Courier([endpoint.handler_name])
            try:
                courier.round()
                [line] = courier.lines.values()
                log.append_many([("old", {})] * 5)
                courier.look()
                assert line.queued
                if sent:
                    courier.settle()
                # As the new server has it, which the process has not heard of yet.
                Event.objects.using("postgres").filter(log__name=log.name, position__gt=5).delete()
                Log.objects.using("postgres").filter(name=log.name).update(head=5)
                wrote_elsewhere(log)
                log.append_many([("new", {})] * 3)
                courier.settle()
                while courier.is_busy or h.status().lag:
                    if h.status().state != "running":
                        break
                    courier.collect(0.1)
                    courier.hear()
                    courier.round()
            finally:
                courier.close()
            notes = [json.loads(line)["body"] for line in other.file.read_text().splitlines()]
            found = [json.loads(note)["data"] for note in notes]
            assert [(one["position"], one["kind"]) for one in found] == [
                *[(6, "old")] * sent, (6, "new"), (7, "new"), (8, "new"),
            ]  # fmt: skip
            assert h.status().state == "running"

    def test_offsets_of_durable_streams(self, make_log, settings):
        """Good up to where the term began; what was taken back is Gone."""
        settings.ROOT_URLCONF = "tests.support.durable_urls"
        log = make_log("postgres", name="open", POLICY="tests.support.durable_urls.Open")
        client, url = Client(), "/v1/stream/a"
        kind = {"content_type": "application/json"}
        assert client.put(url, "[1]", **kind).status_code == 201
        before = log.info().epoch
        head = log.info().head
        wrote_elsewhere(log)
        assert client.post(url, "[2]", **kind).status_code == 204
        answer = client.get(url, {"offset": offsets.shown(before, head)})
        assert (answer.status_code, answer.json()) == (200, [2])
        assert answer["Stream-Next-Offset"] == offsets.shown(log.info().epoch, head + 1)
        assert client.get(url, {"offset": offsets.shown(before, head + 1)}).status_code == 410

    def test_a_handler_without_a_transaction(self, log, register):  # noqa: F811
        """What it was called for, and the new server does not have, the cursor does not pass."""
        seen = []

        def act(entry):
            seen.append(entry.payload["n"])
            if seen == ["old"]:
                # The next statement is another server's, as behind PgBouncer.
                Event.objects.using("postgres").filter(log__name=log.name).delete()
                Log.objects.using("postgres").filter(name=log.name).update(head=0)
                wrote_elsewhere(log)
                log.append_many([("n", {"n": "new"}), ("n", {"n": "newer"})])

        h = register(act, atomic=False)
        log.append("n", {"n": "old"})
        for _ in range(2):
            h.run_once()
        assert (seen, h.status().state) == (["old", "new", "newer"], "running")

    def test_a_handler_that_has_read_ahead(self, log, register):  # noqa: F811
        """What it has read, and the new server does not have, it does not act upon."""
        seen = []
        h = register(lambda entry: seen.append(entry.payload["n"]))
        log.append_many([("n", {"n": n}) for n in (1, 2, 3)])
        newest = Newest(log.backend)
        newest.look()
        log.append_many([("n", {"n": n}) for n in (4, 5)])
        newest.look()
        h.run_once()
        [shard] = Shard.objects.using("postgres").filter(subscription__name="h")
        # As they were on the new server.
        Shard.objects.using("postgres").filter(pk=shard.pk).update(cursor=3)
        Event.objects.using("postgres").filter(log__name=log.name, position__gt=4).delete()
        Log.objects.using("postgres").filter(name=log.name).update(head=4)
        wrote_elsewhere(log)
        shard.refresh_from_db()
        seen.clear()
        work = turn.work_on(handlers.specs()["h"], shard, read=newest.read)
        turn.run_shard(work, time.monotonic() + 5)
        assert seen == [4]
        log.append("n", {"n": 6})
        turn.run_shard(work, time.monotonic() + 5)
        assert seen == [4, 6]
