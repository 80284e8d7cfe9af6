"""The values that come out of a log, and the exceptions."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Entry, Gap, LogInfo, Page
from events.exceptions import (
    CursorExpired,
    EventsError,
    InvalidEvent,
    InvalidTransition,
    KeyConflict,
    LogBusy,
    LogDoesNotExist,
    StreamClosed,
)
from events.types import (
    TERMINAL,
    Row,
    Status,
    StreamInfo,
    from_micros,
    new_epoch,
    to_micros,
    wire_time,
)

MOMENT = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)
ENTRY = Entry(58, "turn.started", "run-42", 3, MOMENT, {"n": 1}, "req-7")
GAP = Gap("pruned", 2, 6, 3)
PAGE = Page([ENTRY], 58, 58, "e", GAP)
INFO = LogInfo("default", "e", 58, 0, 58)

ERRORS = [
    InvalidEvent("payload.a", "is a set"),
    KeyConflict("the key 'k'"),
    StreamClosed("the stream 's'"),
    InvalidTransition("from there to here"),
    CursorExpired(GAP),
    LogDoesNotExist("There is no log 'x'."),
    LogBusy("could not lock the log"),
]


def test_an_entry_as_a_dict():
    """The wire form: these keys in this order, and not the writer's key."""
    assert list(ENTRY.to_dict().items()) == [
        ("position", 58),
        ("kind", "turn.started"),
        ("stream", "run-42"),
        ("seq", 3),
        ("timestamp", "2026-11-20T10:00:00.123456Z"),
        ("payload", {"n": 1}),
    ]


def test_a_receipt_as_a_dict():
    """Its position and its seq are null."""
    receipt = Entry(None, "n", "s", None, MOMENT, {})
    assert (receipt.to_dict()["position"], receipt.to_dict()["seq"]) == (None, None)
    assert receipt.key is None


def test_the_fields_of_an_entry():
    """They stand in the order of the contract."""
    assert [field.name for field in fields(Entry)] == [
        "position",
        "kind",
        "stream",
        "seq",
        "timestamp",
        "payload",
        "key",
        "context",
    ]


def test_an_entry_from_a_row():
    """A seq of 0 is none, and the payload is parsed anew each time."""
    row = Row(58, "turn.started", "run-42", 3, to_micros(MOMENT), '{"n":1}', "req-7")
    assert Entry.from_row(row) == ENTRY
    assert Entry.from_row(row).payload is not Entry.from_row(row).payload
    assert Entry.from_row(row._replace(seq=0)).seq is None


class TestLazyEntry:
    """One that reads its fields from its row when they are asked for."""

    ROW = Row(58, "turn.started", "run-42", 3, to_micros(MOMENT), '{"n":1}', "req-7", '{"a":"b"}')

    @pytest.mark.parametrize("name", [field.name for field in fields(Entry)])
    def test_it_has_the_same_fields(self, name):
        """Whichever is read first, and of the same value when it is read again."""
        [entry] = Entry.lazy_list([self.ROW])
        assert getattr(entry, name) == getattr(Entry.from_row(self.ROW), name)
        assert getattr(entry, name) is getattr(entry, name)
        assert entry == Entry.from_row(self.ROW)

    def test_zeros_and_no_context(self):
        """A position and a seq of 0 are none, and no context is an empty one."""
        entry = Entry.lazy(Row(0, "n", "", 0, 0, "{}", None))
        assert (entry.position, entry.seq, entry.key, entry.context) == (None, None, None, {})

    def test_it_is_a_value_like_any_other(self):
        """It is compared, sent, copied, shown and made a dict of before anybody has read it."""
        eager = Entry.from_row(self.ROW)
        assert Entry.lazy(self.ROW) == eager
        assert pickle.loads(pickle.dumps(Entry.lazy(self.ROW))) == eager
        assert copy.deepcopy(Entry.lazy(self.ROW)) == copy.copy(Entry.lazy(self.ROW)) == eager
        assert repr(Entry.lazy(self.ROW)) == repr(eager)
        assert Entry.lazy(self.ROW).to_dict() == eager.to_dict()
        assert replace(Entry.lazy(self.ROW), kind="other").kind == "other"

    def test_nothing_else_is_there(self):
        """A name that is no field is an AttributeError that says which, and none can be set."""
        for entry in (Entry.lazy(self.ROW), Entry.from_row(self.ROW)):
            with pytest.raises(AttributeError, match="no 'payloads'"):
                entry.payloads  # noqa: B018
            with pytest.raises(FrozenInstanceError):
                entry.kind = "other"

    def test_the_payload_is_parsed_when_it_is_read(self):
        """What is damaged is found there, and the other fields can be read."""
        entry = Entry.lazy(self.ROW._replace(text="{damaged}"))
        assert entry.kind == "turn.started"
        with pytest.raises(ValueError, match="Expecting"):
            entry.payload  # noqa: B018


