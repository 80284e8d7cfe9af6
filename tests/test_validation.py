"""What an event may be: each rule from both sides of its bound, and what a breach says."""

import collections
import enum
import json
import pickle
import types
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from unittest import mock

import pytest
from django.db import models
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given, settings
from hypothesis import strategies as st

from events import emit, emit_many, logs
from events.conf import log_settings
from events.exceptions import EventsError, InvalidEvent
from events.testing import memory_log
from events.types import Row
from events.validation import (
    MAX_INTEGER,
    RESERVED,
    valid_item,
    valid_items,
    valid_key,
    valid_kind,
    valid_payload,
    valid_stream,
)
from events.wire import encode

MAX_BYTES = 65_536
SETTINGS = log_settings()["default"]
# Too many digits to be printed: str() of it is a ValueError.
HUGE = 10**10_000


class Word(models.TextChoices):
    STARTED = "turn.started", gettext_lazy("Started")


class Number(enum.IntEnum):
    SEVEN = 7


class Text(str):
    def __str__(self):
        return "another text"


class Whole(int):
    def __repr__(self):
        return "not a number"

    __str__ = __repr__


class Fraction(float):
    def __repr__(self):
        return "not a number"

    __str__ = __repr__


Point = collections.namedtuple("Point", "x y")


def breach(function, *args):
    """The InvalidEvent that a call raises."""
    with pytest.raises(InvalidEvent) as caught:
        function(*args)
    return caught.value


def outcome(function, *args):
    """What a call answers and None, or None and the InvalidEvent that it raises."""
    try:
        return function(*args), None
    except InvalidEvent as error:
        return None, error


def payload_breach(payload, max_bytes=MAX_BYTES):
    return breach(valid_payload, payload, max_bytes)


def nested(depth, wrap):
    """A payload of that many containers, one inside the other."""
    value = {} if wrap is dict else wrap()
    for _ in range(depth - 2):
        value = {"a": value} if wrap is dict else wrap([value])
    return {"a": value}


class TestKind:
    @pytest.mark.parametrize(
        "kind",
        ["a", "turn.started", "job_done", "a1.2b._c", "a_", "a." + "b" * 98, "a" * 100, "stream"],
    )
    def test_dotted_lower_snake_case_is_a_kind(self, kind):
        """A name inside the grammar is answered as it is."""
        assert valid_kind(kind) == kind

    @pytest.mark.parametrize(
        "kind",
        [
            "",
            "Turn",
            "turn.Started",
            "1a",
            "_a",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a-b",
            "a/b",
            "a\n",
            "\na",
            "a\r",
            "a.b\n",
            "a\x00",
            "a\u0661",
            "a\u00b2",
            "\u00e9",
            "a\uff41",
            "a\u0131",
            "a\ud800",
            "*",
            "a.*",
            "😀",
        ],
    )
    def test_anything_else_is_not(self, kind):
        """A kind outside the grammar is refused by name, with a text that can be printed."""
        error = breach(valid_kind, kind)
        assert (error.place, str(error)) == ("kind", f"kind: {error.rule}")
        assert "must be dotted lower snake case" in error.rule
        str(error).encode()

    def test_it_has_at_most_100_characters(self):
        """100 are a kind, 101 are not, and the error does not repeat them."""
        assert valid_kind("k" * 100)
        assert breach(valid_kind, "k" * 101).rule == "must be at most 100 characters, not 101"
        assert len(str(breach(valid_kind, "k" * 10**6))) < 100

    @pytest.mark.parametrize("kind", [None, 1, b"a", ["a"], gettext_lazy("a"), object()])
    def test_it_is_a_string(self, kind):
        """Nothing is turned into a string on the way."""
        assert "must be a string, not " in breach(valid_kind, kind).rule

    @pytest.mark.parametrize(
        "kind", [*sorted(RESERVED), "stream.opened", "stream.completed", "stream.x.y"]
    )
    def test_reserved_kinds_are_refused(self, kind):
        """What means something to a protocol, or to a stream's life, cannot be emitted."""
        assert breach(valid_kind, kind).rule == f"{kind!r} is reserved"

    def test_the_reserved_kinds(self):
        """The contract names five; what merely begins with one is free."""
        assert {"end", "gap", "error", "open", "message"} == RESERVED
        for kind in ("end.x", "errors", "stream", "streams.opened", "a.stream.b", "open_"):
            assert valid_kind(kind) == kind

    def test_a_choice_is_stored_as_a_plain_string(self):
        """A TextChoices member is its value, and so is any other kind of string."""
        for kind in (Word.STARTED, Text("turn.started"), mark_safe("turn.started")):
            assert type(valid_kind(kind)) is str
            assert valid_kind(kind) == "turn.started"


