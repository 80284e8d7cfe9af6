"""docs/reference/ and the code name the same things: nothing is missing, and nothing is made up."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

import events
import events.management.commands as commands
from events import checks, conf, exceptions, testing, urls
from events.api import eventsource
from events.api.openapi import description, operation_of
from events.backends.redis import health
from events.contrib import celery, django_tasks, tasks
from events.contrib import checks as task_checks
from events.durable import refusals
from events.durable.handle import DurableHandle
from events.lifecycle import KINDS
from events.streams import StreamHandle
from events.tracking import track
from events.types import TERMINAL
from events.websocket import consumer, frames, subscription, writer

from .support.pages import DOCS, ROOT, rows

REFERENCE = DOCS / "reference"
COMMANDS = sorted(path.stem for path in Path(commands.__file__).parent.glob("[a-z]*.py"))


def page(name):
    return REFERENCE / f"{name}.md"


def source(*modules):
    return "".join(inspect.getsource(module) for module in modules)


def test_settings():
    """Every key and option, with its default."""
    assert rows(page("settings"), "Keys") == list(conf.DEFAULTS)
    assert rows(page("settings"), "OPTIONS") == list(conf.OPTIONS)
    for key, default in conf.DEFAULTS.items():
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        line = re.search(rf"^\| `{key}` \| ([^|]*)", page("settings").read_text(), re.M)[1]
        assert shown in line, line
        assert str(conf.MEMORY_DEFAULTS.get(key, "")) in line


def test_checks():
    """Every id that is reported, in order and under its severity."""
    errors, warnings = (rows(page("checks"), part) for part in ("Errors", "Warnings"))
    reported = set(re.findall(r'"([EW]\d{3})"', source(checks, conf, health)))
    assert [*errors, *warnings] == sorted(f"events.{id}" for id in reported)
    assert all(id.startswith("events.E") for id in errors)


def test_exceptions():
    """All of them, and nothing else."""
    tree = [
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, exceptions.EventsError)
    ]
    assert rows(page("exceptions")) == tree


@pytest.mark.django_db
def test_permissions():
    """Those that Django makes for the models; the log's own are named together."""
    labels = {
        f"events.{permission.codename}"
        for permission in Permission.objects.filter(content_type__app_label="events")
    }
    described = {row for row in rows(page("permissions")) if row.startswith("events.")}
    assert described == {label for label in labels if not label.endswith("_log")}
    assert apps.get_model("events.Log")._meta.default_permissions == ("add", "change", "delete", "view")  # fmt: skip


def test_commands():
    """Each has its heading, and all of its arguments in a table."""
    text = page("commands").read_text()
    assert sorted(re.findall(r"^## (\w+)$", text, re.M)) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_a_command(name):
    """All but those that Django gives to every command."""
    parser = load_command_class("events", name).create_parser("manage.py", name)
    own = {
        action.option_strings[-1] if action.option_strings else action.metavar
        for action in parser._actions
    }
    django = BaseCommand().create_parser("manage.py", name)
    everybodys = {action.option_strings[-1] for action in django._actions}
    assert set(rows(page("commands"), name)) == own - everybodys


def test_endpoints():
    """Every operation of the OpenAPI description has its heading, and names its parameters there."""
    pytest.importorskip("drf_spectacular")
    text = page("http").read_text() + "\n### "
    for route in urls.urlpatterns:
        address = re.sub(r"<str:(\w+)>", r"<\1>", str(route.pattern)) or '""'
        operations = {
            method: operation_of(route.callback.view_class, method) for method in ("GET", "POST")
        }
        for method, operation in operations.items():
            if operation is None and (method != "GET" or any(operations.values())):
                continue
            heading = f"### `{method} {address}`\n"
            assert heading in text, heading
            section = text.split(heading)[1].partition("\n### ")[0]
            for parameter in operation["parameters"] if operation else ():
                named = parameter["in"] == "path" or parameter["name"] == "log"
                assert named or f"`{parameter['name']}`" in section, (heading, parameter["name"])


def test_names_of_routes():
    """All that `reverse()` takes."""
    pytest.importorskip("drf_spectacular")
    text = page("http").read_text().split("For `reverse()` ")[1].partition("\n\n")[0]
    assert set(re.findall(r"`([\w-]+)`", text)) == {route.name for route in urls.urlpatterns}


def test_statuses():
    """Every status that an operation may answer with, besides that all is well."""
    pytest.importorskip("drf_spectacular")
    known = {
        status
        for path in description()["paths"].values()
        for method in path.keys() & {"get", "post"}
        for status in path[method]["responses"]
        if status not in ("200", "201")
    }
    assert set(rows(page("http"), "Errors")) == known


def test_frames_of_a_websocket():
    """What the code obeys and sends, and with which codes it refuses and closes."""
    code = source(consumer, subscription, writer, frames)
    sent = set(re.findall(r'control\(\s*"(\w+)"', code)) | {"events"}
    assert set(rows(page("websocket"), "What the server sends")) >= sent
    obeyed = set(re.findall(r'type == "(\w+)"', source(consumer)))
    assert set(rows(page("websocket"), "What the client sends")) == obeyed
    errors = set(re.findall(r'(?:Refused\(|error\([^)]*?, )"(\w+)"', code))
    assert errors <= set(rows(page("websocket")))


