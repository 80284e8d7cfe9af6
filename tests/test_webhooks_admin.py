"""The admin's pages about webhooks."""

import re

import pytest
from django.urls import reverse

from events import webhooks
from events.handlers import handlers
from events.webhooks.models import Delivery, Endpoint

from .support.admin import person
from .support.receivers import allow_local, receiver

pytestmark = pytest.mark.django_db(transaction=True)

LIST = reverse("admin:events_webhooks_endpoint_changelist")
ADD = reverse("admin:events_webhooks_endpoint_add")
DELIVERIES = reverse("admin:events_webhooks_delivery_changelist")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    with receiver(tmp_path_factory.mktemp("receiver")) as found:
        yield found


@pytest.fixture(autouse=True)
def local(settings):
    allow_local(settings)


@pytest.fixture
def log(make_log):
    return make_log(name="default")


@pytest.fixture
def endpoint(log, other):
    return webhooks.add(other.url(), kinds=["a.*"])


@pytest.fixture
def boss():
    names = ["add", "change", "delete", "view"]
    return person(*[f"{name}_endpoint" for name in names], "view_delivery", name="boss")


def page(endpoint):
    return reverse("admin:events_webhooks_endpoint_change", args=[endpoint.pk])


def do(client, endpoint, verb, **posted):
    address = reverse("admin:events_webhooks_endpoint_do", args=[endpoint.pk])
    return client.post(address, {"verb": verb, **posted}, follow=True)


def test_a_new_one_shows_its_secret_once(log, boss, other):
    """And begins where the log is then."""
    log.append("a.b")
    values = {"url": other.url(), "kinds": "a.* c", "log": "default", "parallel": 1, "active": "on"}
    html = boss.post(ADD, values, follow=True).content.decode()
    endpoint = Endpoint.objects.get()
    assert endpoint.secret in html
    assert endpoint.kinds == ["a.*", "c"]
    assert handlers[endpoint.handler_name].status().cursor == 1
    assert "whsec_" not in boss.get(page(endpoint)).content.decode()


def test_what_is_wrong_with_an_address_is_said(log, boss):
    values = {"url": "https://10.0.0.1/", "log": "default", "parallel": 1, "active": "on"}
    assert "is not a public address" in boss.post(ADD, values).content.decode()
    assert not Endpoint.objects.exists()


def test_the_list_and_the_page_show_how_it_does(log, boss, endpoint):
    log.append("a.b", stream="s")
    handlers[endpoint.handler_name].run_once()
    assert "running" in boss.get(LIST).content.decode()
    html = boss.get(page(endpoint)).content.decode()
    assert len(re.findall(r'<svg class="events-plot"', html)) == 2
    assert "2xx" in html
    assert "a.b" in html


def test_one_that_has_sent_nothing_has_a_page(boss, endpoint):
    assert boss.get(page(endpoint)).status_code == 200


def test_what_the_buttons_do(log, boss, endpoint, other):
    html = do(boss, endpoint, "test").content.decode()
    assert "test_" in html
    assert len(other.notes(endpoint.url)) == 1
    old = endpoint.secret
    html = do(boss, endpoint, "rotate").content.decode()
    endpoint.refresh_from_db()
    assert endpoint.secret in html
    assert endpoint.secrets == [endpoint.secret, old]
    log.append("a.b")
    handlers[endpoint.handler_name].run_once()
    do(boss, endpoint, "replay", since="earliest")
    assert handlers[endpoint.handler_name].status().cursor == 0
    assert "ince must be" in do(boss, endpoint, "replay", since="x").content.decode()
    Endpoint.objects.update(active=False, failures=3, reason="410")
    assert "off: 410" in boss.get(page(endpoint)).content.decode()
    do(boss, endpoint, "switch_on")
    endpoint.refresh_from_db()
    assert (endpoint.active, endpoint.failures, endpoint.reason) == (True, 0, "")
    assert do(boss, endpoint, "nonsense").status_code == 403


def test_a_delivery_can_be_sent_again(log, boss, endpoint, other):
    log.append("a.b")
    handlers[endpoint.handler_name].run_once()
    one = Delivery.objects.get()
    posted = {"action": "send_again", "_selected_action": [one.pk]}
    boss.post(DELIVERIES, posted)
    first, second = other.notes(endpoint.url)
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert first["body"] == second["body"]
    assert handlers[endpoint.handler_name].status().cursor == 1
    log.clear()
    assert "no longer in the log" in boss.post(DELIVERIES, posted, follow=True).content.decode()


def test_who_may_only_look_changes_nothing(log, endpoint, other):
    client = person("view_endpoint", "view_delivery", name="guest")
    html = client.get(page(endpoint)).content.decode()
    assert 'value="rotate"' not in html
    assert do(client, endpoint, "rotate").status_code == 403
    assert "send_again" not in client.get(DELIVERIES).content.decode()
    assert person(name="nobody").get(page(endpoint)).status_code == 403
