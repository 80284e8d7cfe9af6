"""The EVENTS setting: what stands in for what is left out or wrong, and the registry of logs."""

import json
import logging
import time
from datetime import timedelta
from types import MappingProxyType

import pytest
from django.test import override_settings

from events import EventLog, logs
from events.backends.database import DatabaseBackend
from events.backends.disabled import DisabledBackend
from events.backends.memory import MemoryBackend
from events.conf import BACKENDS, DEFAULTS, MEMORY_DEFAULTS, OPTIONAL, log_settings
from events.exceptions import LogDoesNotExist
from events.testing import ManualClock, memory_log

WHOLE = [
    "MAX_ENTRIES",
    "MAX_PAYLOAD_BYTES",
    "PAGE_SIZE",
    "MAX_PAGE_SIZE",
    "WINDOW",
    "MAX_CONNECTIONS",
    "MAX_SUBSCRIPTIONS",
]
SECONDS = [
    "TTL",
    "POLL_INTERVAL",
    "HEARTBEAT_INTERVAL",
    "STREAM_MAX_SECONDS",
    "IDLE_TIMEOUT",
    "SEND_TIMEOUT",
    "LONG_POLL",
]

OTHERS = ["POLICY", "KEEP_UNHANDLED", "OPTIONS"]

CALLED_BY_PATH = ManualClock(1_700_000_000)


@pytest.fixture
def configured(settings):
    """The settings of the `default` log when EVENTS gives these for it."""

    def configure(**config):
        settings.EVENTS = {"default": config}
        return log_settings()["default"]

    return configure


def ids(log):
    return [problem.id for problem in log.problems]


class TestDefaults:
    def test_every_default(self, configured):
        """With nothing said, these stand: the contract lists them."""
        log = configured()
        assert (log.name, log.backend) == ("default", BACKENDS["database"])
        assert {key: getattr(log, key.lower()) for key in (*WHOLE, *SECONDS, *OTHERS)} == {
            "TTL": None,
            "MAX_ENTRIES": None,
            "MAX_PAYLOAD_BYTES": 65_536,
            "POLICY": "events.policy.DefaultPolicy",
            "PAGE_SIZE": 100,
            "MAX_PAGE_SIZE": 1000,
            "POLL_INTERVAL": 0.25,
            "HEARTBEAT_INTERVAL": 15,
            "STREAM_MAX_SECONDS": 600,
            "WINDOW": 1000,
            "IDLE_TIMEOUT": 300,
            "SEND_TIMEOUT": 60,
            "LONG_POLL": 20,
            "MAX_CONNECTIONS": 100,
            "MAX_SUBSCRIPTIONS": 1000,
            "KEEP_UNHANDLED": False,
            "OPTIONS": {},
        }
        assert log.clock is time.time
        assert log.problems == ()

    def test_every_setting_is_known(self):
        """The keys of the contract and of the defaults are the same."""
        assert set(DEFAULTS) == {"BACKEND", "ENCODER", *OTHERS, *WHOLE, *SECONDS}

    def test_a_switch_is_true_or_false(self, configured):
        """Anything else is noted."""
        assert configured(KEEP_UNHANDLED=True).keep_unhandled
        log = configured(KEEP_UNHANDLED="no")
        assert (log.keep_unhandled, ids(log)) == (False, ["W003"])

    def test_the_defaults_of_a_memory_log(self, configured):
        """It is bounded unless it is told not to be."""
        log = configured(BACKEND="memory")
        assert (log.ttl, log.max_entries) == (3600, 10_000)
        unbounded = configured(BACKEND="memory", TTL=None, MAX_ENTRIES=None)
        assert (unbounded.ttl, unbounded.max_entries) == (None, None)
        assert set(MEMORY_DEFAULTS) == {"TTL", "MAX_ENTRIES"}

    def test_memory_defaults_do_not_leak(self, settings):
        """A database log beside a memory log keeps everything."""
        settings.EVENTS = {"fleeting": {"BACKEND": "memory"}, "lasting": {}}
        assert (log_settings()["fleeting"].ttl, log_settings()["lasting"].ttl) == (3600, None)

    @pytest.mark.parametrize("value", [None, [], "database", 7, (), ["default"]])
    def test_a_setting_that_is_no_dictionary(self, settings, value):
        """One database log, whatever it is instead."""
        settings.EVENTS = value
        assert list(log_settings()) == list(logs) == ["default"]
        assert log_settings()["default"].backend == BACKENDS["database"]

    def test_no_setting_at_all(self, settings):
        """One database log."""
        del settings.EVENTS
        assert list(logs) == ["default"]

    @pytest.mark.parametrize("entry", [None, [], "memory", 7])
    def test_an_entry_that_is_no_dictionary(self, settings, entry):
        """The log is there, with the defaults."""
        settings.EVENTS = {"other": entry}
        assert list(logs) == ["default", "other"]
        assert log_settings()["other"].backend == BACKENDS["database"]

    def test_default_is_always_there(self, settings):
        """Also when only others are named; and in the order given when it is."""
        settings.EVENTS = {"audit": {}, "default": {"TTL": 7}}
        assert set(logs) == {"default", "audit"}
        assert log_settings()["default"].ttl == 7

    def test_any_mapping_will_do(self, settings):
        """A read-only one, for instance."""
        settings.EVENTS = MappingProxyType({"a": MappingProxyType({"TTL": 7})})
        assert log_settings()["a"].ttl == 7

    def test_the_setting_is_not_changed(self, settings):
        """What was given stays as it was given."""
        given = {"default": {"TTL": "7d", "PAGE_SIZE": -1}}
        settings.EVENTS = given
        assert log_settings()["default"].ttl == 7 * 86_400
        assert given == {"default": {"TTL": "7d", "PAGE_SIZE": -1}}