class TestStream:
    @pytest.mark.parametrize(
        "stream", ["a", "Z", "0", "run-42", "a.b_c:d-e", "tenant:7:run", "x" * 128, "A" + "-" * 127]
    )
    def test_a_name_inside_the_grammar(self, stream):
        """It is answered as it is."""
        assert valid_stream(stream) == stream

    @pytest.mark.parametrize(
        "stream",
        [
            "x" * 129,
            " ",
            " a",
            "a ",
            "-a",
            ".a",
            ":a",
            "_a",
            "a/b",
            "a\n",
            "a\x00",
            "a\r\nid: 7",
            "é",
            "a\u0660",
            "a\ud800",
            "😀",
        ],
    )
    def test_a_name_outside_of_it(self, stream):
        """It is refused by name, in a text that is short and plain ASCII."""
        error = breach(valid_stream, stream)
        assert error.place == "stream"
        assert "must be 1 to 128 of A-Z a-z 0-9 . _ : -" in error.rule
        assert str(error).isascii()
        assert len(str(error)) < 200

    @pytest.mark.parametrize(
        "stream", [0, 1, False, b"a", ["a"], gettext_lazy("a"), uuid.UUID(int=1)]
    )
    def test_it_is_a_string(self, stream):
        """A number or a UUID is not made into a name, so that 1 and "1" cannot be mixed up."""
        assert "must be a string, not " in breach(valid_stream, stream).rule

    def test_no_stream(self):
        """An empty name and None stand for no stream."""
        assert valid_stream("") == valid_stream(None) == ""

    def test_case_is_kept(self):
        """Names that differ by case are two names."""
        assert (valid_stream("Run"), valid_stream("run")) == ("Run", "run")

    def test_a_handle_wants_a_name(self):
        """There is no handle on no stream, nor on a name that cannot be."""
        with memory_log():
            for name in ("", None, "a b", "x" * 129):
                assert breach(logs["default"].stream, name).place == "stream"

    def test_a_choice_is_stored_as_a_plain_string(self):
        """A subclass of str is its characters, not what its __str__ says."""
        assert type(valid_stream(Text("s"))) is str
        assert valid_stream(Text("s")) == "s"


class TestKey:
    @pytest.mark.parametrize("key", ["k", "K", " ", "k ", "\n", "é", "k" * 128, "😀" * 128])
    def test_any_text_of_up_to_128_characters(self, key):
        """Characters are counted, not bytes, and none is changed."""
        assert valid_key(key) == key

    @pytest.mark.parametrize("key", ["", "k" * 129, "😀" * 129])
    def test_its_length(self, key):
        """0 and 129 are on the wrong side."""
        error = breach(valid_key, key)
        assert (error.place, error.rule) == ("key", f"must be 1 to 128 characters, not {len(key)}")

    @pytest.mark.parametrize(
        ("key", "rule"),
        [
            ("a\x00", "must not contain NUL"),
            ("é\x00", "must not contain NUL"),
            ("\ud800", "must not contain a lone surrogate"),
            ("a\udfff", "must not contain a lone surrogate"),
            ("\ud83d\ude00", "must not contain a lone surrogate"),
        ],
    )
    def test_its_characters(self, key, rule):
        """What some database cannot store is refused for all."""
        assert (breach(valid_key, key).place, breach(valid_key, key).rule) == ("key", rule)

    @pytest.mark.parametrize("key", [0, 7, False, b"k", gettext_lazy("k"), uuid.UUID(int=7)])
    def test_it_is_a_string(self, key):
        """Only None stands for no key."""
        assert "must be a string, not " in breach(valid_key, key).rule
        assert valid_key(None) is None

    def test_a_subclass_is_its_characters(self):
        """A key that changes on the way would not be found again."""
        assert valid_key(Text("k")) == "k"
        assert type(valid_key(Text("k"))) is str


