"""The log over HTTP, from outside."""

import json
import re

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.generics import ListAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle

from events.api.pagination import LedgerPagination
from events.api.serializers import EntrySerializer
from events.api.views import EventsView
from events.models import Event
from events.wire import encode

from .support.http_client import API, fill

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(params=["default", "postgres", "mariadb", "memory"])
def log(request, make_log):
    if request.param == "memory":
        return make_log(BACKEND="memory")
    return make_log(request.param)


class TestReading:
    def test_a_page(self, log, get):
        """B1, B8: entries, cursor, next, gap, and the three headers."""
        log.append("turn.started", {"n": 1, "é": "😀"}, stream="run-42", key="secret")
        answer = get()
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        row = log.backend.read(log.query()).rows[0]
        assert answer.content == (
            b'{"results":[' + encode(row) + b'],"cursor":1,"next":null,"gap":null}'
        )
        assert answer["X-Events-Last-Idx"] == "1"
        assert answer["X-Events-Head"] == "1"
        assert answer["X-Events-Epoch"] == log.info().epoch
        assert b"secret" not in answer.content

    def test_an_empty_log(self, get):
        """B8: the cursor is there, also when nothing is."""
        answer = get()
        assert answer.json() == {"results": [], "cursor": 0, "next": None, "gap": None}
        assert (answer["X-Events-Last-Idx"], answer["X-Events-Head"]) == ("0", "0")

    def test_following_next_covers_everything(self, log, get, client):
        """B2, B3, B7: no overlap and no hole."""
        fill(log, 23)
        answer = get(limit=5).json()
        seen = answer["results"]
        while answer["next"]:
            assert answer["next"].startswith("http://testserver/api/events/?")
            answer = client.get(answer["next"]).json()
            seen += answer["results"]
        assert [entry["position"] for entry in seen] == list(range(1, 24))
        assert answer["cursor"] == 23

    def test_a_limit_is_clamped(self, log, get):
        """B5"""
        fill(log, 3)
        assert len(get(limit=10**9).json()["results"]) == 3

    def test_a_probe(self, log, get):
        """B10: no entries, no next, and the cursor stays."""
        fill(log, 3)
        answer = get(since=1, limit=0).json()
        assert answer == {"results": [], "cursor": 1, "next": None, "gap": None}

    def test_latest(self, log, get):
        fill(log, 3)
        assert get(since="latest").json()["cursor"] == 3

    def test_past_the_head(self, log, get):
        """B4: 200, and the gap says ahead."""
        fill(log, 3)
        answer = get(since=9).json()
        gap = {"reason": "ahead", "requested": 9, "first_available": 4, "lost": 0}
        assert answer == {"results": [], "cursor": 3, "next": None, "gap": gap}

    def test_below_the_floor(self, log, get):
        """B12: the resident tail and the exact number lost."""
        fill(log, 5)
        log.prune(max_entries=2)
        answer = get(since=1).json()
        assert answer["gap"] == {
            "reason": "pruned",
            "requested": 1,
            "first_available": 4,
            "lost": 2,
        }
        assert [entry["position"] for entry in answer["results"]] == [4, 5]

    def test_another_epoch(self, log, get, client):
        """B13: from the start; and following next does not start over for ever."""
        fill(log, 3)
        answer = get(since=2, epoch="other", limit=2).json()
        assert answer["gap"]["reason"] == "epoch"
        assert answer["cursor"] == 2
        after = client.get(answer["next"]).json()
        assert (after["cursor"], after["gap"], after["next"]) == (3, None, None)

    @pytest.mark.parametrize("params", [{"since": 9}, {"since": 0}, {"since": 2, "epoch": "x"}])
    def test_on_gap_error(self, log, get, params):
        """B12: 410 with the gap in the body, and in the headers where what is left begins."""
        fill(log, 3)
        log.prune(max_entries=2)
        answer = get(on_gap="error", **params)
        assert answer.status_code == 410
        assert set(answer.json()) == {"detail", "gap"}
        gap = answer.json()["gap"]
        assert gap["requested"] == params["since"]
        assert answer["X-Events-Last-Idx"] == str(gap["first_available"] - 1)
        assert answer["X-Events-Head"] == "3"
        assert answer["X-Events-Epoch"] == log.info().epoch
        assert get(on_gap="error", since=1).status_code == 200

    def test_the_last(self, log, get, client):
        """In place of since, which stands in `next` then."""
        fill(log, 10)
        page = get(last=4, limit=3).json()
        assert ([e["position"] for e in page["results"]], page["cursor"]) == ([7, 8, 9], 9)
        assert "since=9" in page["next"]
        assert "last" not in page["next"]
        page = client.get(page["next"]).json()
        assert ([e["position"] for e in page["results"]], page["next"]) == ([10], None)
        log.prune(max_entries=2)
        page = get(last=4, on_gap="error").json()
        assert ([e["position"] for e in page["results"]], page["gap"]) == ([9, 10], None)
        log.append("n", stream="s")
        assert len(get("streams/s/events/", last=4).json()["results"]) == 1

    def test_the_last_are_waited_for(self, log, get):
        """If there are none; and what comes meanwhile is not looked for further back."""
        fill(log, 3)
        page = get(last=2, kind="other", wait=1).json()
        assert (page["results"], page["cursor"]) == ([], 3)
        assert len(get(last=2, wait=30).json()["results"]) == 2

    @pytest.mark.parametrize(
        "params",
        [
            {"last": "0"},
            {"last": "-1"},
            {"last": "1001"},
            {"last": "x"},
            {"last": "٣"},
            {"last": ""},
            {"last": ["1", "2"]},
            {"last": "1", "since": "0"},
            {"last": "1", "since": "earliest"},
        ],
    )
    def test_what_is_no_last(self, get, params):
        answer = get(**params)
        assert (answer.status_code, list(answer.json())) == (400, ["last"])

    def test_filters(self, log, get):
        """B11: the cursor moves past what did not match."""
        for kind, stream in (("a.x", "s"), ("b", "s"), ("a.y", "t")):
            log.append(kind, stream=stream)
        answer = get(kind=["a.*", "c"]).json()
        assert [entry["position"] for entry in answer["results"]] == [1, 3]
        assert answer["cursor"] == 3
        assert [e["seq"] for e in get(stream="s").json()["results"]] == [1, 2]
        assert get(stream="nobody").json()["results"] == []

    def test_next_keeps_the_filters(self, log, get, client):
        fill(log, 3, stream="s")
        answer = get(stream="s", kind="n", limit=1).json()
        assert client.get(answer["next"]).json()["results"][0]["position"] == 2
        assert f"log={log.name}" in answer["next"]

    def test_an_unknown_log(self, client):
        assert client.get(API, {"log": "nobody"}).status_code == 404

    def test_the_browsable_api(self, log, get):
        """A person with a browser sees the same entries."""
        log.append("n", {"text": "<script>alert(1)</script>"})
        answer = get(headers={"accept": "text/html"})
        assert answer["Content-Type"].startswith("text/html")
        assert "&lt;script&gt;" in answer.text
        assert "<script>alert" not in answer.text

    def test_without_the_pages_of_the_browsable_api(self, log, get, settings):
        """They are DRF's, as an app; whoever has not installed it sees JSON, in a browser too."""
        log.append("n")
        settings.INSTALLED_APPS = [
            name for name in settings.INSTALLED_APPS if name != "rest_framework"
        ]
        answer = get(headers={"accept": "text/html,*/*;q=0.8"})
        assert answer.json()["results"][0]["position"] == 1

    def test_unknown_parameters_are_ignored(self, log, get):
        fill(log, 1)
        assert len(get(payload__x=1, page=7).json()["results"]) == 1