class TestBounds:
    @pytest.mark.parametrize("key", WHOLE)
    @pytest.mark.parametrize(
        "value",
        [0, -1, 1.5, True, False, "10", "", [], {}, 2**53, float("inf"), timedelta(seconds=9)],
    )
    def test_a_bad_number_falls_back(self, configured, key, value):
        """B20: the default stands in, and a warning names the key."""
        log = configured(**{key: value})
        assert getattr(log, key.lower()) == DEFAULTS[key]
        assert ids(log) == ["W003"]
        assert f"EVENTS['default']: {key} is {value!r}" in log.problems[0].message

    @pytest.mark.parametrize("key", SECONDS)
    @pytest.mark.parametrize(
        "value",
        [
            0,
            -1,
            -0.5,
            True,
            "0",
            "-5",
            "1 week",
            "soon",
            "",
            [],
            float("nan"),
            float("inf"),
            timedelta(0),
            timedelta(days=-1),
        ],
    )
    def test_a_bad_duration_falls_back(self, configured, key, value):
        """B20: here too."""
        log = configured(**{key: value})
        assert getattr(log, key.lower()) == DEFAULTS[key]
        assert ids(log) == ["W003"]

    @pytest.mark.parametrize("key", ["TTL", "MAX_ENTRIES"])
    def test_a_bad_bound_of_a_memory_log(self, configured, key):
        """B20: its own default stands in, so that it stays bounded."""
        log = configured(BACKEND="memory", **{key: 0})
        assert getattr(log, key.lower()) == MEMORY_DEFAULTS[key]

    @pytest.mark.parametrize("key", [*WHOLE, *SECONDS])
    def test_none(self, configured, key):
        """It means "without a bound" where there can be none, and is a mistake elsewhere."""
        log = configured(**{key: None})
        if key in OPTIONAL:
            assert (getattr(log, key.lower()), ids(log)) == (None, [])
        else:
            assert (getattr(log, key.lower()), ids(log)) == (DEFAULTS[key], ["W003"])

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (90, 90),
            (0.5, 0.5),
            ("90", 90),
            ("30s", 30),
            ("15m", 900),
            ("12h", 43_200),
            ("7d", 604_800),
            (" 7d ", 604_800),
            (timedelta(days=7), 604_800),
            (timedelta(milliseconds=1), 0.001),
        ],
    )
    def test_durations(self, configured, value, seconds):
        """Seconds, a timedelta, or what the commands take."""
        for key in SECONDS:
            log = configured(**{key: value})
            assert getattr(log, key.lower()) == seconds
            assert isinstance(getattr(log, key.lower()), float)
            assert ids(log) == []

    @pytest.mark.parametrize("value", [1, 7, 2**53 - 1])
    def test_whole_numbers(self, configured, value):
        """From 1."""
        for key in WHOLE:
            log = configured(
                MAX_PAGE_SIZE=2**53 - 1, **({} if key == "MAX_PAGE_SIZE" else {key: value})
            )
            assert getattr(log, key.lower()) == (2**53 - 1 if key == "MAX_PAGE_SIZE" else value)
            assert ids(log) == []

    def test_a_page_is_not_larger_than_the_largest(self, configured):
        """PAGE_SIZE is cut down, with a warning."""
        log = configured(PAGE_SIZE=50, MAX_PAGE_SIZE=20)
        assert (log.page_size, log.max_page_size, ids(log)) == (20, 20, ["W003"])

    def test_unknown_keys(self, configured):
        """They change nothing and are named; a lower-case key is not its upper-case cousin."""
        log = configured(ttl=7, MAX_ENTRYS=5, OPTIONS={"usnig": "default"})
        assert (log.ttl, log.max_entries) == (None, None)
        assert ids(log) == ["W001"] * 3
        assert "'ttl'" in log.problems[0].message

    @pytest.mark.parametrize("options", [None, "using", ["using"], 7])
    def test_options_that_are_no_dictionary(self, configured, options):
        """B20: none are taken, and a warning says so."""
        log = configured(OPTIONS=options)
        assert log.options == {}
        assert ids(log) == ["W010"]

    @pytest.mark.parametrize("sequence", ["later", None, True, []])
    def test_an_unknown_way_to_sequence_falls_back(self, configured, sequence):
        """B20"""
        log = configured(OPTIONS={"sequence": sequence})
        assert ids(log) == ["W003"]
        assert not logs["default"].backend.lock.inline

    @pytest.mark.parametrize("timeout", [0, -1, "5s and more", None, True, float("nan"), []])
    def test_a_bad_lock_timeout_falls_back(self, configured, timeout):
        """B20: PostgreSQL would take 0 for "wait for ever", and an append would choke on a text."""
        log = configured(OPTIONS={"lock_timeout": timeout})
        assert ids(log) == ["W003"]
        assert logs["default"].backend.lock_timeout == 5

    @pytest.mark.parametrize(
        ("timeout", "seconds"), [(2, 2), (0.5, 0.5), ("2s", 2), (timedelta(0, 2), 2)]
    )
    def test_a_lock_timeout(self, configured, timeout, seconds):
        """As any other duration."""
        log = configured(OPTIONS={"lock_timeout": timeout})
        assert (ids(log), logs["default"].backend.lock_timeout) == ([], seconds)

    @pytest.mark.django_db
    @pytest.mark.parametrize("backend", ["database", "memory"])
    def test_a_ttl_of_for_ever(self, make_log, backend):
        """TTL: timedelta.max reaches back beyond any timestamp, and is no overflow."""
        log = make_log(BACKEND=backend, TTL=timedelta.max)
        log.append("n")
        assert [entry.position for entry in log.read().entries] == [1]
        assert (log.prune(), log.prune(ttl=timedelta.max)) == (0, 0)
        assert log.info().count == 1

    @pytest.mark.django_db
    @pytest.mark.parametrize("backend", ["database", "memory", "disabled"])
    @pytest.mark.parametrize(
        "bound",
        [
            {"max_entries": 0},
            {"max_entries": -1},
            {"max_entries": 1.5},
            {"max_entries": "1"},
            {"max_entries": True},
            {"ttl": 0},
            {"ttl": timedelta(0)},
            {"ttl": -1},
            {"ttl": float("nan")},
            {"ttl": "7d"},
            {"ttl": timedelta(-1)},
            {"batch_size": 0},
            {"batch_size": -1},
            {"batch_size": None},
        ],
    )
    def test_a_bad_bound_of_a_prune(self, make_log, backend, bound):
        """A floor above the head would hide what is appended next, and one at it empties the log:
        whoever wants that is told how."""
        log = make_log(BACKEND=backend)
        log.append_many([("n", {})] * 3)
        how = "" if "batch_size" in bound else r".*clear\(\)"
        with pytest.raises(ValueError, match=f"^{next(iter(bound))} {how}"):
            log.prune(**bound)
        assert log.info().head == 3
        assert log.append("n").position == 4
        if backend != "disabled":
            assert log.info().count == 4

    @pytest.mark.django_db
    @pytest.mark.parametrize("backend", ["database", "memory"])
    def test_a_prune_to_almost_nothing(self, make_log, backend):
        """One entry, or a moment on a clock that went on, are the least that one can ask for."""
        log = make_log(BACKEND=backend, OPTIONS={"clock": (clock := ManualClock())})
        log.append_many([("n", {})] * 3)
        assert log.prune(max_entries=1) == 2
        clock.advance(1)
        assert log.prune(ttl=0.001) == 1
        assert log.append("n").position == 4