class TestPayload:
    def test_it_defaults_to_an_empty_object(self):
        """B16: None is nothing to say."""
        assert valid_payload(None, MAX_BYTES) == "{}"

    @pytest.mark.parametrize(
        "payload", [[], "a", 1, True, b"{}", "{}", (), {1}, [("a", 1)], types.MappingProxyType({})]
    )
    def test_it_is_a_dict(self, payload):
        """Any other JSON value has no place at the root."""
        error = payload_breach(payload)
        assert (error.place, error.rule) == (
            "payload",
            f"must be a dict, not {type(payload).__name__}",
        )

    def test_it_is_compact_and_in_the_order_given(self):
        """No spaces, no sorting, and characters as they are."""
        payload = {"z": [1, 2.5, None, True, False], "a": {"é": "😀\u2028\x7f\n"}}
        assert valid_payload(payload, MAX_BYTES) == (
            '{"z":[1,2.5,null,true,false],"a":{"é":"😀\u2028\x7f\\n"}}'
        )

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), Fraction("nan")])
    def test_not_a_number(self, number):
        """JSON has no NaN and no Infinity."""
        error = payload_breach({"n": number})
        assert (error.place, error.rule) == ("payload.n", "must not be NaN or Infinity")

    @pytest.mark.parametrize(
        "number", [MAX_INTEGER, -MAX_INTEGER, 0, -0.0, 5e-324, 1.7e308, 2.0**60]
    )
    def test_numbers_inside_the_bounds(self, number):
        """They come back as they were."""
        [back] = json.loads(valid_payload({"n": number}, MAX_BYTES)).values()
        assert (back, type(back)) == (number, type(number))

    @pytest.mark.parametrize(
        "number",
        [
            2**53,
            -(2**53),
            2**63,
            2**64,
            pytest.param(HUGE, id="huge"),
            pytest.param(-HUGE, id="-huge"),
            pytest.param(Whole(2**53), id="subclass"),
        ],
    )
    def test_integers_beyond_what_javascript_can_tell_apart(self, number):
        """They are refused, and never printed: 10,000 digits would be an error of their own."""
        error = payload_breach({"n": number})
        assert (error.place, error.rule) == (
            "payload.n",
            "is an integer beyond ±(2**53 - 1); send it as a string",
        )

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ({1}, "set"),
            (frozenset(), "frozenset"),
            (b"a", "bytes"),
            (bytearray(b"a"), "bytearray"),
            (Decimal("1.5"), "Decimal"),
            (datetime(2026, 1, 1, tzinfo=UTC), "datetime"),
            (date(2026, 1, 1), "date"),
            (uuid.UUID(int=1), "UUID"),
            (gettext_lazy("a"), "__proxy__"),
            (1j, "complex"),
            (object(), "object"),
            (int, "type"),
            ((n for n in ()), "generator"),
            ({}.keys(), "dict_keys"),
            (types.MappingProxyType({}), "mappingproxy"),
            (enum.Enum("Plain", "A").A, "Plain"),
        ],
    )
    def test_what_json_does_not_have(self, value, name):
        """Nothing is guessed: the writer says how a date or an amount is to be written."""
        error = payload_breach({"a": [value]})
        assert error.place == "payload.a[0]"
        rule, _, hint = error.rule.partition("; ")
        assert rule == f"is a {name}, which JSON does not have"
        known = name in ("Decimal", "datetime", "date", "UUID", "__proxy__")
        assert ('"ENCODER": "django.core.serializers.json.DjangoJSONEncoder"' in hint) == known

    @pytest.mark.parametrize(
        "key",
        [1, 1.5, True, None, (1, 2), b"a", pytest.param(HUGE, id="huge"), gettext_lazy("a")],
    )
    def test_keys_are_strings(self, key):
        """`json` would turn some of these into strings, and two keys into the same one."""
        error = payload_breach({"a": {key: 1}})
        assert error.place == "payload.a"
        assert error.rule.startswith("has a key that is no string: ")
        assert len(error.rule) < 100

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("\x00", "must not contain NUL"),
            ("é\x00", "must not contain NUL"),
            ("\ud800", "must not contain a lone surrogate"),
            ("a\udfffb", "must not contain a lone surrogate"),
            ("\ud83d\ude00", "must not contain a lone surrogate"),
        ],
    )
    def test_texts_that_a_database_cannot_store(self, text, rule):
        """In a value or in a key, at any depth; and the error itself can be printed."""
        value, key = payload_breach({"a": [{"b": text}]}), payload_breach({"a": [{text: 1}]})
        assert (value.place, value.rule) == ("payload.a[0].b", rule)
        assert (key.place, key.rule) == (f"payload.a[0][{text!a}]", rule)
        str(key).encode("ascii")

    @pytest.mark.parametrize(
        "text", ["\x01", "\x1f", "\x7f", "\x85", "\u2028", "\ufffe", "\U0010ffff"]
    )
    def test_every_other_character_is_a_text(self, text):
        """Controls are escaped, astral characters stay as they are, and all come back."""
        assert json.loads(valid_payload({text: text}, MAX_BYTES)) == {text: text}

    @pytest.mark.parametrize("wrap", [dict, list, tuple])
    def test_20_containers_and_no_more(self, wrap):
        """The root is the first; the twenty-first is one too many, also when it is empty."""
        assert valid_payload(nested(20, wrap), MAX_BYTES)
        error = payload_breach(nested(21, wrap))
        assert error.rule == "is nested more than 20 deep"
        assert error.place.count("a" if wrap is dict else "[0]") == (20 + 2 if wrap is dict else 19)

    def test_a_scalar_at_the_bottom_is_no_container(self):
        """Depth counts objects and lists only."""
        payload = nested(20, dict)
        bottom = payload
        while bottom["a"]:
            bottom = bottom["a"]
        bottom["a"]["n"] = "text"
        assert valid_payload(payload, MAX_BYTES)

    def test_a_payload_that_contains_itself(self):
        """It ends at the depth bound, not in a RecursionError."""
        cycle, loop = {}, []
        cycle["self"] = cycle
        loop.append(loop)
        assert payload_breach(cycle).rule == "is nested more than 20 deep"
        assert payload_breach({"loop": loop}).place == "payload.loop" + "[0]" * 19

    def test_subclasses_are_what_they_hold(self):
        """A choice is its value, an OrderedDict an object, a tuple a list."""
        payload = {
            Word.STARTED: Word.STARTED,
            "number": Number.SEVEN,
            "text": Text("text"),
            "whole": Whole(7),
            "fraction": Fraction(1.5),
            "tuple": (1, (2,)),
            "point": Point(1, 2),
            "ordered": collections.OrderedDict(b=1, a=2),
            "default": collections.defaultdict(list, a=[1]),
            "safe": mark_safe("<b>"),
        }
        assert json.loads(valid_payload(payload, MAX_BYTES)) == {
            "turn.started": "turn.started",
            "number": 7,
            "text": "text",
            "whole": 7,
            "fraction": 1.5,
            "tuple": [1, [2]],
            "point": [1, 2],
            "ordered": {"b": 1, "a": 2},
            "default": {"a": [1]},
            "safe": "<b>",
        }


