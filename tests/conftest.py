"""Fixtures that every test may use."""

import itertools
import json
import signal

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.test import Client

from events import logs
from events.backends import memory
from events.backends.database import sequencer

from .support.databases import skip_unless
from .support.http_client import API
from .support.redis_server import running_redis

_numbers = itertools.count(1)

# A shell's background job ignores it, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config):
    skipped = getattr(django_settings, "SKIPPED", {})
    return [f"skipping {alias}: {reason}" for alias, reason in skipped.items()]


@pytest.fixture(autouse=True)
def threads_that_sequence(monkeypatch):
    """A command that sequences inline says so for its whole process, which is here everybody's."""
    monkeypatch.setattr(sequencer, "_inline", False)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """One for all tests, each of which has keys of its own."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def make_log(settings, request):
    """Configure a log of this test's own: `make_log(alias="postgres", TTL=60)`."""
    made = []

    def make(alias="default", name=None, **config):
        backend = config.get("BACKEND", "database")
        if backend in ("database", "redis"):
            skip_unless(alias)
            config["OPTIONS"] = {"using": alias, **config.get("OPTIONS", {})}
        if backend == "redis":
            url = request.getfixturevalue("redis_server").url
            own = {"url": url, "prefix": f"test{next(_numbers)}:"}
            config["OPTIONS"] = {**own, **config["OPTIONS"]}
        name = name or f"log{next(_numbers)}"
        settings.EVENTS = {**settings.EVENTS, name: config}
        made.append(name)
        return logs[name]

    yield make
    for name in made:
        memory.forget(name)


@pytest.fixture
def user():
    user = User.objects.create_user("reader", password="x")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="events"))
    return user


@pytest.fixture
def client(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def get(client, log):
    """GET an endpoint of the API, for this test's log."""

    def get(path="", **params):
        headers = params.pop("headers", None)
        return client.get(API + path, {"log": log.name, **params}, headers=headers)

    return get


@pytest.fixture
def post(client, log):
    def post(data, path="", **extra):
        body = data if isinstance(data, (str, bytes)) else json.dumps(data)
        return client.post(
            f"{API}{path}?log={log.name}", body, content_type="application/json", **extra
        )

    return post