class TestBackends:
    @pytest.mark.parametrize(
        ("name", "backend"),
        [
            ("database", DatabaseBackend),
            (" Database\n", DatabaseBackend),
            ("MEMORY", MemoryBackend),
            ("\tmemory ", MemoryBackend),
            ("disabled", DisabledBackend),
            ("Off", DisabledBackend),
            (" NONE ", DisabledBackend),
            ("events.backends.memory.MemoryBackend", MemoryBackend),
            (" events.backends.memory.MemoryBackend ", MemoryBackend),
        ],
    )
    def test_names(self, configured, name, backend):
        """B24: spaces and case are ignored; a dotted path will do."""
        assert ids(configured(BACKEND=name)) == []
        assert type(logs["default"].backend) is backend

    def test_a_dotted_path_has_the_defaults_of_its_class(self, configured):
        """B24: a memory log is bounded however it is named."""
        assert configured(BACKEND="events.backends.memory.MemoryBackend").ttl == 3600

    @pytest.mark.parametrize(
        "name",
        [
            "kafka",
            "",
            "no.such.Backend",
            "events.backends.memory.Nothing",
            "events.backends.memory",
            "Events.Backends.Memory.MemoryBackend",
            ".memory",
            "..memory",
            ".",
            "a..b",
            "json.loads",
            "events.testing.ManualClock.advance",
            None,
            7,
            MemoryBackend,
        ],
    )
    def test_an_unknown_backend(self, configured, caplog, name):
        """B24: the database stands in, with a warning and a line in the log, and nothing crashes."""
        with caplog.at_level(logging.WARNING, "events"):
            log = configured(BACKEND=name)
        assert (log.backend, ids(log)) == (BACKENDS["database"], ["W002"])
        assert "unknown backend" in caplog.text
        assert repr(name) in caplog.text
        assert type(logs["default"].backend) is DatabaseBackend

    def test_a_known_backend_says_nothing(self, configured, caplog):
        """B24: no line in the log."""
        configured(BACKEND=" Memory ")
        assert caplog.text == ""


