"""Webhooks: what is emitted reaches the other side, signed, in order, whatever that does."""

import json
import threading
from datetime import timedelta

import pytest
import standardwebhooks
from django.core.exceptions import ValidationError
from django.db import OperationalError, connections, transaction

from events import webhooks
from events.handlers import handlers
from events.handlers.models import Held, Subscription
from events.testing import ManualClock
from events.webhooks import sending
from events.webhooks.courier import Courier
from events.webhooks.line import Books
from events.webhooks.models import Delivery, Endpoint

from .support.databases import DATABASES, skip_unless
from .support.receivers import allow_local, receiver
from .support.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

RETRY = (5, 300, 1800)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    with receiver(tmp_path_factory.mktemp("receiver")) as found:
        yield found


@pytest.fixture(autouse=True)
def local(settings):
    """The receiver is on this machine, without TLS."""
    allow_local(settings)
    settings.WEBHOOKS_RETRY = RETRY


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=DATABASES)
def alias(request):
    skip_unless(request.param)
    return request.param


@pytest.fixture
def log(make_log, clock):
    return make_log(OPTIONS={"clock": clock})


def run(endpoint):
    """What is due now; how many answers came."""
    return handlers[endpoint.handler_name].run_once()


def fresh(endpoint):
    return Endpoint.objects.using(endpoint._state.db).get(pk=endpoint.pk)


def status(endpoint):
    return handlers[endpoint.handler_name].status()


@pytest.fixture
def add(log):
    def add(url, **options):
        return webhooks.add(url, log=log.name, **options)

    return add


class TestDelivery:
    def test_an_event_arrives_signed(self, log, add, other):
        """As Standard Webhooks has it, which its own library verifies."""
        endpoint = add(other.url())
        entry = log.append("order.paid", {"sum": 12, "café": "☕"}, stream="order-7", key="secret")
        assert run(endpoint) == 1
        [note] = other.notes(endpoint.url)
        data = standardwebhooks.Webhook(endpoint.secret).verify(note["body"], note["headers"])
        assert data["type"] == "order.paid"
        assert data["data"] == entry.to_dict()
        assert data["timestamp"] == entry.to_dict()["timestamp"]
        assert note["method"] == "POST"
        assert set(note["headers"]) == {
            "host", "user-agent", "accept", "content-type", "content-length",
            "webhook-id", "webhook-timestamp", "webhook-signature",
        }  # fmt: skip

    @pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "body"])
    def test_the_signature_covers_id_time_and_body(self, log, add, other, part):
        endpoint = add(other.url())
        log.append("n")
        run(endpoint)
        [note] = other.notes(endpoint.url)
        place = note if part == "body" else note["headers"]
        changed = place[part].replace("n", "m") if part == "body" else place[part][:-1] + "7"
        if changed == place[part]:
            changed = place[part][:-1] + "8"
        place[part] = changed
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(endpoint.secret).verify(note["body"], note["headers"])

    def test_a_secret_that_was_replaced_signs_for_a_while(self, log, add, other):
        endpoint = add(other.url())
        old = endpoint.secret
        new = endpoint.rotate(overlap=timedelta(hours=1))
        assert new != old
        log.append("n")
        run(endpoint)
        [note] = other.notes(endpoint.url)
        assert len(note["headers"]["webhook-signature"].split(" ")) == 2
        for secret in (old, new):
            assert standardwebhooks.Webhook(secret).verify(note["body"], note["headers"])
        endpoint.rotate(overlap=timedelta(0))
        assert len(fresh(endpoint).secrets) == 1

    def test_secrets_that_were_replaced_are_few(self, add, other):
        """Each of them is one more signature on every message."""
        endpoint = add(other.url())
        made = [endpoint.rotate() for _ in range(20)]
        assert fresh(endpoint).secrets == made[:-6:-1]

    def test_it_gets_what_is_emitted_after_it_was_made(self, log, add, other):
        """Whenever its first delivery is."""
        log.append("n")
        endpoint = add(other.url())
        log.append("n")
        log.append("n")
        run(endpoint)
        assert other.positions(endpoint.url) == [2, 3]
        assert status(endpoint).lag == 0

    def test_one_made_in_a_transaction_begins_there(self, log, add, other):
        log.append("n")
        with transaction.atomic():
            endpoint = add(other.url())
            log.append("n")
        run(endpoint)
        assert other.positions(endpoint.url) == [2]

    def test_it_gets_the_kinds_and_streams_that_it_wants(self, log, add, other):
        some = add(other.url(), kinds=["order.*", "exact"], streams=["red:*", "blue"])
        every = add(other.url())
        for kind, stream in [
            ("order.paid", "red:1"), ("order.paid", "green"), ("exact", "blue"),
            ("exact.not", "blue"), ("order.paid", ""),
        ]:  # fmt: skip
            log.append(kind, stream=stream)
        run(some)
        run(every)
        assert other.positions(some.url) == [1, 3]
        assert other.positions(every.url) == [1, 2, 3, 4, 5]
        assert status(some).cursor == 5

    def test_every_attempt_is_noted(self, log, add, other):
        endpoint = add(other.url("/status/503"))
        log.append("n")
        run(endpoint)
        [one] = Delivery.objects.filter(endpoint=endpoint)
        assert (one.position, one.attempt, one.status, one.answer) == (1, 1, 503, "told")
        assert one.webhook_id == other.notes(endpoint.url)[0]["headers"]["webhook-id"]
        assert fresh(endpoint).last_used_at
        assert not fresh(endpoint).last_success_at

    @pytest.mark.django_db(databases="__all__", transaction=True)
    def test_on_every_database(self, alias, make_log, other):
        log = make_log(alias)
        endpoint = webhooks.add(other.url("/some/2"), log=log.name, parallel=3)
        for n in range(6):
            log.append("n", stream=f"s{n % 2}")
        run(endpoint)
        assert sorted(other.positions(endpoint.url)) == [1, 2, 3, 5]
        assert Held.objects.using(alias).count() == 3
        assert Delivery.objects.using(alias).count() == 4
        assert status(endpoint).held == 1


