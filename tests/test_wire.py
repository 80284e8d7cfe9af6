"""The bytes of an entry."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from events.types import Entry, Row, to_micros
from events.wire import dumps, encode

MOMENT = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)
ROW = Row(58, "turn.started", "run-42", 3, to_micros(MOMENT), '{"n":1}', "req-7")


def test_the_bytes_of_an_entry():
    """Compact JSON in one order of keys; the writer's key is not among them."""
    assert encode(ROW) == (
        b'{"position":58,"kind":"turn.started","stream":"run-42","seq":3,'
        b'"timestamp":"2026-11-20T10:00:00.123456Z","payload":{"n":1}}'
    )


def test_an_entry_in_no_stream():
    """Its stream is empty, and its seq is null and not 0."""
    sent = encode(ROW._replace(stream="", seq=0))
    assert b'"stream":"","seq":null,' in sent


def test_a_payload_is_passed_on_as_it_was_stored():
    """Order, numbers and characters are the writer's; it is never parsed on the way."""
    text = '{"z":1.50,"a":[1e3,-0.0],"é":"😀\\n\u2028"}'
    assert encode(ROW._replace(text=text)).endswith(b'"payload":' + text.encode() + b"}")


@pytest.mark.parametrize(
    ("micros", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (1_000_000, "1970-01-01T00:00:01.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_800_000_000_100_000, "2027-01-15T08:00:00.100000Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_have_six_digits(micros, expected):
    """Also on a whole second, and each microsecond is exact."""
    assert json.loads(encode(ROW._replace(micros=micros)))["timestamp"] == expected


def test_the_wire_form_is_the_entry():
    """The bytes are `Entry.to_dict()` as compact JSON."""
    for row in (ROW, ROW._replace(stream="", seq=0, key=None)):
        assert encode(row).decode() == dumps(Entry.from_row(row).to_dict())


def test_dumps_is_compact_and_leaves_characters_alone():
    """What is measured against MAX_PAYLOAD_BYTES is what is stored and sent."""
    assert dumps({"b": [1, 2], "a": "é"}) == '{"b":[1,2],"a":"é"}'


def test_dumps_refuses_what_json_does_not_have():
    """A NaN that got this far is an error and not a broken line."""
    with pytest.raises(ValueError, match="JSON"):
        dumps({"n": float("nan")})


def test_time_does_not_go_through_a_float():
    """A thousand neighbours keep their distance of one microsecond."""
    start = to_micros(datetime(2100, 1, 1, tzinfo=UTC))
    for micros in range(start, start + 1000):
        moment = Entry.from_row(ROW._replace(micros=micros)).timestamp
        assert moment - datetime(2100, 1, 1, tzinfo=UTC) == timedelta(microseconds=micros - start)
