"""What `manage.py check` says, and when it says nothing."""

import enum
import io
import logging
from copy import deepcopy

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler
from django.utils.decorators import sync_and_async_middleware

from events import checks

# psycopg's, without psycopg: these tests need no database.
IsolationLevel = enum.IntEnum(
    "IsolationLevel", "READ_UNCOMMITTED READ_COMMITTED REPEATABLE_READ SERIALIZABLE"
)

SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": "x.sqlite3",
    "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL;", "transaction_mode": "IMMEDIATE"},
}
POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}
MARIADB = {"ENGINE": "django.db.backends.mysql", "NAME": "x"}


@pytest.fixture(autouse=True)
def nothing_silenced(settings):
    settings.SILENCED_SYSTEM_CHECKS = []


@pytest.fixture
def databases(monkeypatch):
    """Have the checks see these DATABASES; nobody connects to them."""

    def use(**databases):
        monkeypatch.setattr(checks, "connections", ConnectionHandler(deepcopy(databases)))

    use(default=SQLITE)
    return use


def of_the_core(**options):
    """What the checks of `events` say. Those of the optional apps are tested with them."""
    messages = run_checks(tags=["events"], **options)
    return [message for message in messages if message.id.startswith("events.")]


@pytest.fixture
def found(settings, databases):
    """The ids of what is said about a setting."""

    def find(deploy=False, **events):
        settings.EVENTS = events
        messages = of_the_core(include_deployment_checks=deploy)
        assert all(message.hint for message in messages)
        return [message.id.removeprefix("events.") for message in messages]

    return find


class Everything:
    def can_read(self, user, stream):
        return True

    def can_emit(self, user, stream):
        return True


class Derived(Everything):
    pass


def sync_only(get_response):
    return get_response


@sync_and_async_middleware
def both(get_response):
    return get_response


def with_options(database, **options):
    return {**database, "OPTIONS": {**database.get("OPTIONS", {}), **options}}


def test_a_setting_without_mistakes(found):
    """Nothing is said."""
    assert found() == found(default={"TTL": "7d", "BACKEND": "database"}) == []


class TestSettings:
    @pytest.mark.parametrize("name", ["a b", "", "x" * 65, "é", "a/b", "a\n", "a:b"])
    def test_e001(self, found, name):
        """A name that no Channels group can have is an error."""
        assert found(**{name: {}}) == ["E001"]

    @pytest.mark.parametrize("name", ["audit", "a.b-c_D9", "x" * 64])
    def test_no_e001(self, found, name):
        """Letters, digits and . _ - are fine."""
        assert found(**{name: {}}) == []

    @pytest.mark.parametrize(
        "policy",
        ["no.such.Policy", "", ".x", "..x", 7, None, "json.loads", "events.policy.Missing"],
    )
    def test_e003(self, found, policy):
        """A policy that is not there, or is none."""
        assert found(default={"POLICY": policy}) == ["E003"]

    @pytest.mark.parametrize(
        "policy", ["events.policy.DefaultPolicy", f"{__name__}.Everything", f"{__name__}.Derived"]
    )
    def test_no_e003(self, found, policy):
        """A class with both methods, its own or inherited."""
        assert found(default={"POLICY": policy}) == []

    def test_w001(self, found):
        """A misspelt key or option is named."""
        assert found(default={"TLL": 7}) == found(default={"OPTIONS": {"usng": "x"}}) == ["W001"]

    def test_no_w001(self, found):
        """Every key of the contract is known, and so are the options."""
        keys = {
            "BACKEND": "database",
            "TTL": 7,
            "MAX_ENTRIES": 7,
            "MAX_PAYLOAD_BYTES": 7,
            "POLICY": "events.policy.DefaultPolicy",
            "PAGE_SIZE": 7,
            "MAX_PAGE_SIZE": 7,
            "POLL_INTERVAL": 7,
            "HEARTBEAT_INTERVAL": 7,
            "STREAM_MAX_SECONDS": 7,
            "WINDOW": 7,
            "IDLE_TIMEOUT": 7,
            "OPTIONS": {"using": "default", "clock": "time.time", "lock_timeout": 7},
        }
        assert found(default=keys) == []

    def test_w002(self, found, caplog):
        """B24: an unknown backend."""
        with caplog.at_level(logging.CRITICAL, "events"):
            assert found(default={"BACKEND": "kafka"}) == ["W002"]

    def test_no_w002(self, found):
        """B24: names and dotted paths that are known."""
        for backend in (" Memory ", "off", "events.backends.memory.MemoryBackend"):
            assert found(default={"BACKEND": backend}) == []

    def test_w003(self, found):
        """B20: one warning for each bound that is not positive."""
        assert found(default={"TTL": 0, "PAGE_SIZE": -1}, other={"WINDOW": "x"}) == ["W003"] * 3

    def test_no_w003(self, found):
        """B20: positive ones, and none where none is allowed."""
        assert found(default={"TTL": None, "MAX_ENTRIES": 1, "IDLE_TIMEOUT": None}) == []

    def test_w004(self, found):
        """A clock that cannot be called."""
        assert found(default={"OPTIONS": {"clock": 7}}) == ["W004"]

    def test_no_w004(self, found):
        """A callable and its path."""
        for clock in ("time.time", lambda: 0.0):
            assert found(default={"OPTIONS": {"clock": clock}}) == []

    @pytest.mark.parametrize(
        "value", [None, [], "database", {"default": None}, {"default": "memory"}]
    )
    def test_w010(self, settings, databases, value):
        """EVENTS, or an entry of it, is not a dictionary."""
        settings.EVENTS = value
        assert [message.id for message in of_the_core()] == ["events.W010"]

    def test_no_w010(self, settings, databases):
        """An empty setting and one left out are no mistake."""
        settings.EVENTS = {}
        assert of_the_core() == []
        del settings.EVENTS
        assert of_the_core() == []


