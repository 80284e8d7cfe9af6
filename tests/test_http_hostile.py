"""Input that means no good gets a clean answer in the one shape of an error."""

import pytest

from .support.http_client import API, fill

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["default", "memory"])
def log(request, make_log):
    return make_log(BACKEND="memory" if request.param == "memory" else "database")


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            (name, value)
            for name in ("since", "limit", "wait")
            for value in (
                "-1", "1.0", "1e3", "abc", "", " 1", "1 ", "+1", "0x10", "1_000", "١", "５", "²",
                str(2**63), "9" * 5000, "\x00", "1\n", "None", "nan", "inf", "true",
            )
        ]
        + [
            ("kind", "Turn"), ("kind", "turn."), ("kind", "a\nb"), ("kind", "\x00"), ("kind", "é"),
            ("kind", "a" * 101), ("stream", "a b"), ("stream", "\x00"), ("stream", "a" * 129),
            ("stream", "\ufffd"), ("stream", "../x"), ("kind", ["*", "Turn"]), ("on_gap", "eror"), ("on_gap", ""),
        ],
    )  # fmt: skip
    def test_a_malformed_parameter(self, get, name, value):
        """B6: 400 that names it."""
        answer = get(**{name: value})
        assert answer.status_code == 400
        assert list(answer.json()) == [name]

    @pytest.mark.parametrize("name", ["since", "limit", "wait", "epoch", "on_gap", "log", "last"])
    def test_a_repeated_parameter(self, client, name):
        """B6"""
        answer = client.get(f"{API}?{name}=1&{name}=1")
        assert answer.status_code == 400
        assert list(answer.json()) == [name]

    def test_too_many_parameters(self, client):
        answer = client.get(API + "?" + "&".join(f"a{n}=1" for n in range(2000)))
        assert answer.status_code == 400
        assert "detail" in answer.json()

    def test_bytes_that_are_no_text(self, client, log):
        fill(log, 1)
        assert client.get(f"{API}?log={log.name}&stream=%ff%fe").status_code == 400


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            "", "{", "[]", "null", "1", '"x"', "[1]", "[null]", "[[]]", '{"kind": 1}',
            '{"kind": "a", "payload": []}', '{"kind": "a", "payload": "x"}',
            '{"kind": "a", "payload": {"a": NaN}}', '{"kind": "a", "payload": {"a": 1e999}}',
            '{"kind": "a", "payload": {"a": -Infinity}}',
            '{"kind": "a", "payload": {"a": 9007199254740992}}',
            '{"kind": "a", "payload": {"a": %s}}' % ("9" * 5000),
            '{"kind": "a", "payload": {"a": "\\u0000"}}',
            '{"kind": "a", "payload": {"\\ud800": 1}}',
            '{"kind": "a", "payload": {"a": "%s"}}' % ("x" * 70_000),
            '{"kind": "a", "payload": ' + '{"a":' * 21 + "1" + "}" * 22,
            "[" * 100_000, '{"a":' * 100_000,
            '{"kind": "end"}', '{"kind": "stream.opened"}', '{"kind": "a\\n"}', '{"kind": "Ä"}',
            '{"kind": "a", "stream": "a b"}', '{"kind": "a", "stream": 1}',
            '{"kind": "a", "key": ""}', '{"kind": "a", "key": 1}', '{"kind": "a", "key": "\\u0000"}',
            '{"kind": "a", "position": 7}', '{"kind": "a", "payload__x": 7}',
            b"\xff\xfe", b'{"kind": "\xff"}', b"\x00", "[" + ",".join(['{"kind": "a"}'] * 1001) + "]",
        ],
    )  # fmt: skip
    def test_a_malformed_body(self, log, post, body):
        """B6, B26: a clean 400, nothing stored, and the next request is fine."""
        answer = post(body)
        assert answer.status_code == 400
        assert isinstance(answer.json(), (dict, list))
        assert log.info().head == 0
        assert post({"kind": "a"}).status_code == 201

    def test_an_odd_charset_is_still_utf_8(self, client, log):
        answer = client.generic(
            "POST",
            f"{API}?log={log.name}",
            b'{"kind": "a"}',
            content_type="application/json; charset=bogus",
        )
        assert answer.status_code == 201