class TestSize:
    FRAME = len('{"a":""}')

    @pytest.mark.parametrize("character", ["x", "é", "€", "😀"])
    def test_exactly_max_payload_bytes(self, character):
        """UTF-8 bytes of the compact JSON are counted: as many as allowed, and one more."""
        width = len(character.encode())
        count, rest = divmod(1000 - self.FRAME, width)
        payload = {"a": character * count + "x" * rest}
        assert len(valid_payload(payload, 1000).encode()) == 1000
        payload["a"] += "x"
        error = payload_breach(payload, 1000)
        assert (error.place, error.rule) == (
            "payload",
            "is 1001 bytes as JSON; at most 1000 are allowed",
        )

    def test_escapes_count_as_they_are_stored(self):
        """A quote is two bytes and a control character six; spaces between items are none."""
        assert valid_payload({"a": '"\x01'}, self.FRAME + 8)
        assert payload_breach({"a": '"\x01'}, self.FRAME + 7)
        assert valid_payload({"a": 1, "b": [1, 2]}, len('{"a":1,"b":[1,2]}'))

    def test_the_default_bound(self):
        """B20: 65,536 bytes, in a log without settings."""
        with memory_log():
            size = MAX_BYTES - self.FRAME
            assert emit("n", {"a": "x" * size}).position == 1
            assert breach(emit, "n", {"a": "x" * (size + 1)}).place == "payload"

    def test_a_log_has_its_own_bound(self):
        """MAX_PAYLOAD_BYTES of the log that is written to is what counts."""
        with memory_log(MAX_PAYLOAD_BYTES=10):
            assert emit("n", {"a": "xx"}).position == 1
            assert "is 11 bytes as JSON; at most 10" in breach(emit, "n", {"a": "xxx"}).rule