class TestDatabases:
    def test_e002(self, found):
        """A database that DATABASES does not have."""
        assert found(default={"OPTIONS": {"using": "elsewhere"}}) == ["E002"]
        assert found(default={"OPTIONS": {"using": None}}) == ["E002"]

    def test_e002_of_a_log_on_redis(self, found, databases):
        """The database where what is emitted in a transaction waits for its commit."""
        log = {"BACKEND": "redis", "OPTIONS": {"using": "elsewhere"}}
        assert found(default=log) == ["E002"]
        databases(default=SQLITE, elsewhere=SQLITE)
        assert found(default=log) == []

    @pytest.mark.parametrize(
        "engine", ["django.db.backends.oracle", "django.db.backends.dummy", ""]
    )
    def test_e002_for_one_that_cannot_keep_a_log(self, found, databases, engine):
        """Said before the first emit raises NotImplementedError or ImproperlyConfigured."""
        databases(default={"ENGINE": engine, "NAME": "x"})
        assert found() == ["E002"]

    @pytest.mark.parametrize("database", [SQLITE, POSTGRES, MARIADB])
    def test_no_e002(self, found, databases, database):
        """The three that it is made for."""
        databases(default=database)
        assert found() == []

    def test_a_log_elsewhere_needs_no_database(self, found, databases):
        """A memory log says nothing of databases."""
        databases(default={"ENGINE": ""})
        assert found(default={"BACKEND": "memory"}) == []

    @pytest.mark.parametrize("command", [None, "", "PRAGMA synchronous=FULL;"])
    def test_w005(self, found, databases, command):
        """SQLite without a write-ahead log."""
        databases(default=with_options(SQLITE, init_command=command))
        assert found() == ["W005"]

    @pytest.mark.parametrize("command", ["PRAGMA journal_mode=WAL;", "pragma journal_mode = wal"])
    def test_no_w005(self, found, databases, command):
        """However it is written."""
        databases(default=with_options(SQLITE, init_command=command))
        assert found() == []

    @pytest.mark.parametrize("mode", [None, "", "DEFERRED", "deferred"])
    def test_w006(self, found, databases, mode):
        """SQLite with transactions that begin as readers."""
        databases(default=with_options(SQLITE, transaction_mode=mode))
        assert found() == ["W006"]

    @pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
    def test_no_w006(self, found, databases, mode):
        """Those that take the write lock at once."""
        databases(default=with_options(SQLITE, transaction_mode=mode))
        assert found() == []

    @pytest.mark.parametrize(
        ("database", "level"),
        [
            (POSTGRES, IsolationLevel.REPEATABLE_READ),
            (POSTGRES, IsolationLevel.SERIALIZABLE),
            (MARIADB, "repeatable read"),
            (MARIADB, "SERIALIZABLE"),
        ],
    )
    def test_w007(self, found, databases, database, level):
        """A stricter isolation than is needed."""
        databases(default=with_options(database, isolation_level=level))
        assert found() == ["W007"]

    @pytest.mark.parametrize(
        ("database", "level"),
        [
            (POSTGRES, IsolationLevel.READ_COMMITTED),
            (POSTGRES, None),
            (MARIADB, "read committed"),
            (MARIADB, None),
        ],
    )
    def test_no_w007(self, found, databases, database, level):
        """What Django takes by itself."""
        databases(default=with_options(database, isolation_level=level))
        assert found() == []

    def test_w008(self, found, databases):
        """A log in another database than `default`."""
        databases(default=SQLITE, other=POSTGRES)
        assert found(audit={"OPTIONS": {"using": "other"}}) == ["W008"]

    def test_no_w008(self, found, databases):
        """One that says where it is, and is there."""
        databases(default=SQLITE, other=POSTGRES)
        assert found(audit={"OPTIONS": {"using": "default"}}) == []

    def test_a_database_is_spoken_of_once(self, found, databases):
        """However many logs are in it."""
        databases(default={"ENGINE": "django.db.backends.sqlite3", "NAME": "x"})
        assert found(a={}, b={}) == ["W005", "W006"]

    def test_no_database_is_asked(self, settings, monkeypatch):
        """`check` also works while every database is down."""

        def refuse(*args, **kwargs):
            raise AssertionError("a check connected to a database")

        monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.connect", refuse)
        settings.EVENTS = {alias: {"OPTIONS": {"using": alias}} for alias in connections.settings}
        assert not any(message.is_serious() for message in run_checks(tags=["events"]))