class TestTrouble:
    @pytest.mark.parametrize(
        "path", ["/status/500", "/status/503", "/status/429", "/early", "/redirect/http://127.0.0.1:1"]
    )  # fmt: skip
    def test_a_silent_endpoint_rests_as_a_whole(self, log, add, other, clock, path):
        """Its cursor stays, nothing is held, and each step of the schedule is one probe."""
        endpoint = add(other.url(path))
        for n in range(5):
            log.append("n", stream=f"s{n}")
        run(endpoint)
        run(endpoint)
        assert other.positions(endpoint.url) == [1]
        assert (status(endpoint).cursor, Held.objects.count()) == (0, 0)
        clock.advance(4.9)
        assert run(endpoint) == 0
        clock.advance(1)
        assert run(endpoint) == 1
        assert len({note["headers"]["webhook-id"] for note in other.notes(endpoint.url)}) == 1
        assert fresh(endpoint).failures == 2

    def test_a_silent_endpoint_is_probed_by_one_line(self, log, add, other, clock):
        """Of all those that deliver to it at the same time."""
        endpoint = add(other.url("/status/503"), parallel=4)
        for n in range(20):
            log.append("n", stream=f"s{n}")
        run(endpoint)
        sent = len(other.notes(endpoint.url))
        clock.advance(6)
        run(endpoint)
        assert len(other.notes(endpoint.url)) == sent + 1

    def test_an_endpoint_that_recovers_gets_all_in_order(self, log, add, other, clock):
        endpoint = add(other.url("/status/503"))
        for _ in range(5):
            log.append("n", stream="s")
        run(endpoint)
        Endpoint.objects.filter(pk=endpoint.pk).update(url=other.url())
        endpoint = fresh(endpoint)
        assert run(endpoint) == 0
        clock.advance(6)
        assert run(endpoint) == 5
        assert other.positions(endpoint.url) == [1, 2, 3, 4, 5]
        found = fresh(endpoint)
        assert (found.failures, found.next_attempt_at, found.failing_since) == (0, None, None)
        assert found.last_success_at

    def test_retry_after_is_respected(self, log, add, other, clock):
        endpoint = add(other.url("/status/429/Retry-After:%201000".replace("%20", "")))
        log.append("n")
        run(endpoint)
        clock.advance(999)
        assert run(endpoint) == 0
        clock.advance(2)
        assert run(endpoint) == 1

    def test_an_event_that_is_refused_is_held_alone(self, log, add, other, clock):
        """With what follows it in its stream. Everything else goes on."""
        endpoint = add(other.url("/some/2"))
        for stream in ("a", "b", "a", "b", "", "a"):
            log.append("n", stream=stream)
        run(endpoint)
        assert other.positions(endpoint.url) == [1, 2, 3, 5, 6]
        [held] = handlers[endpoint.handler_name].held()
        assert (held.position, held.behind, held.error) == (2, 1, "it answered 422")
        clock.advance(6)
        run(endpoint)
        assert other.positions(endpoint.url)[5:] == [2]
        Endpoint.objects.filter(pk=endpoint.pk).update(url=other.url())
        endpoint = fresh(endpoint)
        clock.advance(400)
        run(endpoint)
        assert other.positions(endpoint.url) == [2, 4]
        assert Held.objects.count() == 0

    def test_after_the_last_attempt_it_is_parked(self, log, add, other, clock):
        endpoint = add(other.url("/some/1"))
        log.append("n", stream="a")
        for seconds in (0, 6, 400, 2000):
            clock.advance(seconds)
            assert run(endpoint) == 1
        clock.advance(10**6)
        assert run(endpoint) == 0
        assert status(endpoint).parked == 1
        assert [one.attempt for one in Delivery.objects.order_by("pk")] == [1, 2, 3, 4]

    def test_one_event_that_breaks_the_receiver_does_not_keep_the_rest(
        self, log, add, other, clock
    ):
        """It is answered with 500 twice; then it is held, and the next probe brings another."""
        endpoint = add(other.url("/fail/1"))
        for stream in "abab":
            log.append("n", stream=stream)
        for _ in range(3):
            run(endpoint)
            clock.advance(6)
        assert [p for p in other.positions(endpoint.url) if p != 1] == [2, 4]
        assert (status(endpoint).held, status(endpoint).cursor) == (1, 4)
        assert fresh(endpoint).failures == 0

    def test_who_refuses_everything_is_silent_at_last(self, log, add, other):
        """Rather than have every event held by itself."""
        endpoint = add(other.url("/status/404"))
        for _ in range(30):
            log.append("n")
        run(endpoint)
        assert len(other.notes(endpoint.url)) == 11
        assert (status(endpoint).held, status(endpoint).cursor) == (10, 10)

    def test_410_switches_it_off(self, log, add, other):
        endpoint = add(other.url("/status/410"))
        log.append("n")
        log.append("n")
        run(endpoint)
        found = fresh(endpoint)
        assert (found.active, len(other.notes(endpoint.url))) == (False, 1)
        assert "410" in found.reason
        assert endpoint.handler_name not in handlers
        found.switch_on()
        assert status(endpoint).cursor == 0

    def test_five_days_without_a_success_switch_it_off(self, log, add, other, clock):
        endpoint = add(other.url("/status/503"))
        log.append("n")
        run(endpoint)
        for _ in range(4):
            clock.advance(86_400 * 1.2)
            run(endpoint)
        assert fresh(endpoint).active
        clock.advance(86_400 * 1.2)
        run(endpoint)
        found = fresh(endpoint)
        assert not found.active
        assert found.reason.startswith("Nothing went well for 6 days; at last it answered 503")

    @pytest.mark.parametrize("path", ["/large", "/half"])
    def test_an_answer_is_read_up_to_a_limit(self, log, add, other, path):
        """Its status is what counts."""
        endpoint = add(other.url(path))
        log.append("n")
        log.append("n")
        assert run(endpoint) == 2
        assert [one.status for one in Delivery.objects.all()] == [200, 200]
        assert all(len(one.answer) <= 1024 for one in Delivery.objects.all())

    @pytest.mark.parametrize("path", ["/hang", "/drip"])
    def test_who_does_not_answer_in_time_is_silent(self, log, add, other, settings, path):
        settings.WEBHOOKS_TIMEOUT = 0.5
        endpoint = add(other.url(path))
        log.append("n")
        assert run(endpoint) == 1
        [one] = Delivery.objects.all()
        assert one.status is None
        assert "in time" in one.error
        assert fresh(endpoint).failures == 1


