"""The tables, read through the ORM on each database."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, connections, models, transaction
from django.db.models import Max
from django.utils import timezone

from events.models import Event, Log, Outbox, Stream
from events.testing import ManualClock

from .support.databases import DATABASES, skip_unless

pytestmark = pytest.mark.django_db(databases="__all__")

MOMENT = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=DATABASES)
def alias(request):
    skip_unless(request.param)
    return request.param


@pytest.fixture
def clock():
    # Whole microseconds do not fit a float exactly; the nearest one rounds back to them.
    return ManualClock(MOMENT.timestamp())


@pytest.fixture
def log(make_log, alias, clock):
    return make_log(alias, OPTIONS={"clock": clock})


@pytest.fixture
def events(log, alias):
    """The entries of this test's log, as models."""
    return Event.objects.using(alias).filter(log__name=log.name)


class TestReading:
    def test_an_event(self, log, events):
        """The payload is a dict and the timestamp an aware datetime, to the microsecond."""
        entry = log.append("turn.started", {"z": [1, 2.5, None], "a": "é😀"}, stream="s", key="k")
        event = events.get()
        assert (event.position, event.kind, event.stream, event.seq, event.key) == (
            1,
            "turn.started",
            "s",
            1,
            "k",
        )
        assert event.payload == {"z": [1, 2.5, None], "a": "é😀"}
        assert list(event.payload) == ["z", "a"]
        assert event.timestamp == MOMENT == entry.timestamp
        assert event.timestamp.utcoffset() == timedelta(0)
        assert str(event) == "1 turn.started"

    @pytest.mark.parametrize("use_tz", [True, False])
    def test_timestamps_are_aware_whatever_the_project_does(self, log, events, settings, use_tz):
        """USE_TZ and TIME_ZONE change nothing."""
        settings.USE_TZ = use_tz
        settings.TIME_ZONE = "Asia/Kathmandu"
        log.append("n")
        assert events.get().timestamp == MOMENT

    def test_values_and_aggregates(self, log, events):
        """They are converted, too."""
        log.append("n", {"a": 1})
        assert events.values_list("payload", "timestamp").get() == ({"a": 1}, MOMENT)
        assert events.aggregate(last=Max("timestamp")) == {"last": MOMENT}

    def test_what_a_reader_sees(self, log, events):
        """The ORM and the log agree."""
        log.append_many([("n", {"n": n}) for n in range(5)])
        assert [event.payload for event in events.order_by("position")] == [
            entry.payload for entry in log.read().entries
        ]

    def test_a_payload_is_looked_up_as_it_is_stored(self, log, events):
        """By a dict, in the writer's order."""
        log.append("n", {"b": 1, "a": 2})
        assert events.filter(payload={"b": 1, "a": 2}).exists()
        assert not events.filter(payload={"b": 1}).exists()


class TestJSON:
    def test_lookups_inside_a_payload(self, log, events):
        """`with_json` is the database's own JSON."""
        log.append_many(
            [
                ("n", {"a": {"b": 1}, "user": {"id": 7, "name": "Ünal"}, "tags": ["x", "y"]}),
                ("n", {"a": {"b": 2}}),
                ("n", {}),
            ]
        )

        def found(**lookup):
            matching = events.with_json().filter(**lookup).order_by("position")
            return list(matching.values_list("position", flat=True))

        assert found(json__a__b=1) == [1]
        assert found(json__a__b__gt=1) == [2]
        assert found(json__user__name="Ünal") == [1]
        assert found(json__tags__1="y") == [1]
        assert found(json__has_key="user") == [1]
        assert found(json__a__isnull=True) == [3]

    def test_the_annotation_is_a_dict(self, log, events):
        """Beside the payload, which stays."""
        log.append("n", {"a": {"b": [1, None]}})
        event = events.with_json().get()
        assert event.json == event.payload == {"a": {"b": [1, None]}}

    def test_it_is_there_on_a_manager(self, alias):
        """As the docstring says it."""
        assert not Event.objects.using(alias).with_json().filter(json__a__b=1).exists()


class TestTimestamps:
    @pytest.fixture
    def hourly(self, log, clock):
        for _ in range(4):
            log.append("n")
            clock.advance(3600)

    @pytest.mark.parametrize(
        ("lookup", "positions"),
        [
            ({"timestamp__lt": MOMENT + timedelta(hours=1)}, [1]),
            ({"timestamp__lte": MOMENT + timedelta(hours=1)}, [1, 2]),
            ({"timestamp__gt": MOMENT + timedelta(hours=2)}, [4]),
            ({"timestamp__gte": MOMENT + timedelta(hours=2)}, [3, 4]),
            ({"timestamp": MOMENT}, [1]),
            ({"timestamp__in": [MOMENT, MOMENT + timedelta(hours=3)]}, [1, 4]),
            (
                {"timestamp__range": (MOMENT + timedelta(hours=1), MOMENT + timedelta(hours=2))},
                [2, 3],
            ),
        ],
    )
    def test_comparisons(self, hourly, events, lookup, positions):
        """With aware datetimes."""
        found = events.filter(**lookup).order_by("timestamp").values_list("position", flat=True)
        assert list(found) == positions

    def test_another_zone(self, hourly, events):
        """A datetime means the same moment wherever it was made."""
        there = timezone.localtime(MOMENT, timezone.get_fixed_timezone(345))
        assert events.get(timestamp=there).position == 1

    def test_a_naive_datetime(self, hourly, events, settings):
        """It is in the project's zone, as with a DateTimeField: with USE_TZ=False all are naive."""
        settings.USE_TZ = False
        settings.TIME_ZONE = "Asia/Kathmandu"
        naive = timezone.make_naive(MOMENT, timezone.get_default_timezone())
        assert events.get(timestamp=naive).position == 1
        assert events.filter(timestamp__lt=datetime.now()).exists()