class TestPlaces:
    @pytest.mark.parametrize(
        ("payload", "place"),
        [
            ({"items": [0, 1, 2, {"price": {1}}]}, "payload.items[3].price"),
            ({"odd key": {1}}, "payload['odd key']"),
            ({"": {1}}, "payload['']"),
            ({"0": {1}}, "payload['0']"),
            ({"a.b": {"c": {1}}}, "payload['a.b'].c"),
            ({"é": {1}}, "payload['\\xe9']"),
            ({"a\nb": {1}}, "payload['a\\nb']"),
            ({"😀": [[{1}]]}, "payload['\\U0001f600'][0][0]"),
        ],
    )
    def test_the_way_to_a_breach(self, payload, place):
        """Plain names follow a dot, anything else stands in brackets."""
        assert payload_breach(payload).place == place

    def test_a_place_is_short(self):
        """A key of a megabyte is not repeated, whatever it is made of."""
        for letter in ("k", "-", "é"):
            assert len(str(payload_breach({letter * 10**6: {1}}))) < 200

    def test_the_first_breach_is_named(self):
        """One error at a time, in the order of the arguments."""
        error = breach(valid_item, SETTINGS, None, "Bad", {"a": {1}}, "bad stream", "")
        assert error.place == "kind"


class TestItems:
    @pytest.mark.parametrize(
        ("item", "place"),
        [
            ({"kind": "A"}, "items[2].kind"),
            ({"kind": "a", "payload": {"b": [{1}]}}, "items[2].payload.b[0]"),
            ({"kind": "a", "stream": "b c"}, "items[2].stream"),
            ({"kind": "a", "key": ""}, "items[2].key"),
            ({"payload": {}}, "items[2].kind"),
            ({"kind": "a", "position": 7}, "items[2].position"),
            (("A", {}), "items[2].kind"),
            (("a", []), "items[2].payload"),
            ((), "items[2]"),
            (("a", {}, "s"), "items[2]"),
            ("ab", "items[2]"),
            (b"ab", "items[2]"),
            (None, "items[2]"),
            (7, "items[2]"),
        ],
    )
    def test_a_breach_names_its_item(self, item, place):
        """The index and the field come before the rule."""
        assert breach(valid_items, SETTINGS, [("a",), ("b", {}), item]).place == place

    @pytest.mark.parametrize("items", [None, "ab", b"ab", {"kind": "a"}, 7, object()])
    def test_it_is_a_list(self, items):
        """One event, or one string, is not a list of events."""
        assert breach(valid_items, SETTINGS, items).place == "items"

    @pytest.mark.parametrize(
        "name", ["\ud800", "a\nb", "é", "", pytest.param("x" * 10**6, id="long"), 7, None, (1, 2)]
    )
    def test_an_unknown_field_is_named_in_a_text_that_can_be_printed(self, name):
        """A surrogate or a line break in it would break the log line or the response."""
        error = breach(valid_items, SETTINGS, [{"kind": "a", name: 1}])
        assert error.rule == "is none of kind, payload, stream, key"
        assert str(error).isascii()
        assert str(error).isprintable()
        assert len(str(error)) < 150

    @pytest.mark.parametrize(
        "body", [r'{"kind": "a", "\ud800": 1}', r'[{"kind": "a", "\ud800": 1}]']
    )
    def test_an_unknown_field_over_http(self, admin_client, body):
        """B6: a name that UTF-8 does not have is a 400 as well, and no 500."""
        response = admin_client.post("/api/events/", body, content_type="application/json")
        assert response.status_code == 400
        assert b"There is no such field." in response.content

    def test_what_is_left_out(self):
        """A pair has no stream and no key, and a dictionary need not have them."""
        full = {"kind": "c", "payload": None, "stream": None, "key": None}
        items = valid_items(SETTINGS, [("a",), ["b", {"n": 1}], full, {"kind": "d"}])
        assert [tuple(item[:4]) for item in items] == [
            ("a", "", "{}", None),
            ("b", "", '{"n":1}', None),
            ("c", "", "{}", None),
            ("d", "", "{}", None),
        ]

    def test_any_iterable_will_do(self):
        """A generator is gone through once."""
        with memory_log():
            assert [entry.position for entry in emit_many((k, {}) for k in "abc")] == [1, 2, 3]
            assert emit_many(item for item in ()) == []