class TestKeeping:
    def test_values_are_checked(self, add, other, settings):
        for options in (
            {"kinds": ["Bad Kind"]}, {"streams": ["*"]}, {"parallel": 0}, {"url": "ftp://x"},
            {"kinds": ["a"] * 101},
        ):  # fmt: skip
            with pytest.raises(ValidationError):
                add(**{"url": other.url(), **options})
        with pytest.raises(ValueError, match="whsec_"):
            add(other.url(), secret="short")

    def test_one_that_is_deleted_leaves_nothing_behind(self, log, add, other):
        endpoint = add(other.url("/some/1"))
        log.append("n", stream="a")
        run(endpoint)
        Endpoint.objects.filter(pk=endpoint.pk).delete()
        assert not Subscription.objects.exists()
        assert not Held.objects.exists()
        assert not Delivery.objects.exists()

    def test_a_replay_sends_again_with_the_same_id(self, log, add, other):
        endpoint = add(other.url())
        log.append("n")
        run(endpoint)
        handlers[endpoint.handler_name].replay("earliest")
        run(endpoint)
        first, second = other.notes(endpoint.url)
        assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
        assert json.loads(first["body"]) == json.loads(second["body"])

    def test_one_that_retention_has_overtaken_stops_and_says_so(self, log, add, other):
        """Until somebody has it go on with what is left."""
        endpoint = add(other.url())
        for _ in range(4):
            log.append("n")
        log.prune(max_entries=1)
        run(endpoint)
        assert (status(endpoint).state, other.positions(endpoint.url)) == ("stopped", [])
        assert status(endpoint).reason.startswith("pruned")
        handlers[endpoint.handler_name].resume()
        run(endpoint)
        assert other.positions(endpoint.url) == [4]

    def test_one_that_is_paused_gets_nothing(self, log, add, other):
        endpoint = add(other.url())
        handlers[endpoint.handler_name].pause()
        log.append("n")
        assert run(endpoint) == 0
        handlers[endpoint.handler_name].resume()
        assert run(endpoint) == 1

    def test_a_deleted_stream_frees_what_is_held_of_it(self, log, add, other, clock):
        endpoint = add(other.url("/some/1"))
        log.append("n", stream="a")
        log.append("n", stream="a")
        run(endpoint)
        assert Held.objects.count() == 2
        log.stream("a").delete()
        run(endpoint)
        assert status(endpoint).held == 0

    def test_one_for_a_log_in_memory_is_refused(self, make_log, other):
        log = make_log(BACKEND="memory")
        with pytest.raises(ValidationError, match="in a database"):
            webhooks.add(other.url(), log=log.name)

    def test_an_owner_gets_only_what_the_policy_allows(self, log, add, other, user):
        """Asked again at each delivery."""
        endpoint = add(other.url(), owner=user)
        log.append("n", stream="a")
        run(endpoint)
        user.user_permissions.clear()
        log.append("n", stream="a")
        run(endpoint)
        assert other.positions(endpoint.url) == [1]
        assert status(endpoint).cursor == 2