class TestNDJSON:
    def lines(self, answer):
        return b"".join(answer.streaming_content).splitlines()

    @pytest.mark.parametrize(
        "params", [{"format": "ndjson"}, {"headers": {"accept": "application/x-ndjson"}}]
    )
    def test_it_reads_on_to_the_head(self, log, get, params):
        """B3: one entry a line, the same bytes as everywhere."""
        fill(log, 250)
        answer = get(**params)
        assert answer["Content-Type"] == "application/x-ndjson"
        rows = log.backend.read(log.query(limit=1000)).rows
        assert self.lines(answer) == [encode(row) for row in rows]
        assert answer["X-Events-Last-Idx"] == answer["X-Events-Head"] == "250"

    def test_the_last(self, log, get):
        """From there to the head."""
        fill(log, 210)
        lines = b"".join(get(last=205, format="ndjson").streaming_content).splitlines()
        assert [json.loads(lines[n])["position"] for n in (0, -1)] == [6, 210]
        lines = b"".join(get(last=5, limit=2, format="ndjson").streaming_content).splitlines()
        assert [json.loads(line)["position"] for line in lines] == [206, 207]

    def test_with_a_limit_it_is_that_page(self, log, get):
        """B8: the cursor header is the page's."""
        fill(log, 5)
        answer = get(format="ndjson", since=1, limit=2)
        assert [json.loads(line)["position"] for line in self.lines(answer)] == [2, 3]
        assert answer["X-Events-Last-Idx"] == "3"
        assert self.lines(get(format="ndjson", limit=0)) == []

    def test_an_initial_gap_is_a_header(self, log, get):
        """B12"""
        fill(log, 5)
        log.prune(max_entries=2)
        answer = get(format="ndjson", since=1)
        assert json.loads(answer["X-Events-Gap"])["lost"] == 2
        assert len(self.lines(answer)) == 2
        assert "X-Events-Gap" not in get(format="ndjson")

    def test_being_overtaken_breaks_it_off(self, make_log, client):
        """B12: never silently short."""
        log = make_log(BACKEND="memory", PAGE_SIZE=2, MAX_PAGE_SIZE=2)
        fill(log, 10)
        answer = client.get(API, {"log": log.name, "format": "ndjson"})
        chunks = iter(answer.streaming_content)
        next(chunks)
        log.prune(max_entries=3)
        with pytest.raises(Exception, match="are gone"):
            list(chunks)

    def test_what_comes_meanwhile_is_left_for_the_next_time(self, make_log, client):
        """B3: it ends at the head at the start."""
        log = make_log(BACKEND="memory", PAGE_SIZE=2, MAX_PAGE_SIZE=2)
        fill(log, 3)
        answer = client.get(API, {"log": log.name, "format": "ndjson"})
        fill(log, 3)
        assert len(self.lines(answer)) == 3

    def test_an_error_is_json(self, get):
        answer = get(format="ndjson", since="x")
        assert answer.status_code == 400
        assert list(json.loads(answer.content)) == ["since"]


