"""Fixtures that every test may use."""

import itertools

import pytest
from django.conf import settings as django_settings
from django.db import connections

from events import logs
from events.backends import memory

DATABASES = ("default", "postgres", "mariadb")

_numbers = itertools.count(1)


def pytest_report_header(config):
    skipped = getattr(django_settings, "SKIPPED", {})
    return [f"skipping {alias}: {reason}" for alias, reason in skipped.items()]


def skip_unless(alias):
    if alias not in connections.settings:
        pytest.skip(django_settings.SKIPPED[alias])


@pytest.fixture
def make_log(settings):
    """Configure a log of this test's own: `make_log(alias="postgres", TTL=60)`."""
    made = []

    def make(alias="default", name=None, **config):
        if config.get("BACKEND", "database") == "database":
            skip_unless(alias)
            config["OPTIONS"] = {"using": alias, **config.get("OPTIONS", {})}
        name = name or f"log{next(_numbers)}"
        settings.EVENTS = {**settings.EVENTS, name: config}
        made.append(name)
        return logs[name]

    yield make
    for name in made:
        memory.forget(name)