class TestCommand:
    def test_it_shows_where_endpoints_stand(self, log, add, other):
        from io import StringIO

        from django.core.management import call_command

        endpoint = add(other.url("/status/503"), kinds=["a.*"])
        log.append("a.b")
        run(endpoint)
        out = StringIO()
        call_command("webhooks", "--json", stdout=out)
        [one] = json.loads(out.getvalue())
        assert (one["state"], one["cursor"], one["lag"], one["failures"]) == ("silent", 0, 1, 1)
        out = StringIO()
        call_command("webhooks", str(endpoint.pk), stdout=out)
        assert "last error: it answered 503" in out.getvalue()

    def test_it_sends_a_test_event(self, log, add, other):
        from django.core.management import call_command

        endpoint = add(other.url())
        call_command("webhooks", str(endpoint.pk), "--test", "-v0")
        [note] = other.notes(endpoint.url)
        data = standardwebhooks.Webhook(endpoint.secret).verify(note["body"], note["headers"])
        assert data["type"] == "webhook.test"
        Endpoint.objects.update(url=other.url("/status/400"))
        with pytest.raises(SystemExit):
            call_command("webhooks", str(endpoint.pk), "--test", "-v0")

    def test_old_deliveries_are_forgotten(self, log, add, other, clock, settings):
        from django.core.management import call_command

        endpoint = add(other.url())
        for days in (0, 20, 20):
            clock.advance(days * 86_400)
            log.append("n")
            run(endpoint)
        call_command("webhooks", "--prune", "-v0")
        assert Delivery.objects.count() == 2


@pytest.fixture
def courier(log):
    """One that goes on, in a thread, as beside `manage.py run_handlers`."""
    found = Courier()
    thread = threading.Thread(target=found.run)
    thread.start()
    yield found
    found.stop()
    thread.join()