class TestClocks:
    def test_a_callable(self, configured):
        """B21: it is what the log asks for the time."""
        clock = ManualClock(1_700_000_000.5)
        assert configured(OPTIONS={"clock": clock}).clock is clock
        assert logs["default"].backend.now() == 1_700_000_000_500_000

    def test_a_dotted_path(self, configured):
        """B21: the same from a settings file that imports nothing."""
        log = configured(OPTIONS={"clock": f"{__name__}.CALLED_BY_PATH"})
        assert (log.clock(), ids(log)) == (1_700_000_000, [])
        assert configured(OPTIONS={"clock": "time.monotonic"}).clock is time.monotonic

    @pytest.mark.parametrize(
        "clock", [7, None, "now", "time.nothing", "no.such", ".x", "..x", "", "math.pi"]
    )
    def test_what_cannot_be_called(self, configured, clock):
        """The time of day stands in, with a warning."""
        log = configured(OPTIONS={"clock": clock})
        assert (log.clock, ids(log)) == (time.time, ["W004"])


class TestEncoder:
    @pytest.mark.parametrize(
        "encoder", ["django.core.serializers.json.DjangoJSONEncoder", json.JSONEncoder]
    )
    def test_one(self, configured, encoder):
        """A dotted path, or the class."""
        log = configured(ENCODER=encoder)
        assert issubclass(log.encoder, json.JSONEncoder)
        assert ids(log) == []

    def test_none(self, configured):
        """Payloads have to be JSON, unless it is said otherwise."""
        assert configured().encoder is configured(ENCODER=None).encoder is None

    @pytest.mark.parametrize("encoder", ["", "no.such", ".x", "json.dumps", "json.JSONDecoder", 7])
    def test_what_is_no_encoder(self, configured, encoder):
        """The strict rules stand in, with a warning."""
        log = configured(ENCODER=encoder)
        assert (log.encoder, ids(log)) == (None, ["W012"])