def test_close_codes():
    """Every one that has a name here, and the one that the router answers with."""
    codes = {
        str(code) for name, code in vars(frames).items() if name.isupper() and 1000 < code < 5000
    }
    assert codes | {"1011", "4404"} <= set(rows(page("websocket"), "Why it closes"))


def test_frames_of_server_sent_events():
    """Each reason of an end, and each kind of line."""
    reasons = set(re.findall(r'end\("(\w+)"', source(eventsource)))
    ends = {*TERMINAL, "deleted"}
    assert set(rows(page("sse"), "Why it ends")) == reasons | ends
    assert {"retry", "id", "event", "gap", "end"} <= set(rows(page("sse"), "Frames"))


def test_python():
    """The public names, and the verbs of a log and of a stream (their twins go without saying)."""
    assert set(rows(page("python"), "events")) == set(events.__all__)
    assert set(rows(page("python"), "EventLog")) == {*verbs(events.EventLog), "policy"} - {"query"}
    assert set(rows(page("python"), "A stream")) == set(verbs(StreamHandle))
    assert set(KINDS) <= set(verbs(StreamHandle))
    assert set(rows(page("python"), "events.testing")) == {
        name for name, value in vars(testing).items() if getattr(value, "__module__", "") == testing.__name__
    }  # fmt: skip


@pytest.mark.parametrize(
    ("heading", "where"),
    [
        ("events", events),
        ("EventLog", events.EventLog),
        ("A stream", StreamHandle),
        ("events.testing", testing),
    ],
)
def test_signatures(heading, where):
    """Whatever a row says that its name takes, in that order, with those defaults."""
    section = page("python").read_text().split(f"## {heading}\n")[1].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|.*?`(?:with )?\1\((.*?)\)(?: as events)?`", section, re.M)
    for name, taken in told:
        if name == "context":
            continue  # takes fields of any name
        known = dict(inspect.signature(getattr(where, name)).parameters)
        known.pop("self", None)
        parts = [part.partition("=") for part in taken.split(", ") if part != "*"]
        assert [argument.lstrip("*") for argument, _, _ in parts] == list(known), name
        for argument, _, default in parts:
            if default not in ("", "…"):
                assert ast.literal_eval(default) == known[argument].default, (name, argument)


def verbs(cls):
    names = [name for name in dir(cls) if not name.startswith("_")]
    return [
        name
        for name in names
        if not (name.startswith("a") and name[1:] in names) and name != "await_"
    ]


def test_tasks():
    """The names that both apps have, the kinds that they emit, their settings and their checks."""
    where = page("tasks")
    names = {row.partition("(")[0] for row in rows(where, "Python")}
    assert names == set(celery.__all__) == set(django_tasks.__all__)
    assert set(rows(where, "Events")[:4]) == set(re.findall(r'"(task\.\w+)"', source(tasks)))
    assert rows(where, "Settings") == list(tasks.DEFAULTS)
    known = re.findall(r"^(events_tasks\.[EW]\d{3}) ", task_checks.__doc__, re.M)
    assert rows(where, "Checks") == known


def test_durable():
    """The verbs of a handle, with what they take, and every status of a refusal."""
    where = page("durable")
    told = {row.partition("(")[0]: row.partition("(")[2] for row in rows(where, "Python")}
    assert set(told) == set(verbs(DurableHandle))
    for verb, taken in told.items():
        names = list(inspect.signature(getattr(DurableHandle, verb)).parameters)[1:]
        assert re.findall(r"\b[a-z_]+(?=[=,)])", re.sub(r'"[^"]*"', "", taken)) == names
    known = {
        status
        for row in re.findall(r"^\| (\d[\d, ]*) \|", where.read_text(), re.M)
        for status in row.split(", ")
    }
    statuses = {value.status for value in vars(refusals).values() if hasattr(value, "status")}
    assert {str(status) for status in statuses} <= known


def test_tracking():
    """The arguments of `track`."""
    names = list(inspect.signature(track).parameters)
    assert rows(page("tracking"))[-len(names) :] == names


def test_browser():
    """The options, members and events of the module's types."""
    types = (ROOT / "events/static/events/events.d.ts").read_text()
    options = types.split("export interface Options {")[1].partition("\n}")[0]
    public = options.split("/** @internal")[0]
    assert set(rows(page("browser"), "Options")) == set(re.findall(r"^  (\w+)\?:", public, re.M))
    cls = types.split("export class EventLog<")[1].partition("\n}")[0]
    members = set(re.findall(r"^  (?:readonly )?(\w+)(?:\(\)|:)", cls, re.M))
    assert set(rows(page("browser"), "Members")) == members
    told = types.split("export interface EventLogEvents<")[1].partition("\n}")[0]
    assert set(rows(page("browser"), "Events")) == set(re.findall(r"^  (\w+): ", told, re.M))