class TestWriting:
    def test_one(self, log, post):
        """B14: 201 with the entry."""
        answer = post({"kind": "a", "payload": {"n": 1}, "stream": "s", "key": "k"})
        assert answer.status_code == 201
        assert answer.json() == log.read().entries[0].to_dict()
        assert answer.json()["position"] == 1

    def test_many(self, log, post):
        """B14: 201 with the list of them."""
        answer = post([{"kind": "a"}, {"kind": "b", "stream": "s"}])
        assert answer.status_code == 201
        assert [entry["position"] for entry in answer.json()] == [1, 2]

    def test_all_or_nothing(self, log, post):
        """B26: the errors are told item by item."""
        answer = post([{"kind": "a"}, {"kind": "Bad"}, {"payload": {}}])
        assert answer.status_code == 400
        first, second, third = answer.json()
        assert (first, list(second), list(third)) == ({}, ["kind"], ["kind"])
        assert log.info().head == 0

    def test_a_key_makes_a_retry_safe(self, log, post):
        """B30"""
        event = {"kind": "a", "payload": {"n": 1}, "key": "k"}
        assert post(event).json() == post(event).json()
        answer = post({**event, "payload": {"n": 2}})
        assert answer.status_code == 409
        assert "detail" in answer.json()
        assert log.info().head == 1

    def test_the_place_is_named(self, post):
        answer = post({"kind": "a", "payload": {"items": [1, {"price": 2**53}]}})
        [message] = answer.json()["payload"]
        assert message.startswith("items[1].price: ")

    def test_a_body_that_is_too_large(self, post, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
        answer = post({"kind": "a", "payload": {"a": "x" * 200}})
        assert answer.status_code == 413
        assert "detail" in answer.json()

    def test_another_media_type(self, client, log):
        answer = client.post(f"{API}?log={log.name}", {"kind": "a"})
        assert answer.status_code == 415


class TestStreams:
    def test_head(self, log, get):
        fill(log, 3)
        info = log.info()
        answer = get("head/")
        assert [answer[f"X-Events-{name}"] for name in ("Last-Idx", "Head", "Epoch")] == [
            "3",
            "3",
            info.epoch,
        ]
        assert answer.json() == {
            "log": log.name,
            "epoch": info.epoch,
            "head": 3,
            "floor": 0,
            "count": 3,
        }

    def test_one(self, log, get):
        first = log.append("n", stream="s")
        last = log.append("n", stream="s")
        assert get("streams/s/").json() == {
            "stream": "s",
            "status": None,
            "seq": 2,
            "first_position": 1,
            "last_position": 2,
            "opened_at": None,
            "closed_at": None,
            "last_event_at": last.to_dict()["timestamp"],
        }
        assert first.position == 1

    def test_its_events(self, log, get):
        log.append("n", stream="s")
        log.append("n", stream="t")
        answer = get("streams/s/events/").json()
        assert [entry["position"] for entry in answer["results"]] == [1]
        assert answer["cursor"] == 2
        assert get("streams/s/events/", stream="t").json() == answer

    @pytest.mark.parametrize("path", ["streams/nobody/", "streams/nobody/events/", "streams/a b/"])
    def test_an_unknown_one(self, get, path):
        """B50: 404"""
        answer = get(path)
        assert answer.status_code == 404
        assert list(answer.json()) == ["detail"]

    def test_the_list_is_newest_first(self, log, get, client):
        """Cursor-paginated, in both directions."""
        for name in "abcdefg":
            log.append("n", stream=name)
        log.append("n", stream="b")
        page = get("streams/", limit=3).json()
        assert [one["stream"] for one in page["results"]] == ["b", "g", "f"]
        assert page["previous"] is None
        second = client.get(page["next"]).json()
        assert [one["stream"] for one in second["results"]] == ["e", "d", "c"]
        third = client.get(second["next"]).json()
        assert [one["stream"] for one in third["results"]] == ["a"]
        assert third["next"] is None
        back = client.get(third["previous"]).json()
        assert [one["stream"] for one in back["results"]] == ["e", "d", "c"]
        front = client.get(back["previous"]).json()
        assert [one["stream"] for one in front["results"]] == ["b", "g", "f"]
        assert front["previous"] is None
        assert client.get(front["next"]).json()["results"] == back["results"]

    def test_the_list_by_status(self, log, get):
        log.append("n", stream="s")
        assert get("streams/", status="running").json()["results"] == []
        assert get("streams/", status="bogus").status_code == 400


class ByName:
    """Streams called public-… are for everybody; nobody sees everything."""

    def can_read(self, user, stream):
        return stream is not None and stream.startswith("public-")

    can_emit = can_read


class WriteOnly:
    """Anybody may add, and nobody may look."""

    def can_read(self, user, stream):
        return False

    def can_emit(self, user, stream):
        return True


class TestAccess:
    @pytest.mark.parametrize("path", ["", "head/", "streams/", "streams/s/", "streams/s/events/"])
    def test_strangers(self, log, path):
        """B65: they are asked to sign in, also when the stream is there."""
        log.append("n", stream="s")
        assert Client().get(f"{API}{path}?log={log.name}").status_code in (401, 403)

    def test_without_the_permission(self, log, user, get, post):
        """B65, B67"""
        user.user_permissions.clear()
        log.append("n", stream="s")
        assert get().status_code == 403
        assert get("head/").status_code == 403
        assert get("streams/").status_code == 403
        assert post({"kind": "a"}).status_code == 403
        assert post({"kind": "Not A Kind"}).status_code == 403
        for where in ("streams/%s/", "streams/%s/events/"):
            there, not_there = get(where % "s"), get(where % "t")
            assert there.status_code == not_there.status_code == 404
            assert there.content == not_there.content

    def test_a_policy_of_ones_own(self, make_log, client):
        """B65, B67: streams by name; forbidden and missing look the same."""
        log = make_log(POLICY="tests.test_http.ByName")
        log.append("n", stream="public-a")
        log.append("n", stream="secret")

        def get(path, **params):
            return client.get(API + path, {"log": log.name, **params})

        assert get("").status_code == get("streams/").status_code == 403
        assert len(get("", stream="public-a").json()["results"]) == 1
        assert get("streams/public-a/").status_code == 200
        for name in ("secret", "nobody"):
            assert get(f"streams/{name}/").status_code == 404
            assert get(f"streams/{name}/events/").status_code == 404
            assert get("", stream=name).status_code == 404
        assert get("streams/secret/").content == get("streams/public-nobody/").content

        def post(stream):
            body = json.dumps({"kind": "a", "stream": stream})
            return client.post(f"{API}?log={log.name}", body, content_type="application/json")

        assert post("public-a").status_code == 201
        assert post("secret").status_code == post("nobody").status_code == 403

    def test_who_may_emit_and_not_read(self, make_log, client):
        """An action is done, and its answer says nothing of the stream."""
        log = make_log(POLICY=f"{__name__}.WriteOnly")
        for action, status in [("open", "running"), ("wait", "waiting"), ("complete", "completed")]:
            answer = client.post(
                f"{API}streams/secret/{action}/?log={log.name}",
                json.dumps({}),
                content_type="application/json",
            )
            assert (answer.status_code, answer.json()) == (200, {"stream": "secret"})
            assert log.stream("secret").status == status

    FOREIGN = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]

    @pytest.mark.parametrize("headers", FOREIGN)
    def test_a_step_that_another_site_has_sent(self, log, client, headers):
        """Without a body, by whatever the browser signs in with."""
        log.stream("run").open()
        path = f"{API}streams/run/stop/?log={log.name}"
        answer = client.generic("POST", path, content_type="", headers=headers)
        assert answer.status_code == 403
        assert log.stream("run").status == "running"

    @pytest.mark.parametrize(
        "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
    )
    def test_a_step_by_a_form(self, log, client, content_type):
        """Whatever it holds, and wherever it is from."""
        log.stream("run").open()
        path = f"{API}streams/run/stop/?log={log.name}"
        assert client.generic("POST", path, CONTENT_TYPE=content_type).status_code == 415
        assert log.stream("run").status == "running"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
        ],
    )
    def test_a_step_without_a_body(self, log, client, headers, settings):
        """`curl -X POST`, a page of the site itself, and one that is trusted."""
        settings.CSRF_TRUSTED_ORIGINS = ["https://app.example"]
        log.stream("run").open()
        path = f"{API}streams/run/stop/?log={log.name}"
        assert client.generic("POST", path, content_type="", headers=headers).status_code == 200
        assert log.stream("run").status == "stopped"

    def test_csrf(self, log, user):
        """A form on another site cannot emit."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        answer = client.post(f"{API}?log={log.name}", "{}", content_type="application/json")
        assert answer.status_code == 403

    def test_a_used_key_tells_nothing_of_others(self, make_log, client):
        """B67: guessed keys must not name the streams that one may not read."""
        log = make_log(POLICY="tests.test_http.MineOnly")
        log.append("salary.raised", {"by": 1}, stream="boss-7", key="req-1")
        answer = client.post(
            f"{API}?log={log.name}",
            json.dumps({"kind": "a", "stream": "mine", "key": "req-1"}),
            content_type="application/json",
        )
        assert answer.status_code == 409
        assert b"boss" not in answer.content
        assert b"salary" not in answer.content

    @pytest.mark.parametrize("name", ["a%00b", "a%0Ab", "%C3%A9", "x" * 200])
    def test_a_policy_is_asked_about_streams_only(self, make_log, client, name):
        """B67: what cannot be a stream's name is nobody's stream, and no server error."""
        log = make_log("postgres", POLICY="tests.test_http.Careless")
        for address in (f"streams/{name}/", f"streams/{name}/events/"):
            assert client.get(f"{API}{address}?log={log.name}").status_code == 404


class MineOnly:
    def can_read(self, user, stream):
        return bool(stream and stream.startswith("mine"))

    can_emit = can_read


class Careless:
    """A policy that looks the stream up in the host's own tables."""

    def can_read(self, user, stream):
        return not Event.objects.using("postgres").filter(stream=stream or "").exists()

    can_emit = can_read