class TestGoingOn:
    def test_a_replay_reaches_a_worker_that_is_past_it(self, log, add, other, courier):
        """Also what it does not want is not taken for done."""
        endpoint = add(other.url(), kinds=["a"])
        log.append("a")
        for _ in range(3):
            log.append("b")
        wait_until(lambda: other.positions(endpoint.url) == [1])
        wait_until(lambda: status(endpoint).cursor == 4)
        handlers[endpoint.handler_name].replay("earliest")
        wait_until(lambda: other.positions(endpoint.url) == [1, 1])
        wait_until(lambda: status(endpoint).cursor == 4)

    def test_what_was_answered_is_written_when_the_database_is_back(
        self, log, add, other, courier, monkeypatch
    ):
        """And not sent again meanwhile."""
        endpoints = [add(other.url("/slow/0.2")) for _ in range(3)]
        broken = threading.Event()
        write = Books.write

        def failing(books):
            if broken.is_set() and books.deliveries:
                raise OperationalError("database is locked")
            write(books)

        monkeypatch.setattr(Books, "write", failing)
        broken.set()
        log.append("n")
        wait_until(lambda: all(other.positions(one.url) == [1] for one in endpoints))
        wait_until(lambda: courier.troubles >= 2)
        broken.clear()
        wait_until(lambda: all(status(one).cursor == 1 for one in endpoints))
        assert [other.positions(one.url) for one in endpoints] == [[1]] * 3
        assert Delivery.objects.count() == 3

    def test_a_step_that_is_not_committed_leaves_no_trace(
        self, log, add, other, clock, monkeypatch
    ):
        """An event that is answered with 500 is held after its second answer, not its first."""
        endpoint = add(other.url("/fail/1"))
        log.append("n")
        write, failures = Books.write, iter([OperationalError("deadlock")])

        def failing(books):
            for error in failures if books.deliveries else ():
                raise error
            write(books)

        monkeypatch.setattr(Books, "write", failing)
        run(endpoint)
        assert (status(endpoint).held, status(endpoint).cursor) == (0, 0)
        assert (fresh(endpoint).failures, fresh(endpoint).suspect) == (1, 1)

    def test_what_is_not_due_is_not_looked_for_again_and_again(
        self, log, add, other, clock, courier, monkeypatch
    ):
        endpoint = add(other.url("/some/1"))
        log.append("n", stream="a")
        wait_until(lambda: status(endpoint).held == 1)
        steps = []
        transact = courier.transact
        monkeypatch.setattr(courier, "transact", lambda *given: [steps.append(1), transact(*given)])
        clock.advance(6)
        wait_until(lambda: Delivery.objects.count() == 2)
        refreshed = courier.refreshed
        wait_until(lambda: courier.refreshed > refreshed)
        assert len(steps) < 10

    def test_a_connection_that_cannot_even_begin_is_an_answer_as_well(
        self, log, add, other, courier, monkeypatch
    ):
        """Such as where SSL_CERT_FILE names no file. The line would be waited for, without end."""

        def missing():
            raise FileNotFoundError("no certificates")

        monkeypatch.setattr(sending, "new_pool", missing)
        endpoint = add(other.url())
        log.append("n")
        wait_until(lambda: fresh(endpoint).failures == 1)
        assert "no certificates" in fresh(endpoint).last_error

    def test_one_whose_events_cannot_be_read_keeps_no_other(self, log, add, other):
        """SQLite has no room for so many kinds in one statement."""
        log.append_many([("n",)] * 3)
        kinds = [f"k{number}.*" for number in range(2000)]
        bad = add(other.url(), since="earliest")
        Endpoint.objects.filter(pk=bad.pk).update(kinds=kinds)
        good = add(other.url(), since="earliest")
        found = Courier()
        thread = threading.Thread(target=found.run)
        thread.start()
        try:
            wait_until(lambda: status(good).cursor == 3)
        finally:
            found.stop()
            thread.join()
        assert other.positions(good.url) == [1, 2, 3]
        assert status(bad).cursor == 0


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_log_elsewhere_needs_nothing_of_the_default_database(make_log, django_assert_num_queries):
    log = make_log("postgres", name="default")
    with django_assert_num_queries(0, connection=connections["default"]):
        endpoint = webhooks.add("http://127.0.0.1:1/", log=log.name)
    assert handlers[endpoint.handler_name].status().cursor == 0
