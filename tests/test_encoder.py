"""What ENCODER makes of a payload is the payload, wherever it is met."""

import datetime
import json
import uuid
from decimal import Decimal

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils.translation import gettext_lazy, override

from events.exceptions import InvalidEvent, KeyConflict
from events.validation import MAX_DEPTH, MAX_INTEGER, valid_payload

from .support.databases import DATABASES

DJANGOS = "django.core.serializers.json.DjangoJSONEncoder"
MOMENT = datetime.datetime(2026, 11, 29, 14, 5, 6, 123456, tzinfo=datetime.UTC)
WRITTEN = {
    "moment": MOMENT,
    "day": datetime.date(2026, 11, 29),
    "time": datetime.time(14, 5),
    "while": datetime.timedelta(seconds=90),
    "sum": Decimal("12.50"),
    "id": uuid.UUID(int=7),
    "title": gettext_lazy("Yes"),
    "deep": [{"sum": Decimal(1)}, (None, True, 1.5, "é")],
}
READ = {
    "moment": "2026-11-29T14:05:06.123Z",
    "day": "2026-11-29",
    "time": "14:05:00",
    "while": "P0DT00H01M30S",
    "sum": "12.50",
    "id": "00000000-0000-0000-0000-000000000007",
    "title": "Yes",
    "deep": [{"sum": "1"}, [None, True, 1.5, "é"]],
}


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("alias", [*DATABASES, "memory"])
class TestEverywhere:
    @pytest.fixture
    def log(self, make_log, alias):
        if alias == "memory":
            return make_log(BACKEND="memory", ENCODER=DJANGOS)
        return make_log(alias, ENCODER=DJANGOS)

    @pytest.fixture
    def atomic(self, alias):
        return transaction.atomic("default" if alias == "memory" else alias)

    def test_stored_and_answered(self, log, atomic):
        """At once, as a receipt, in a batch, and in a stream's life."""
        with atomic:
            receipt = log.append("n", WRITTEN)
        answers = [log.append("n", WRITTEN), *log.append_many([("n", WRITTEN)])]
        run = log.stream("run")
        run.open()
        answers += [run.emit("n", WRITTEN), run.complete(WRITTEN)]
        assert [answer.payload for answer in [receipt, *answers]] == [READ] * 5
        stored = [entry.payload for entry in log.read().entries if entry.payload]
        assert stored == [READ] * 5

    async def test_asynchronously(self, log):
        """The twins, and a reader that follows."""
        answers = [await log.aappend("n", WRITTEN), *await log.aappend_many([("n", WRITTEN)])]
        assert [answer.payload for answer in answers] == [READ] * 2
        async for entry in log.tail():
            assert entry.payload == READ
            if entry.position == 2:
                break

    def test_a_key_that_is_repeated(self, log):
        """What is compared is what is stored."""
        first = log.append("n", WRITTEN, key="k")
        assert log.append("n", WRITTEN, key="k") == first
        assert log.append("n", READ, key="k") == first
        with pytest.raises(KeyConflict):
            log.append("n", {**WRITTEN, "sum": Decimal("12.5")}, key="k")


def test_a_lazy_text_is_read_when_it_is_emitted():
    """In the language that is active then."""
    with override("de"):
        assert valid_payload({"a": gettext_lazy("Yes")}, 100, DjangoJSONEncoder) == '{"a":"Ja"}'


def test_what_is_measured():
    """The compact form of what the encoder gives."""
    payload = {"a": datetime.date(2026, 11, 29), "b": "é"}
    text = '{"a":"2026-11-29","b":"é"}'
    assert valid_payload(payload, len(text) + 1, DjangoJSONEncoder) == text
    with pytest.raises(InvalidEvent, match=f"is {len(text) + 1} bytes"):
        valid_payload(payload, len(text), DjangoJSONEncoder)


@pytest.mark.parametrize(
    ("payload", "place", "rule"),
    [
        ({"a": [{"b": {1}}]}, "payload.a[0].b", "is a set, which ENCODER refuses"),
        ({"a": MOMENT.timetz()}, "payload.a", "is a time, which ENCODER refuses"),
        ({"a": float("nan")}, "payload.a", "must not be NaN or Infinity"),
        ({"a": 2**53}, "payload.a", "is an integer beyond"),
        ({"a": {MOMENT: 1}}, "payload.a", "has a key that is no string"),
        ({"a": {1: 1}}, "payload.a", "has a key that is no string"),
        ({"a": "\0"}, "payload.a", "must not contain NUL"),
        ([MOMENT], "payload", "must be a dict, not list"),
    ],
)
def test_what_is_still_refused(payload, place, rule):
    """With the place, although the encoder does not know it."""
    with pytest.raises(InvalidEvent) as caught:
        valid_payload(payload, 1000, DjangoJSONEncoder)
    assert caught.value.place == place
    assert caught.value.rule.startswith(rule)


class Hostile(json.JSONEncoder):
    made = None

    def default(self, o):
        return type(self).made


def nested(depth):
    found = "x"
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (float("nan"), "is a object, which ENCODER refuses"),
        (float("inf"), "is a object, which ENCODER refuses"),
        (MAX_INTEGER + 1, "is an integer beyond"),
        pytest.param(10**5000, "is a object, which ENCODER refuses", id="huge"),
        ("a\0b", "must not contain NUL"),
        ("\ud800", "must not contain a lone surrogate"),
        ({"\0": 1}, "must not contain NUL"),
        (nested(MAX_DEPTH), "is nested more than 20 deep"),
        pytest.param(nested(100_000), "is a object, which ENCODER refuses", id="deep"),
        (["x"] * 2000, "is too large"),
        (object(), "is a object, which ENCODER refuses"),
        ({1, 2}, "is a object, which ENCODER refuses"),
    ],
)
def test_what_an_encoder_may_not_give(made, rule, monkeypatch):
    """It keeps every rule, or the event is refused."""
    monkeypatch.setattr(Hostile, "made", made)
    with pytest.raises(InvalidEvent) as caught:
        valid_payload({"a": object()}, 1000, Hostile)
    assert caught.value.place.startswith("payload.a")
    assert caught.value.rule.startswith(rule)
    str(caught.value).encode()


class Whole(json.JSONEncoder):
    made = "{}"

    def encode(self, o):
        return type(self).made


@pytest.mark.parametrize(
    "made",
    ["", "{", "[]", "null", None, b"[]", 7, '{"a": NaN}', pytest.param("[" * 10**5, id="deep")],
)
def test_an_encoder_that_writes_something_else(made, monkeypatch):
    """A payload is a JSON object."""
    monkeypatch.setattr(Whole, "made", made)
    with pytest.raises(InvalidEvent):
        valid_payload({"a": 1}, 1000, Whole)


def test_an_encoder_that_raises():
    """Whatever it raises is an InvalidEvent; what ends the process is not."""

    class Raises(json.JSONEncoder):
        def default(self, o):
            raise o

    with pytest.raises(InvalidEvent, match="ENCODER refuses"):
        valid_payload({"a": KeyError("é")}, 1000, Raises)
    with pytest.raises(KeyboardInterrupt):
        valid_payload({"a": KeyboardInterrupt()}, 1000, Raises)


@pytest.mark.django_db
def test_over_http(client, make_log):
    """What is posted is JSON already, and stays what it is."""
    log = make_log(ENCODER=DJANGOS)
    body = {"kind": "n", "payload": READ}
    answer = client.post(f"/api/events/?log={log.name}", body, content_type="application/json")
    assert answer.status_code == 201
    assert answer.json()["payload"] == READ
