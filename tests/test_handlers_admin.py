"""The admin's pages about handlers."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from events.handlers import handler, handlers, registry, samples
from events.handlers.models import Subscription

from .support.admin import INLINE, person
from .support.databases import skip_unless

pytestmark = pytest.mark.django_db

LIST = "admin:events_handlers_subscription_changelist"
PAGE = "admin:events_handlers_subscription_change"


@pytest.fixture
def log(make_log):
    return make_log(name="default")


@pytest.fixture
def h(log):
    """A handler that fails for what says so."""
    before = list(registry._decorated)
    registry._decorated.clear()

    @handler("a", name="mailer", since="earliest", retry=[])
    def act(entry):
        if entry.payload:
            raise ValueError("<no> such address")

    log.append("a", {"bad": 1}, stream="x")
    log.append("a", stream="x")
    handlers["mailer"].run_once()
    yield handlers["mailer"]
    registry._decorated[:] = before


@pytest.fixture
def page(h):
    return reverse(PAGE, args=[Subscription.objects.get().pk])


@pytest.fixture
def boss():
    return person("change_subscription", "view_subscription", name="boss")


def test_the_list_shows_where_they_stand(h, boss):
    text = boss.get(reverse(LIST)).content.decode()
    assert "mailer" in text
    assert "&lt;no&gt; such address" in text
    assert '<td class="field-parked">1</td>' in text


def test_the_page_shows_what_has_failed(h, page):
    """With its error and a link to the event; and nothing to press for who may only look."""
    text = person("view_subscription").get(page).content.decode()
    assert "&lt;no&gt; such address" in text
    assert "?q=%231&amp;log=default" in text
    assert 'name="verb"' not in text
    assert not re.search(INLINE, text)


def test_who_may_not_look_or_change(h, page):
    assert person("view_event").get(page).status_code == 403
    assert person("view_subscription").post(page, {"verb": "pause"}).status_code == 403
    assert h.status().state == "running"


def test_what_may_be_done(h, page, boss):
    """Each is in the admin's history."""
    boss.post(page, {"verb": "pause"})
    assert h.status().state == "paused"
    boss.post(page, {"verb": "resume"})
    assert h.status().state == "running"
    boss.post(page, {"verb": "retry", "position": "1"})
    assert (h.status().held, h.status().parked) == (1, 0)
    boss.post(page, {"verb": "drop", "position": "1"})
    assert h.held() == []
    boss.post(page, {"verb": "replay", "since": "earliest"})
    assert h.status().lag == 2
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "pause", "resume", "retry 1", "drop 1", "replay earliest",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "posted",
    [
        {"verb": "drop", "position": "7"},
        {"verb": "drop", "position": "x"},
        {"verb": "drop"},
        {"verb": "replay", "since": "yesterday"},
    ],
)
def test_what_cannot_be_done_is_said(h, page, boss, posted):
    answer = boss.post(page, posted, follow=True)
    assert 'class="error"' in answer.content.decode()
    assert not LogEntry.objects.exists()


def test_actions_of_the_list(h, boss):
    chosen = {"_selected_action": [Subscription.objects.get().pk]}
    boss.post(reverse(LIST), {"action": "pause", **chosen})
    assert h.status().state == "paused"


def test_one_that_is_no_longer_in_the_code(h, page, boss):
    registry._decorated.clear()
    assert "no longer in the code" in boss.get(page).content.decode()
    assert boss.get(reverse(LIST)).status_code == 200
    boss.post(page, {"verb": "pause"})
    assert Subscription.objects.get().state == "running"


def test_the_lag_of_the_last_hour_is_drawn(h, page, boss):
    """A bar for each minute; and whether somebody runs it is said."""
    key = Subscription.objects.get().pk
    samples.take("default", {key: 7})
    samples.take("default", {key: 340})
    text = boss.get(page).content.decode()
    assert "Now 340, and at most 340." in text
    assert text.count('class="events-bar"') == 60
    assert "Run by a process</th><td>yes" in text


@pytest.mark.django_db(databases="__all__", transaction=True)
class TestAnotherDatabase:
    @pytest.fixture
    def elsewhere(self, make_log, h):
        """A handler of a log that is in PostgreSQL, with something that it has parked."""
        skip_unless("postgres")
        log = make_log("postgres", name="elsewhere")

        @handler(name="mover", log="elsewhere", since="earliest", retry=[])
        def act(entry):
            raise ValueError("never")

        log.append("a")
        handlers["mover"].run_once()
        return handlers["mover"]

    @pytest.mark.parametrize("database", ["elsewhere"])
    def test_its_handlers_are_shown_and_mended(self, elsewhere, boss, database):
        """With the log in the address, as on the pages about events."""
        assert "mover" not in boss.get(reverse(LIST)).content.decode()
        text = boss.get(reverse(LIST), {"log": database}).content.decode()
        assert "mailer" not in text
        [page] = re.findall(r'<a href="([^"]+)">mover</a>', text)
        assert "ValueError: never" in boss.get(page).content.decode()
        assert boss.post(page, {"verb": "retry", "position": "1"}).headers["Location"] == page
        assert elsewhere.status().parked == 0
        chosen = {"_selected_action": [Subscription.objects.using("postgres").get().pk]}
        boss.post(f"{reverse(LIST)}?log={database}", {"action": "pause", **chosen})
        assert elsewhere.status().state == "paused"
        assert handlers["mailer"].status().state == "running"

    def test_an_unknown_log_has_none(self, h, boss):
        text = boss.get(reverse(LIST), {"log": "nope"}).content.decode()
        assert "mailer" not in text