@pytest.mark.parametrize("value", [ENTRY, GAP, PAGE, INFO], ids=lambda value: type(value).__name__)
class TestValues:
    def test_it_is_frozen(self, value):
        """B16: no field can be changed or added."""
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, 7)
        with pytest.raises((FrozenInstanceError, TypeError)):
            value.more = 7

    def test_it_can_be_sent_to_another_process(self, value):
        """A pickle and a deep copy are equal to it."""
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value


def test_the_fields_of_the_other_values():
    """As the contract writes them."""
    names = [[field.name for field in fields(value)] for value in (Page, LogInfo, Gap)]
    assert names == [
        ["entries", "cursor", "head", "epoch", "gap"],
        ["name", "epoch", "head", "floor", "count"],
        ["reason", "requested", "first_available", "lost"],
    ]


def test_a_gap_as_a_dict():
    """B12: what a transport sends."""
    assert list(GAP.to_dict().items()) == [
        ("reason", "pruned"),
        ("requested", 2),
        ("first_available", 6),
        ("lost", 3),
    ]


def test_a_stream_as_a_dict():
    """These keys in this order, times in the wire form, and null for what has not happened."""
    info = StreamInfo("s", Status.RUNNING, 3, 5, 9, MOMENT, None, MOMENT)
    assert list(info.to_dict().items()) == [
        ("stream", "s"),
        ("status", "running"),
        ("seq", 3),
        ("first_position", 5),
        ("last_position", 9),
        ("opened_at", "2026-11-20T10:00:00.123456Z"),
        ("closed_at", None),
        ("last_event_at", "2026-11-20T10:00:00.123456Z"),
    ]
    assert json.dumps(info.to_dict())


def test_the_statuses_of_a_stream():
    """Three of the five are an end."""
    assert [str(status) for status in Status] == [
        "running",
        "waiting",
        "completed",
        "failed",
        "stopped",
    ]
    assert set(Status) - set(TERMINAL) == {Status.RUNNING, Status.WAITING}


def test_epochs_do_not_repeat():
    """B13: a log made anew is told from the one before."""
    assert len({new_epoch() for _ in range(100)}) == 100


class TestTime:
    @settings(deadline=None, max_examples=200)
    @given(st.datetimes(timezones=st.just(UTC)))
    def test_there_and_back(self, moment):
        """Microseconds keep all that a datetime has."""
        assert from_micros(to_micros(moment)) == moment
        assert datetime.fromisoformat(wire_time(moment)) == moment
        assert len(wire_time(moment)) == len("2026-11-20T10:00:00.123456Z")

    def test_it_is_aware_and_utc(self):
        """Whatever TIME_ZONE and USE_TZ say."""
        assert from_micros(0).tzinfo is UTC

    def test_another_zone_is_the_same_moment(self):
        """A datetime is compared by what it means."""
        there = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=45)))
        assert to_micros(there) == to_micros(MOMENT)

    def test_texts_sort_as_times(self):
        """A fixed width makes them comparable as texts, too."""
        moments = [from_micros(micros) for micros in (0, 1, 10, 999_999, 1_000_000, 10**15)]
        texts = [wire_time(moment) for moment in moments]
        assert texts == sorted(texts)


class TestExceptions:
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_it_can_be_sent_to_another_process(self, error):
        """A pickle keeps the type, the text and the fields."""
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))
        assert back.__dict__ == error.__dict__

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_it_is_one_of_ours(self, error):
        """One except clause catches them all."""
        assert isinstance(error, EventsError)

    def test_their_relatives(self):
        """Each is also what code that knows nothing of us would catch."""
        assert issubclass(InvalidEvent, ValueError)
        assert issubclass(LogDoesNotExist, KeyError)
        assert issubclass(LogBusy, OperationalError)

    def test_the_text_of_an_expired_cursor(self):
        """It says how many are lost and where the log goes on."""
        assert str(CursorExpired(GAP)) == (
            "3 entries after position 2 are gone (pruned); the log goes on at position 6"
        )
        assert CursorExpired(GAP).gap is GAP

    def test_an_unknown_log_is_told_without_quotes(self):
        """A KeyError would show the repr of its text."""
        assert str(LogDoesNotExist("There is no log 'x'.")) == "There is no log 'x'."
        assert str(LogDoesNotExist()) == ""
