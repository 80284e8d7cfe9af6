"""What users see of webhooks: checks, settings, the reference."""

import inspect
import re

from django.core.checks import run_checks
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

from events.webhooks import api, checks, conf, endpoints, verdicts

from .support.pages import DOCS, rows

PAGE = DOCS / "reference/webhooks.md"


def found(ids="events_webhooks"):
    return [one.id for one in run_checks(tags=["events"]) if one.id.startswith(ids)]


def test_all_is_well():
    assert found() == []


def test_an_app_that_is_missing_is_told(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "events.handlers"]
    assert "events_webhooks.E001" in [one.id for one in checks.check_webhooks()]


def test_a_library_that_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(checks, "has_httpx", lambda: False)
    assert found() == ["events_webhooks.E002"]
    assert not checks.is_complete()


def test_settings_that_cannot_be_used_are_told(settings):
    settings.WEBHOOKS_KEEP = 0
    settings.WEBHOOKS_TIMEOUT = "x"
    settings.WEBHOOKS_ALLOWED_NETWORKS = ["10.0.0.1/8"]
    settings.WEBHOOKS_RETRY = ()
    assert found() == ["events_webhooks.E003"] * 4 + ["events_webhooks.W001"]


def test_the_reference_has_every_setting():
    assert rows(PAGE, "Settings") == [f"WEBHOOKS_{name}" for name in conf.DEFAULTS]


def test_the_reference_has_every_check():
    assert rows(PAGE, "Checks") == re.findall(r"^(events_webhooks\.\w+) ", checks.__doc__, re.M)


def test_the_reference_has_every_option_of_the_command():
    parser = load_command_class("events.webhooks", "webhooks").create_parser("manage.py", "x")
    own = {one.option_strings[-1] if one.option_strings else one.metavar for one in parser._actions}
    django = BaseCommand().create_parser("manage.py", "x")
    assert set(rows(PAGE, "webhooks")) == own - {one.option_strings[-1] for one in django._actions}


def test_the_reference_has_every_option_of_an_endpoint():
    options = list(inspect.signature(endpoints.add).parameters)[1:]
    assert rows(PAGE, "Python")[: len(options)] == options


def test_the_reference_has_every_field_over_http():
    text = PAGE.read_text().split("\n## HTTP\n")[1].partition("\n## ")[0]
    assert [name for name in api.EndpointSerializer.Meta.fields if f"`{name}`" not in text] == []


def test_the_reference_has_every_answer_that_is_about_the_endpoint_itself():
    [answers] = re.findall(
        r"^\| (.*), 500 to 599.* \| the endpoint is \*\*silent", PAGE.read_text(), re.M
    )
    assert {int(status) for status in answers.split(", ")} == verdicts.ABOUT_ITSELF