class TestMiddleware:
    def test_w011(self, found, settings):
        """A middleware that cannot be asynchronous is named, under ASGI."""
        settings.MIDDLEWARE = [
            f"{__name__}.sync_only",
            "no.such.Middleware",
            ".x",
            f"{__name__}.both",
        ]
        assert found() == ["W011"]

    def test_no_w011(self, found, settings):
        """Django's own can be, and under WSGI it makes no difference."""
        settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware", f"{__name__}.both"]
        assert found() == []
        settings.MIDDLEWARE = [f"{__name__}.sync_only"]
        settings.ASGI_APPLICATION = None
        assert found() == []


class TestDeploy:
    def test_w009(self, found):
        """A log without a bound, for each log, and only where it matters."""
        assert found() == []
        assert found(deploy=True) == ["W009"]
        assert found(deploy=True, audit={}) == ["W009", "W009"]

    @pytest.mark.parametrize("bound", [{"TTL": 7}, {"MAX_ENTRIES": 7}, {"BACKEND": "memory"}])
    def test_no_w009(self, found, bound):
        """One bound is enough, and a memory log has its own."""
        assert found(deploy=True, default=bound) == []

    def test_check_deploy(self, settings, databases):
        """The command runs through, and says it."""
        settings.EVENTS = {}
        err = io.StringIO()
        call_command("check", deploy=True, stdout=io.StringIO(), stderr=err)
        assert "(events.W009) EVENTS['default'] has neither TTL nor MAX_ENTRIES" in err.getvalue()

    def test_check(self, settings, databases):
        """Without --deploy it does not."""
        settings.EVENTS = {}
        err = io.StringIO()
        call_command("check", stdout=io.StringIO(), stderr=err)
        assert "events." not in err.getvalue()