class TestLogs:
    def test_a_log_is_made_once(self):
        """Who asks twice gets the same one."""
        assert logs["default"] is logs["default"]
        assert isinstance(logs["default"], EventLog)
        assert repr(logs["default"]) == "<EventLog 'default': DatabaseBackend>"

    @pytest.mark.parametrize("name", ["nope", "", "Default", " default", 7, None])
    def test_an_unknown_log(self, settings, name):
        """The error names those that there are; a KeyError handler catches it."""
        settings.EVENTS = {"audit": {}}
        with pytest.raises(KeyError) as caught:
            logs[name]
        assert type(caught.value) is LogDoesNotExist
        assert str(caught.value) == f"There is no log {name!r}; EVENTS has 'default', 'audit'."
        assert name not in logs

    def test_iteration(self, settings):
        """Over names, as with a dictionary."""
        settings.EVENTS = {"a": {}, "b": None}
        assert list(logs) == ["default", "a", "b"]
        assert "a" in logs
        assert [logs[name].name for name in logs] == ["default", "a", "b"]

    def test_an_override_holds_while_it_lasts(self):
        """Logs are made anew when the setting changes, and again when it changes back."""
        before = logs["default"]
        with override_settings(EVENTS={"default": {"TTL": 7}, "more": {}}):
            assert logs["default"] is not before
            assert logs["default"].settings.ttl == 7
            assert "more" in logs
            with override_settings(EVENTS={}):
                assert logs["default"].settings.ttl is None
            assert logs["default"].settings.ttl == 7
        assert "more" not in logs
        assert logs["default"].settings.ttl is None

    def test_another_setting_changes_nothing(self):
        """A log is kept when something else is overridden."""
        before = logs["default"]
        with override_settings(USE_TZ=False):
            assert logs["default"] is before

    def test_an_event_goes_to_the_log_that_is_named(self):
        """And to no other."""
        with memory_log("a"), memory_log("b"):
            logs["a"].append("n")
            assert (logs["a"].info().head, logs["b"].info().head) == (1, 0)