class TestFixtures:
    @pytest.mark.parametrize("format", ["json", "xml", "jsonl"])
    def test_dumpdata_and_loaddata(self, log, events, alias, tmp_path, format):
        """An event comes back with every microsecond and every byte of its payload."""
        log.append("n", {"z": 1.5, "a": ["é😀", None, '"\n']}, stream="s", key="k")
        log.append("n")
        before = log.backend.read(log.query()).rows
        path = tmp_path / f"events.{format}"
        call_command(
            "dumpdata", "events", database=alias, format=format, output=str(path), verbosity=0
        )
        events.delete()
        assert log.read().entries == []
        call_command("loaddata", str(path), database=alias, verbosity=0)
        assert log.backend.read(log.query()).rows == before

    def test_the_json_of_a_fixture(self, log, events):
        """The payload is the text that is stored."""
        log.append("n", {"z": 1, "a": "é"})
        [found] = json.loads(serializers.serialize("json", events))
        assert found["fields"]["payload"] == '{"z":1,"a":"é"}'

    def test_an_event_can_be_cleaned(self, log, events):
        """Model validation does not trip over a datetime that is kept as a number."""
        log.append("n", {"a": 1}, stream="s")
        events.get().full_clean(validate_unique=False, validate_constraints=False, exclude=["log"])


class TestTables:
    def test_no_foreign_keys(self, alias):
        """An append locks no row that it does not have to: the database checks no reference."""
        connection = connections[alias]
        with connection.cursor() as cursor:
            for model in apps.get_app_config("events").get_models():
                constraints = connection.introspection.get_constraints(cursor, model._meta.db_table)
                assert [name for name, one in constraints.items() if one["foreign_key"]] == []
                assert connection.introspection.get_relations(cursor, model._meta.db_table) == {}

    def test_a_position_is_used_once(self, log, events, alias):
        """B15: the database itself refuses the second."""
        log.append("n")
        event = events.get()
        event.pk = None
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            event.save(force_insert=True, using=alias)

    def test_keys_differ_by_case_accent_and_spaces(self, log, events):
        """B30: MariaDB would take these for equal if it were left to itself."""
        keys = ["k", "K", "k ", "é", "e", "É", "ß", "ss", "😀", "😁"]
        log.append_many([{"kind": "n", "key": key} for key in keys])
        assert [events.get(key=key).position for key in keys] == list(range(1, 11))

    def test_streams_differ_by_case(self, log, events, alias):
        """`run` and `Run` are two streams, here and in look-ups."""
        log.append_many([{"kind": "n", "stream": name} for name in ("run", "Run", "run", "RUN")])
        assert events.filter(stream="run").count() == 2
        assert events.filter(stream="RUN").count() == 1
        streams = Stream.objects.using(alias).filter(log__name=log.name)
        assert {stream.name: stream.seq for stream in streams} == {"run": 2, "Run": 1, "RUN": 1}

    def test_kinds_are_compared_byte_by_byte(self, log, events):
        """A prefix ends where its dot is, whatever the collation of the database."""
        log.append_many([(kind, {}) for kind in ("a.b", "a_b", "a.b_c", "ab", "a")])
        assert events.filter(kind="a.b").count() == 1
        assert [entry.kind for entry in log.read(kind="a.*").entries] == ["a.b", "a.b_c"]

    def test_names_of_logs_differ_by_case(self, alias):
        """Two logs."""
        names = ["audit", "Audit"]
        Log.objects.using(alias).bulk_create([Log(name=name) for name in names])
        assert [Log.objects.using(alias).get(name=name).name for name in names] == names

    def test_they_say_who_they_are(self):
        """In the admin and in a shell."""
        shown = [
            str(Log(name="default")),
            str(Event(position=1, kind="n")),
            str(Outbox(log="default", kind="n")),
            str(Stream(name="s")),
        ]
        assert shown == ["default", "1 n", "default: n", "s"]

    def test_no_migration_is_missing(self):
        """The models and the migrations say the same."""
        out = io.StringIO()
        call_command("makemigrations", "events", check=True, dry_run=True, stdout=out)
        assert "No changes detected" in out.getvalue()

    def test_positions_have_64_bits(self):
        """Whatever DEFAULT_AUTO_FIELD says."""
        for model in apps.get_app_config("events").get_models():
            assert isinstance(model._meta.pk, models.BigAutoField)
