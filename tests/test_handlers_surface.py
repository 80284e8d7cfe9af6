"""Handlers from outside: registration, checks, commands."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from events import emit
from events.handlers import checks, handler, handlers, numbers, registry, samples
from events.handlers.models import Held, Sample, Subscription
from events.testing import run_handlers

from .support.databases import DATABASES, skip_unless
from .support.pages import DOCS, rows

PAGE = DOCS / "reference/handlers.md"


@pytest.fixture(autouse=True)
def _forget():
    before = list(registry._decorated)
    registry._decorated.clear()
    yield
    registry._decorated[:] = before


def act(entry):
    """Nothing."""


def found():
    return [
        message for message in checks.check_handlers() if message.id.startswith("events_handlers.E")
    ]


class TestRegistration:
    def test_the_function_stays_as_it_is(self):
        """And iterating gives names."""
        assert handler("a", name="h")(act) is act
        assert list(handlers) == ["h"]
        assert ("h" in handlers, len(handlers)) == (True, 1)
        with pytest.raises(KeyError, match="known: 'h'"):
            handlers["g"]

    @pytest.mark.parametrize(
        "options",
        [
            {"nonsense": 1},
            {"name": 7},
            {"log": None},
            {"shards": "4"},
            {"shards": True},
            {"batch": 1.5},
            {"atomic": 1},
            {"retry": 10},
            {"retry": ["10"]},
            {"stream": 5},
            {"since": None},
            {"since": 1.5},
            {"on_gap": None},
            {"kind": 5},
            {"kind": [None]},
            {"kind": act},
        ],
    )
    def test_a_wrong_type_raises_at_import(self, options):
        """As an unknown keyword does."""
        with pytest.raises(TypeError):
            handler(**{"name": "h", **options})

    def test_the_name_is_required(self):
        with pytest.raises(TypeError):
            handler("a")
        with pytest.raises(TypeError):
            handler("a", name="h")(7)


class TestChecks:
    @pytest.mark.parametrize(
        "options",
        [
            {"name": ""},
            {"name": "-x"},
            {"name": "x" * 101},
            {"shards": 0},
            {"batch": 0},
            {"retry": (-1,)},
            {"retry": (float("nan"),)},
            {"since": -1},
            {"since": "yesterday"},
            {"on_gap": "raise"},
            {"kind": "A B"},
            {"stream": "a b"},
            {"stream": "a*"},
            {"log": "nowhere"},
        ],
    )
    def test_a_value_that_cannot_be_used(self, options):
        """The message names the handler."""
        handler(**{"name": "hans", **options})(act)
        [message] = found()
        assert repr(options.get("name", "hans")) in message.msg

    def test_a_log_in_memory(self, make_log):
        handler(name="h", log=make_log(BACKEND="memory").name)(act)
        assert "in no database" in found()[0].msg

    def test_two_of_one_name(self):
        handler("a", name="h")(act)
        handler("b", name="h")(act)
        [message] = found()
        assert "'h'" in message.msg

    def test_what_is_well(self):
        handler(["a", "b.*"], name="h", since=5, stream="x", shards=4, batch=10, retry=[])(act)
        assert found() == []

    def test_sqlite_is_warned_of(self):
        handler("a", name="h")(act)
        handler("a", name="free", atomic=False)(act)
        [message] = checks.check_handlers()
        assert message.id == "events_handlers.W001"
        assert "'h'" in message.msg
        assert "'free'" not in message.msg


def command(*arguments, **options):
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out, **options)
    except SystemExit as error:
        return error.code, out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db
class TestCommands:
    @pytest.fixture
    def log(self, make_log):
        return make_log(name="default")

    @pytest.fixture
    def h(self, log):
        @handler("a", name="h", since="earliest", retry=[])
        def act(entry):
            if entry.payload:
                raise ValueError("no")

        return handlers["h"]

    def test_the_fields(self, log, h):
        log.append("a", {"bad": 1}, stream="x")
        log.append("a", stream="x")
        h.run_once()
        code, text = command("handlers", json=True)
        assert json.loads(text) == [
            {
                "name": "h", "log": "default", "shards": 1, "state": "running", "cursor": 2,
                "head": 2, "lag": 0, "held": 0, "parked": 1, "reason": "",
                "last_error": "ValueError: no",
            }
        ]  # fmt: skip
        assert code == 0
        assert "ValueError: no" in command("handlers")[1]

    def test_the_bounds(self, log, h):
        log.append("a", {"bad": 1})
        assert command("handlers", max_lag=0)[0] == 1
        assert command("handlers", max_lag=1, max_held=0)[0] == 0
        h.run_once()
        assert command("handlers", max_lag=0)[0] == 0
        assert command("handlers", max_held=0)[0] == 1
        assert command("handlers", "--max-held", "1")[0] == 0

    def test_the_actions(self, log, h):
        log.append("a", {"bad": 1}, stream="x")
        command("handlers", "h", "--pause")
        assert h.status().state == "paused"
        assert command("run_handlers", "--once")[0] == 0
        command("handlers", "h", "--resume")
        assert command("run_handlers", "h", "--once")[0] == 1
        command("handlers", "h", "--retry")
        assert (h.status().held, h.status().parked) == (1, 0)
        command("handlers", "h", "--drop", "1")
        assert h.held() == []
        command("handlers", "h", "--replay", "earliest")
        assert h.status().lag == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ["handlers", "nobody"],
            ["handlers", "--pause"],
            ["handlers", "h", "--drop", "7"],
            ["handlers", "h", "--drop", "x"],
            ["handlers", "h", "--retry", "7"],
            ["handlers", "h", "--replay", "x"],
            ["handlers", "h", "--pause", "--resume"],
            ["handlers", "--max-lag", "-1"],
            ["run_handlers", "nobody", "--once"],
            ["run_handlers", "--threads", "0"],
        ],
    )
    def test_wrong_input(self, h, arguments):
        with pytest.raises(CommandError):
            call_command(*arguments)

    def test_the_kit(self, log, h):
        """It begins at the earliest entry, and raises."""
        log.append("a")
        assert run_handlers() == 1
        log.append("a", {"bad": 1})
        with pytest.raises(ValueError, match="no"):
            run_handlers("h")
        assert h.status().lag == 1
        with pytest.raises(KeyError):
            run_handlers("nobody")


@pytest.mark.parametrize("name", ["run_handlers", "handlers"])
def test_the_page_has_every_argument(name):
    parser = load_command_class("events.handlers", name).create_parser("manage.py", name)
    own = {a.option_strings[-1] if a.option_strings else a.metavar for a in parser._actions}
    django = BaseCommand().create_parser("manage.py", name)
    everybodys = {action.option_strings[-1] for action in django._actions}
    assert set(rows(PAGE, name)) == own - everybodys


def test_the_page_has_every_option_check_and_verb():
    import inspect

    from events.handlers.control import Handler

    assert set(rows(PAGE, "Options")) == set(inspect.signature(handler).parameters)
    verbs = {name for name, value in vars(Handler).items() if callable(value) and name[0] != "_"}
    assert set(rows(PAGE, "Python")) == verbs
    assert set(rows(PAGE, "Checks")) == {"events_handlers.E001", "events_handlers.W001"}


@pytest.mark.django_db
class TestStatusOfTheLogs:
    """`events_status` has the handlers' numbers, and the core does not know them."""

    @pytest.fixture
    def h(self, make_log):
        handler(name="h", log=make_log(name="default").name, since="earliest")(act)
        return handlers["h"]

    def test_as_json(self, h):
        h.run_once()
        emit("a")
        [row] = json.loads(command("events_status", "--json", "--log", "default")[1])[0]["handlers"]
        assert row == {
            "name": "h", "state": "running", "lag": 1, "held": 0, "parked": 0, "runner": False,
        }  # fmt: skip
        samples.take("default", {Subscription.objects.get().pk: 1})
        [row] = json.loads(command("events_status", "--json", "--log", "default")[1])[0]["handlers"]
        assert row["runner"]

    def test_the_number_of_statements_does_not_grow_with_the_handlers(
        self, h, django_assert_num_queries
    ):
        h.run_once()
        with CaptureQueriesContext(connection) as few:
            assert len(numbers.of_log("default")) == 1
        for number in range(9):
            handler(name=f"h{number}")(act)
            handlers[f"h{number}"].run_once()
        with django_assert_num_queries(len(few)):
            assert len(numbers.of_log("default")) == 10

    def test_what_is_held_and_parked(self, make_log):
        """As `status()` says it."""

        @handler("a", name="h", log=make_log(name="default").name, since="earliest", retry=[60])
        def act(entry):
            raise ValueError("no")

        emit("a")
        emit("a")
        handlers["h"].run_once()
        Held.objects.filter(position=1).update(parked=True)
        [row] = numbers.of_log("default")
        assert (row["held"], row["parked"], row["lag"]) == (1, 1, 0)
        assert (handlers["h"].status().held, handlers["h"].status().parked) == (1, 1)

    def test_for_a_person(self, h, make_log):
        text = command("events_status")[1]
        assert text.splitlines()[-2].split() == [
            "handlers",
            "state",
            "lag",
            "held",
            "parked",
            "runner",
        ]
        assert text.splitlines()[-1].split() == ["h", "running", "0", "0", "0", "no"]
        assert "handlers" not in command("events_status", log=make_log().name)[1]


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("alias", DATABASES)
def test_who_has_left_no_sample_for_a_while_is_gone(make_log, alias, monkeypatch):
    """And what is older than an hour is forgotten."""
    skip_unless(alias)
    log = make_log(alias)
    handler(name="h", log=log.name)(act)
    handlers["h"].pause()
    key = Subscription.objects.using(alias).get().pk
    samples.take(alias, {key: 5})
    assert samples.running(alias, [key]) == {key}
    assert samples.last_hour(alias, key) == [0] * 59 + [5]
    Sample.objects.using(alias).update(at=Now() - timedelta(seconds=31))
    assert samples.running(alias, [key]) == set()
    now = samples.this_minute()
    monkeypatch.setattr(samples, "this_minute", lambda: now + 60)
    samples.take(alias, {key: 6})
    assert [sample.lag for sample in Sample.objects.using(alias).all()] == [6]


@pytest.mark.django_db
def test_what_prometheus_scrapes(make_log):
    """The numbers of each handler; one that cannot be read is left out."""
    prometheus_client = pytest.importorskip("prometheus_client")
    from events.handlers.metrics import register

    log = make_log()
    handler(name="h", log=log.name, since="earliest")(act)
    handler(name="g", log=log.name)(act)
    handler(name="lost", log="nowhere")(act)
    registry = prometheus_client.CollectorRegistry()
    register(registry)
    log.append("a")
    handlers["g"].pause()
    text = prometheus_client.generate_latest(registry).decode()
    assert 'events_handler_lag{handler="h"} 1.0' in text
    assert 'events_handler_up{handler="h"} 1.0' in text
    assert 'events_handler_up{handler="g"} 0.0' in text
    assert 'events_handler_parked{handler="h"} 0.0' in text
    assert 'events_handler_runner{handler="h"} 0.0' in text
    assert "lost" not in text