class TestInvalidEvent:
    def test_it_is_a_value_error(self):
        """A form or a serializer that catches ValueError catches it."""
        assert issubclass(InvalidEvent, ValueError)
        assert issubclass(InvalidEvent, EventsError)

    def test_it_can_be_sent_to_another_process(self):
        """A pickle keeps the place and the rule."""
        error = payload_breach({"odd key": {1}})
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), back.place, back.rule, str(back)) == (
            InvalidEvent,
            error.place,
            error.rule,
            str(error),
        )

    def test_it_hides_how_the_breach_was_found(self):
        """A traceback shows one error and not three."""
        error = breach(valid_items, SETTINGS, [("a", {"b": {1}})])
        assert error.__suppress_context__ or error.__context__ is None

    def test_nothing_is_stored(self):
        """B26: the position goes to the next event that keeps the rules."""
        with memory_log():
            for bad in (("A", {}), ("a", {"n": {1}})):
                breach(emit_many, [("a", {}), bad])
            breach(lambda: emit("a", key="\x00"))
            assert emit("a").position == 1


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(
    scalars, lambda some: st.lists(some, max_size=4) | st.dictionaries(texts, some, max_size=4)
)
payloads = st.dictionaries(texts, values, max_size=5)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda some: (
        st.lists(some, max_size=3)
        | st.tuples(some)
        | st.dictionaries(st.text(max_size=3) | st.integers(), some, max_size=3)
    ),
)


def test_a_nul_that_is_only_spelled():
    """Six characters, of which the first is a backslash, are a text like any other."""
    payload = {"a": "\\u0000"}
    assert json.loads(valid_payload(payload, MAX_BYTES)) == payload


class TestProperties:
    @settings(deadline=None)
    @given(anything | st.dictionaries(st.text(max_size=3) | st.integers(), anything, max_size=3))
    def test_the_quick_look_lets_nothing_by(self, payload):
        """What it passes, `_check` would have passed; whatever else is wrong shows in the text."""
        text, error = outcome(valid_payload, payload, 200)
        with mock.patch("events.validation._room_in", return_value=-1):
            slowly, why = outcome(valid_payload, payload, 200)
        assert (text, str(error)) == (slowly, str(why))

    @settings(deadline=None, max_examples=150)
    @given(payloads)
    def test_what_is_accepted_comes_back(self, payload):
        """B16: any JSON object within the rules is read as it was written."""
        with memory_log():
            entry = emit("n", payload)
            assert entry.payload == payload
            assert logs["default"].read().entries == [entry]

    @settings(deadline=None, max_examples=150)
    @given(
        payloads, st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,20}", fullmatch=True) | st.just("")
    )
    def test_the_wire_form_is_the_entry(self, payload, stream):
        """What every transport sends is `to_dict()` as JSON, on one line."""
        with memory_log():
            entry = emit("turn.started", payload, stream=stream)
            [row] = logs["default"].backend.read(logs["default"].query()).rows
            assert isinstance(row, Row)
            sent = encode(row)
            assert json.loads(sent) == entry.to_dict()
            assert list(json.loads(sent)) == list(entry.to_dict())
            assert b"\n" not in sent
            assert b"\r" not in sent

    @settings(deadline=None, max_examples=300)
    @given(st.dictionaries(st.text(max_size=3) | st.integers(), anything, max_size=3))
    def test_every_payload_is_stored_or_refused(self, payload):
        """There is no third outcome: no other error, and nothing that cannot be parsed again."""
        text, error = outcome(valid_payload, payload, 200)
        if error is None:
            assert len(text.encode()) <= 200
            assert valid_payload(json.loads(text), 200) == text
        else:
            assert error.place.startswith("payload")
            assert str(error).isprintable()

    @settings(deadline=None, max_examples=200)
    @given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
    def test_every_name_is_taken_or_refused(self, kind, stream, key):
        """A name that is taken is stored as it is; a name that is not says which one it was."""
        for function, name in ((valid_kind, kind), (valid_stream, stream), (valid_key, key)):
            answer, error = outcome(function, name)
            if error is None:
                assert answer == name
            else:
                assert error.place == function.__name__.removeprefix("valid_")
                str(error).encode()


def test_a_payload_that_repeats_itself_without_end():
    """A few lists that hold each other a hundred times over are refused, and soon."""
    value = ["x"]
    for _ in range(18):
        value = [value] * 100
    with pytest.raises(InvalidEvent, match="too large"):
        valid_payload({"a": value}, 65_536)
