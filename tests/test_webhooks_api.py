"""Users' own endpoints over HTTP."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import include, path

from events import webhooks
from events.handlers import handlers
from events.webhooks.models import Endpoint

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.test_webhooks_api"),
]

urlpatterns = [path("hooks/", include("events.webhooks.urls"))]
JSON = "application/json"
URL = "https://example.com/hook"


@pytest.fixture
def log(make_log):
    return make_log(name="default")


def signed_in(name):
    client = Client()
    client.force_login(User.objects.create_user(name))
    return client


@pytest.fixture
def ann(log):
    return signed_in("ann")


@pytest.fixture
def made(ann):
    answer = ann.post("/hooks/", {"url": URL, "kinds": ["a.*"]}, content_type=JSON)
    assert answer.status_code == 201
    return answer.json()


def test_a_user_makes_one_and_sees_its_secret_once(log, ann, made):
    endpoint = Endpoint.objects.get()
    assert (endpoint.uid, endpoint.secret) == (made["id"], made["secret"])
    assert endpoint.owner.username == "ann"
    assert endpoint.kinds == ["a.*"]
    assert handlers[endpoint.handler_name].status().cursor == 0
    for address in ("/hooks/", f"/hooks/{made['id']}/", f"/hooks/{made['id']}/deliveries/"):
        answer = ann.get(address)
        assert answer.status_code == 200
        assert "whsec_" not in answer.content.decode()
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_nobody_else_sees_or_changes_it(made):
    bob = signed_in("bob")
    webhooks.add("https://example.com/ours")
    address = f"/hooks/{made['id']}/"
    assert bob.get("/hooks/").json() == []
    for answer in (
        bob.get(address),
        bob.patch(address, {}, content_type=JSON),
        bob.delete(address),
        bob.post(f"{address}secret/"),
        bob.get(f"{address}deliveries/"),
    ):
        assert answer.status_code == 404
    assert Client().get("/hooks/").status_code in (401, 403)
    assert Client().post("/hooks/", {"url": URL}).status_code in (401, 403)


@pytest.mark.parametrize(
    "values",
    [
        {"url": "https://10.0.0.1/"}, {"url": "http://example.com"}, {}, {"url": URL, "kinds": "x"},
        {"url": URL, "streams": ["*"]}, {"url": URL, "log": "none"}, {"url": URL, "kinds": [1]},
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(ann, values):
    assert ann.post("/hooks/", values, content_type=JSON).status_code == 400
    assert not Endpoint.objects.exists()


def test_what_only_we_decide_cannot_be_set(ann):
    bob = User.objects.create_user("bob")
    values = {"url": URL, "owner": bob.pk, "failures": 7, "parallel": 16, "keys": [], "uid": "x"}
    ann.post("/hooks/", values, content_type=JSON)
    endpoint = Endpoint.objects.get()
    assert (endpoint.owner.username, endpoint.failures, endpoint.parallel) == ("ann", 0, 1)
    assert endpoint.secrets
    assert endpoint.uid != "x"


def test_it_can_be_changed_switched_on_and_deleted(ann, made):
    address = f"/hooks/{made['id']}/"
    assert ann.patch(address, {"kinds": ["b"]}, content_type=JSON).json()["kinds"] == ["b"]
    assert ann.patch(address, {"url": "https://[::1]/"}, content_type=JSON).status_code == 400
    Endpoint.objects.update(active=False, failures=3, reason="410")
    answer = ann.patch(address, {"active": True}, content_type=JSON).json()
    assert (answer["active"], answer["failures"], answer["reason"]) == (True, 0, "")
    secret = ann.post(f"{address}secret/").json()["secret"]
    assert Endpoint.objects.get().secrets == [secret, made["secret"]]
    assert ann.delete(address).status_code == 204
    assert not Endpoint.objects.exists()


def test_there_is_a_limit(ann, made, settings):
    settings.WEBHOOKS_PER_USER = 1
    assert ann.post("/hooks/", {"url": URL}, content_type=JSON).status_code == 400