class TestHosts:
    @pytest.mark.parametrize("alias", ["default", "postgres", "mariadb"])
    def test_atomic_requests(self, make_log, client, alias, monkeypatch):
        """A 201 carries positions all the same."""

        log = make_log(alias)
        for connection in connections.all():
            monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
            monkeypatch.setitem(connections.settings[connection.alias], "ATOMIC_REQUESTS", True)
        body = json.dumps({"kind": "a", "stream": "s"})
        answer = client.post(f"{API}?log={log.name}", body, content_type="application/json")
        assert (answer.status_code, answer.json()["position"]) == (201, 1)
        assert len(client.get(API, {"log": log.name}).json()["results"]) == 1

    def test_atomic_requests_in_a_test_case(self, log, client, monkeypatch):
        """A refused request leaves the transaction that a test is in as it was."""
        for connection in connections.all():
            monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        with transaction.atomic():
            assert client.get(f"{API}?log={log.name}&since=x").status_code == 400
            assert client.get(f"{API}streams/nobody/?log={log.name}").status_code == 404
            assert User.objects.count() == 1

    def test_use_tz_false(self, log, get, post, settings):
        """Time on the wire is UTC, whatever the host keeps."""
        settings.USE_TZ = False
        settings.TIME_ZONE = "Asia/Tokyo"
        stamp = post({"kind": "a", "stream": "s"}).json()["timestamp"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
        assert get().json()["results"][0]["timestamp"] == stamp
        assert get("streams/s/").json()["last_event_at"] == stamp

    def test_a_cache_of_the_whole_site(self, log, get, settings):
        """B31, B66: who polls would get the same answer for ten minutes, and after losing access."""
        cache = "django.middleware.cache"
        settings.MIDDLEWARE = [
            f"{cache}.UpdateCacheMiddleware",
            *settings.MIDDLEWARE,
            f"{cache}.FetchFromCacheMiddleware",
        ]
        log.append("n", stream="s")
        before = [get(since=1).json(), get("head/").json(), get("streams/s/").json()]
        log.append("n", stream="s")
        after = [get(since=1).json(), get("head/").json(), get("streams/s/").json()]
        assert [len(before[0]["results"]), len(after[0]["results"])] == [0, 1]
        assert [before[1]["head"], after[1]["head"]] == [1, 2]
        assert [before[2]["seq"], after[2]["seq"]] == [1, 2]
        assert get()["Cache-Control"] == "private, no-cache"

    def test_a_router_is_not_asked(self, log, get, post, settings):
        """A replica lags behind the head."""
        settings.DATABASE_ROUTERS = ["tests.test_http.Nowhere"]
        assert post({"kind": "a", "stream": "s"}).status_code == 201
        assert len(get().json()["results"]) == 1
        assert get("streams/s/").status_code == 200

    def test_a_view_of_the_hosts_own(self, log, user):
        """The pagination serves any view over a log."""
        fill(log, 3)

        class Audit(ListAPIView):
            permission_classes = ()
            pagination_class = LedgerPagination
            serializer_class = EntrySerializer

            def get_queryset(self):
                return log

        answer = Audit.as_view()(APIRequestFactory().get("/audit/", {"since": 1, "limit": 1}))
        assert [entry["position"] for entry in answer.data["results"]] == [2]
        assert answer.data["next"] == "http://testserver/audit/?since=2&limit=1"
        assert answer["X-Events-Head"] == "3"

    def test_a_version_in_the_path(self, log, client, settings):
        settings.ROOT_URLCONF = "tests.test_http"
        assert client.get("/v1/events/", {"log": log.name}).status_code == 200
        log.append("n", stream="s")
        assert client.get("/v1/events/streams/s/", {"log": log.name}).status_code == 200

    def test_the_hosts_throttles(self, log, client, monkeypatch):
        """429, in the one shape."""

        class Once(UserRateThrottle):
            rate = "1/day"

        monkeypatch.setattr(EventsView, "throttle_classes", [Once])
        assert client.get(API, {"log": log.name}).status_code == 200
        answer = client.get(API, {"log": log.name})
        assert (answer.status_code, list(answer.json())) == (429, ["detail"])
        assert int(answer["Retry-After"]) > 0

    def test_the_hosts_renderers(self, log, client):
        """Another format gets plain data."""
        fill(log, 1)
        with override_settings(
            REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["tests.test_http.Repr"]}
        ):
            answer = client.get(API, {"log": log.name, "format": "repr"})
            assert answer["Content-Type"].startswith("text/x-repr")
            assert "'position': 1" in answer.text
            assert client.get(API, {"log": log.name}).json()["cursor"] == 1


class Repr(BaseRenderer):
    media_type = "text/x-repr"
    format = "repr"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return repr(data).encode()


urlpatterns = [path("<version>/events/", include("events.urls"))]


class Nowhere:
    """A router that sends the log's tables to a database that is not there."""

    def db_for_read(self, model, **hints):
        return "nowhere" if model._meta.app_label == "events" else None

    db_for_write = db_for_read
