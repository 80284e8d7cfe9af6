"""Durable streams over HTTP and in Python: what the official suite does not ask."""

import json
import threading

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.test import AsyncClient, Client
from django.urls import include, path

from events import context, exceptions, hooks
from events.api import eventsource
from events.checks import register  # noqa: F401
from events.durable import checks, content, creating, frames, offsets, protocol, reading
from events.durable.models import Durable, Producer
from events.exceptions import InvalidEvent, StreamClosed
from events.tickets import issue

pytestmark = pytest.mark.django_db(transaction=True)
# What depends on locks and on how an emit waits for its commit.
BOTH = ["default", "postgres"]
on_both = pytest.mark.parametrize("alias", BOTH, indirect=True)
with_both = pytest.mark.django_db(transaction=True, databases="__all__")
OPEN = "tests.support.durable_urls.Open"
ROOT = "/v1/stream/"
POST = protocol.Write("application/json", b"[1]")


@pytest.fixture
def alias(request):
    return getattr(request, "param", "default")


@pytest.fixture
def log(make_log, alias, settings):
    settings.ROOT_URLCONF = "tests.support.durable_urls"
    settings.CLOCK = [1_800_000_000.0]
    return make_log(
        alias,
        name="open",
        POLICY=OPEN,
        LONG_POLL=0.2,
        OPTIONS={"clock": lambda: settings.CLOCK[0]},
    )


@pytest.fixture
def http(log):
    return Http(Client())


class Http:
    def __init__(self, client):
        self.client = client

    def put(self, name="a", data="", **headers):
        return self.send("put", name, data, headers)

    def post(self, name="a", data="", **headers):
        return self.send("post", name, data, headers)

    def delete(self, name="a"):
        return self.client.delete(ROOT + name)

    def get(self, name="a", headers=None, **params):
        return self.client.get(ROOT + name, params, headers=headers)

    def head(self, name="a"):
        return self.client.head(ROOT + name)

    def send(self, method, name, data, headers):
        kind = headers.pop("type", "application/json")
        data = data if isinstance(data, (str, bytes)) else json.dumps(data)
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        # A request without a body has its type all the same.
        headers["Content-Type"] = kind
        return getattr(self.client, method)(ROOT + name, data, content_type=kind, headers=headers)


def producer(seq, epoch=0, id="p"):
    return {"Producer_Id": id, "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}


def text(response):
    return response.content.decode()


class TestEvents:
    def test_a_message_is_an_event(self, log, http):
        """Whoever else reads the log sees it, with who wrote it."""
        http.put()
        http.post(data=[{"n": 1}, [2]])
        entries = log.read(stream="a").entries
        assert [(one.kind, one.payload) for one in entries] == [
            ("stream.opened", {}),
            ("durable.message", {"data": {"n": 1}}),
            ("durable.message", {"data": [2]}),
        ]

    def test_another_event_reads_as_its_wire_form(self, log, http):
        """In a stream of JSON; in one of bytes it is not read."""
        http.put()
        entry = log.append("turn.started", {"n": 1}, stream="a")
        assert http.get().json() == [entry.to_dict()]
        http.put("b", type="text/plain")
        log.append("turn.started", {"n": 1}, stream="b")
        assert text(http.get("b")) == ""

    def test_a_stream_of_the_logs_own(self, log, http):
        """It is read as JSON, with what tells of its life; and it is not written."""
        with log.stream("own") as run:
            run.emit("turn.started")
        found = http.get("own")
        assert [one["kind"] for one in found.json()] == [
            "stream.opened",
            "turn.started",
            "stream.completed",
        ]
        assert found["Stream-Closed"] == "true"
        for refused in (http.post("own", {}), http.delete("own")):
            # Not all that the address takes for other streams.
            assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert http.put("own").status_code == 409

    def test_a_body_of_too_many_messages(self, http, monkeypatch):
        """A body of two megabytes may hold a million, and all others would wait for them."""
        monkeypatch.setattr(content, "MAX_MESSAGES", 2, raising=False)
        assert http.put("b", data=[1, 2, 3]).status_code == 413
        http.put(data=[1, 2])
        assert http.post(data=[1, 2, 3]).status_code == 413
        assert http.get().json() == [1, 2]

    def test_bytes_are_cut_to_the_size_of_an_event(self, make_log, log, http, settings):
        """And are whole again for whoever reads them; text stays text, but for a NUL."""
        settings.EVENTS["open"]["MAX_PAYLOAD_BYTES"] = 200
        from events.log import logs

        logs.forget()
        from events.conf import log_settings

        log_settings.cache_clear()
        data = ("é" * 500).encode() + bytes(range(256)) * 3
        http.put(type="application/octet-stream")
        assert http.post(data=data, type="application/octet-stream").status_code == 204
        assert http.get().content == data
        assert len(logs["open"].read(stream="a").entries) > 5

    def test_the_kinds_are_reserved(self, log):
        """Nobody emits what looks like a message, by any way but this one."""
        with pytest.raises(InvalidEvent, match="reserved"):
            log.append("durable.message", {"data": 1}, stream="a")

    def test_paths(self, http):
        """A slash is a colon, and a colon is none: no two paths are one stream."""
        assert http.put("a/b").status_code == 201
        assert http.put("a:b").status_code == 400
        assert http.get("a:b").status_code == 404
        assert http.put("__ds/x").status_code == 400
        assert http.put("é").status_code == 400

    def test_a_message_that_is_too_large(self, http):
        http.put()
        assert http.post(data=["x" * 70_000]).status_code == 413

    def test_a_rule_of_payloads(self, http):
        http.put()
        assert http.post(data=[2**60]).status_code == 400


@with_both
@on_both
class TestAppending:
    def test_a_stream_that_went_meanwhile(self, log, http, monkeypatch):
        """What is appended to it by then is refused, and does not begin a stream of the log's own;
        nor does it go to another one of its name."""
        http.put()
        before = reading.row_of(log, "a")
        monkeypatch.setattr(protocol.reading, "row_of", lambda *args: before)
        log.stream("a").delete()
        assert http.post(data=[1]).status_code == 404
        assert log.stream("a").info() is None
        http.put(type="text/plain")
        log.backend.go_on(protocol.prepare(log, "a", POST)[0], before.born)
        assert log.stream("a").info().seq == 1

    def test_a_stream_that_was_closed_meanwhile(self, log, http, monkeypatch):
        http.put()
        before = reading.row_of(log, "a")
        http.post(Stream_Closed="true")
        monkeypatch.setattr(protocol.reading, "row_of", lambda *args: before)
        assert log.backend.go_on(protocol.prepare(log, "a", POST)[0], before.born) is None
        assert http.post(data=[1]).status_code == 409

    def test_closed_is_said_before_anything_else(self, http):
        """Also to who sends another type."""
        http.put(Stream_Closed="true")
        found = http.post(data="x", type="text/plain")
        assert (found.status_code, found["Stream-Closed"]) == (409, "true")

    def test_statements(self, log, http, alias, django_assert_num_queries):
        """Of a plain append: two on PostgreSQL, which was nine."""
        http.put()
        http.post(data=[0])
        if alias == "postgres":
            with django_assert_num_queries(2, connection=connections[alias]):
                assert http.post(data=[1]).status_code == 204


@with_both
@on_both
class TestProducers:
    def test_an_append_and_its_producer_are_one_commit(self, log, http, monkeypatch):
        """What fails after the append takes it back, and the producer's number too."""
        http.put()
        monkeypatch.setattr(protocol, "closing", lambda name: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            http.post(data=[1], Stream_Closed="true", **producer(0))
        assert http.get().json() == []
        assert not Producer.objects.using(log.backend.alias).exists()
        monkeypatch.undo()
        assert http.post(data=[1], **producer(0)).status_code == 200

    def test_requests_that_race(self, log, http, alias):
        """The same request from many at once is appended once, and answered to each."""
        if alias == "default":
            pytest.skip("SQLite has one writer")
        http.put()
        statuses = []

        def send():
            statuses.append(http.post(data=[1], **producer(0)).status_code)
            connections.close_all()

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, *[204] * 7]
        assert http.get().json() == [1]

    def test_a_stale_one(self, http):
        http.put()
        http.post(data=[1], **producer(0, epoch=3))
        found = http.post(data=[2], **producer(1, epoch=2))
        assert (found.status_code, found["Producer-Epoch"]) == (403, "3")

    def test_a_gap(self, http):
        http.put()
        found = http.post(data=[1], **producer(2))
        assert found.status_code == 409
        assert (found["Producer-Expected-Seq"], found["Producer-Received-Seq"]) == ("0", "2")

    @pytest.mark.parametrize("name", ["Producer_Id", "Stream_Seq"])
    def test_a_name_with_a_nul(self, http, name):
        """400 on each database: PostgreSQL keeps none, and clients repeat what is answered by a 500."""
        http.put()
        assert http.post(data=[1], **producer(0) | {name: "a\0"}).status_code == 400


class TestReading:
    def test_closed_is_said_at_the_tail_only(self, log, http, monkeypatch):
        """A reader that has not been given everything is not told to stop."""
        monkeypatch.setattr(reading, "ROWS", 2)
        http.put(data=[1, 2, 3], Stream_Closed="true")
        first = http.get()
        assert first.json() == [1, 2]
        assert "Stream-Closed" not in first.headers
        assert first["Cache-Control"] == "private, max-age=60"
        last = http.get(offset=first["Stream-Next-Offset"])
        assert (last.json(), last["Stream-Closed"]) == ([3], "true")
        assert last["Cache-Control"] == "private, no-cache"

    def test_an_offset_of_another_epoch(self, log, http):
        """It may be of other entries: 410."""
        offset = http.put(data=[1])["Stream-Next-Offset"]
        log.renew_epoch()
        assert http.get(offset=offset).status_code == 410
        assert http.get().json() == [1]

    def test_an_offset_of_another_life(self, http):
        """A stream that was deleted and made anew does not go on for who read the first."""
        offset = http.put(data=[1])["Stream-Next-Offset"]
        http.delete()
        http.put(data=[2])
        assert http.get(offset=offset).status_code == 410

    def test_an_offset_beyond_the_head(self, log, http):
        http.put(data=[1])
        beyond = offsets.shown(log.info().epoch, log.info().head + 1)
        assert http.get(offset=beyond).status_code == 410

    def test_what_was_pruned_is_said_to_be_lost(self, log, http):
        """From the beginning, and from an offset before it; who has read as far reads on."""
        offset = http.put(data=[1])["Stream-Next-Offset"]
        later = http.post(data=[2])["Stream-Next-Offset"]
        log.prune(max_entries=1)
        assert http.get().status_code == 410
        assert http.get(offset=offset).json() == [2]
        log.clear()
        assert http.get(offset=offset).status_code == 410
        assert http.get(offset=later).json() == []

    def test_a_page_that_somebody_has_written_runs_no_script(self, http):
        """Its type is the writer's choice: as a page of this site it would act as whoever opens it."""
        http.put(data="<script>", type="text/html")
        found = http.get()
        assert found["Content-Type"] == "text/html"
        assert found["Content-Security-Policy"] == "sandbox"

    def test_a_tag_of_another_epoch(self, log, http):
        """After a restore the same positions may be of other entries."""
        http.put(data=[1])
        tag = http.get()["ETag"]
        assert http.get(headers={"If-None-Match": tag}).status_code == 304
        log.renew_epoch()
        assert http.get(headers={"If-None-Match": tag}).status_code == 200

    def test_a_long_poll_answers_when_there_is_something(self, log, http):
        """Under WSGI too."""
        offset = http.put()["Stream-Next-Offset"]
        found = http.get(offset=offset, live="long-poll")
        assert found.status_code == 204
        assert found["Stream-Cursor"].isdigit()

    def test_events_under_wsgi(self, http):
        """400: a client would repeat what it is told with a 5xx, for ever."""
        http.put()
        assert http.get(offset="-1", live="sse").status_code == 400


class TestLive:
    async def read(self, **params):
        """What is sent until the response ends."""
        response = await AsyncClient().get(f"{ROOT}a", params)
        return response, b"".join([part async for part in response.streaming_content]).decode()

    async def test_the_protocols_frames(self, log):
        """Of a stream that is closed: all of it, then where it ends."""
        await log.durable("a").acreate(data=[{"n": 1}, {"n": 2}], closed=True)
        offset = (await log.durable("a").aread()).offset
        response, text = await self.read(offset="-1", live="sse")
        assert response["Content-Type"] == "text/event-stream"
        data, control, *_ = text.split("\n\n")
        assert data == 'event: data\ndata:[{"n":1},{"n":2}]'
        assert control == (
            f'event: control\ndata:{{"streamNextOffset":"{offset}","streamClosed":true}}'
        )

    async def test_payloads(self, log):
        """Nothing around them, and the end that the AI SDK expects."""
        await log.durable("a").acreate(data=[{"n": 1}], closed=True)
        response, text = await self.read(offset="-1", frames="payload")
        assert text.startswith('data: {"n":1}\n\ndata: [DONE]\n\n')
        assert response["x-vercel-ai-ui-message-stream"] == "v1"

    async def test_payloads_of_ag_ui(self, log):
        """Its client would take a line of data that is no event for a broken one."""
        events = [{"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}]
        await log.durable("a").acreate(data=events, closed=True)
        _, text = await self.read(offset="-1", frames="payload")
        assert "DONE" not in text

    async def test_lines_of_text(self, log):
        """However they end, no data of somebody's is an event."""
        hostile = "a\r\n\r\nevent: control\rdata: {}\n\n"
        await log.durable("a").acreate("text/plain", hostile, closed=True)
        _, text = await self.read(offset="-1", live="sse")
        assert text.count("\nevent: control") == 1

    async def test_a_fork_begins_with_its_past(self, log):
        await log.durable("a0").acreate(data=[1])
        wanted = creating.Wanted(source="a0", data=b"[2]", closed=True)
        await sync_to_async(creating.create)(log, "a", wanted)
        _, text = await self.read(offset="-1", live="sse")
        assert text.index("data:[1]") < text.index("data:[2]")

    @pytest.fixture
    async def fork(self, log, monkeypatch):
        """A stream with two pages of a past."""
        monkeypatch.setattr(reading, "ROWS", 1)
        await log.durable("a0").acreate(data=["old", "older"])
        await sync_to_async(creating.create)(log, "a", creating.Wanted(source="a0", closed=True))

    async def test_a_past_holds_no_thread(self, fork, monkeypatch):
        """While the client takes a page of it."""
        held = []
        take = frames.next_of

        async def release():
            held.clear()

        monkeypatch.setattr(frames, "next_of", lambda pages: held.append(1) or take(pages))
        monkeypatch.setattr(frames, "release_thread", release)
        response = await AsyncClient().get(f"{ROOT}a", {"offset": "-1", "live": "sse"})
        pages = [list(held) async for part in response.streaming_content if b"old" in part]
        assert pages == [[], []]

    async def test_a_past_is_bounded_on_a_server_without_backpressure(self, fork, monkeypatch):
        """The reader comes back for the rest of it."""
        monkeypatch.setattr(eventsource, "MAX_BYTES", 1)
        _, text = await self.read(offset="-1", live="sse")
        assert '"old"' in text
        assert '"older"' not in text
        offset = text.partition('"streamNextOffset":"')[2][:33]
        _, text = await self.read(offset=offset, live="sse")
        assert '"older"' in text

    async def test_who_may_not_read_any_more_is_sent_no_more_of_a_past(
        self, fork, log, monkeypatch
    ):
        monkeypatch.setattr(eventsource.access, "next_check", lambda: 0)
        allowed = [True]
        monkeypatch.setattr(type(log.policy), "can_read", lambda *asked: bool(allowed))
        response = await AsyncClient().get(f"{ROOT}a", {"offset": "-1", "live": "sse"})
        allowed.clear()
        parts = [part async for part in response.streaming_content]
        assert b"older" not in b"".join(parts)

    @pytest.mark.parametrize("stream", ["a", "a0"])
    async def test_what_was_pruned(self, fork, log, stream):
        """410, as without `live`: who is told nothing comes back again and again."""
        await log.aprune(max_entries=1)
        response = await AsyncClient().get(f"{ROOT}{stream}", {"offset": "-1", "live": "sse"})
        assert response.status_code == 410

    def test_nothing_to_resume(self, http):
        """A front end that asks when it is loaded is told so, for a stream that is closed or is not
        there; who asks for an offset is given what there is, or told that it is not."""
        assert http.get("absent", frames="payload").status_code == 204
        assert http.get("absent", frames="payload", offset="-1").status_code == 404
        http.put(data=[1], Stream_Closed="true")
        assert http.get(frames="payload").status_code == 204


class TestForks:
    def fork(self, http, name="b", source="a", **headers):
        return http.put(name, Stream_Forked_From=ROOT + source, **headers)

    def test_a_source_is_not_deleted_by_another_way(self, log, http):
        """Its forks would lose their past in silence."""
        http.put(data=[1])
        self.fork(http)
        with pytest.raises(exceptions.EventsError, match="forked"):
            log.stream("a").delete()
        assert http.get("b").json() == [1]

    @with_both
    @on_both
    def test_a_deleted_source_goes_with_its_last_fork(self, log, http):
        """Whichever way the fork is deleted."""
        http.put(data=[1])
        self.fork(http)
        http.delete("a")
        assert http.get("a").status_code == 410
        assert log.stream("a").info() is not None
        log.stream("b").delete()
        assert log.stream("a").info() is None
        assert not Durable.objects.using(log.backend.alias).exists()

    def test_an_expired_source_is_kept_for_its_forks(self, log, http, settings):
        http.put(data=[1], Stream_TTL="10")
        self.fork(http, Stream_TTL="1000")
        settings.CLOCK[0] += 20
        log.reconcile()
        assert http.get("a").status_code == 410
        assert http.get("b").json() == [1]

    def test_a_chain_of_forks_has_a_bound(self, log, http, monkeypatch):
        """Each reader asks for all of it, and all of it goes with the last."""
        monkeypatch.setattr(creating, "LONGEST_CHAIN", 2)
        http.put(data=[1])
        assert self.fork(http, "b", "a").status_code == 201
        assert self.fork(http, "c", "b").status_code == 409
        assert self.fork(http, "c", "a").status_code == 201

    def test_the_longest_chain_of_forks_goes_with_the_last(self, log, http):
        rows = reading.rows_of(log)
        http.put("s0", data=[1])
        for number in range(1, 100):
            self.fork(http, f"s{number}", f"s{number - 1}")
        rows.exclude(name="s99").update(deleted=True)
        assert http.get("s99").json() == [1]
        assert http.delete("s99").status_code == 204
        assert not rows.exists()

    def test_a_fork_asks_whether_its_source_may_be_read(self, log, http, monkeypatch):
        http.put("secret", data=[1])
        policy = type(log.policy)
        monkeypatch.setattr(policy, "can_read", lambda self, user, stream: stream != "secret")
        assert self.fork(http, source="secret").status_code in (401, 403, 404)


class TestExpiry:
    def test_reconciling_removes_what_has_expired(self, log, http, settings):
        http.put(Stream_TTL="10")
        http.put("keeps")
        settings.CLOCK[0] += 11
        assert http.get().status_code == 404
        log.reconcile()
        assert log.stream("a").info() is None
        assert http.get("keeps").status_code == 200

    def test_a_reader_has_it_live_on(self, http, settings):
        """But a HEAD does not."""
        http.put(Stream_TTL="10")
        settings.CLOCK[0] += 9
        assert http.get().status_code == 200
        settings.CLOCK[0] += 9
        assert http.head().status_code == 200
        settings.CLOCK[0] += 2
        assert http.head().status_code == 404

    def test_a_touch_soon_after_another_writes_nothing(self, log, http, settings):
        http.put(Stream_TTL="100")
        settings.CLOCK[0] += 1
        before = Durable.objects.using(log.backend.alias).get().deadline
        http.get()
        assert Durable.objects.using(log.backend.alias).get().deadline == before


class TestPolicy:
    @pytest.fixture
    def log(self, make_log, settings):
        settings.ROOT_URLCONF = "tests.support.durable_urls"
        return make_log("default", name="open", POLICY="events.policy.DefaultPolicy")

    @pytest.fixture
    def signed_in(self, log):
        def sign_in(*permissions):
            user = User.objects.create_user("somebody")
            user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
            client = Client()
            client.force_login(user)
            return Http(client)

        return sign_in

    def test_nobody(self, log):
        http = Http(Client())
        assert {http.put().status_code, http.post().status_code, http.get().status_code} <= {
            401,
            403,
        }
        assert http.delete().status_code in (401, 403)

    def test_a_writer_reads_nothing(self, signed_in):
        http = signed_in("add_event")
        assert http.put(data=[1]).status_code == 201
        assert http.get().status_code == 404
        assert http.delete().status_code == 403

    def test_who_may_delete(self, signed_in):
        http = signed_in("add_event", "delete_event")
        http.put()
        assert http.delete().status_code == 204

    def test_a_ticket_reads_and_writes_nothing(self, log, signed_in):
        """It is in addresses, and so in logs. With one, no cookie is looked at either."""
        http = signed_in("view_event", "add_event", "delete_event")
        http.put(data=[1])
        user = User.objects.get()
        assert Client().get(f"{ROOT}a?ticket={issue(user, None)}").json() == [1]
        for method in ("put", "post", "delete"):
            address = f"{ROOT}a?ticket={issue(user, None)}"
            written = getattr(http.client, method)(address, "[2]", content_type="application/json")
            assert written.status_code == 401
        assert http.get().json() == [1]

    def test_a_write_has_its_writers_name(self, log, signed_in):
        http = signed_in("add_event")
        http.put()
        http.post(data=[1])
        actor = str(User.objects.get().pk)
        assert [one.context for one in log.read(stream="a").entries] == [{"actor": actor}] * 2


class TestPython:
    def test_a_life(self, log, http):
        """What Python writes, a browser reads; and the other way round."""
        answer = log.durable("a")
        assert answer.create() is True
        assert answer.create() is False
        answer.append({"n": 1})
        answer.append([{"n": 2}, {"n": 3}])
        answer.close()
        found = answer.read()
        assert found.data == [{"n": 1}, {"n": 2}, {"n": 3}]
        assert (found.closed, found.up_to_date) == (True, True)
        assert http.get().json() == found.data
        with pytest.raises(StreamClosed):
            answer.append({"n": 4})

    def test_text(self, log, http):
        answer = log.durable("a")
        answer.create("text/plain", "begin ")
        answer.append("go on ")
        answer.close("end")
        assert answer.read().data == b"begin go on end"

    async def test_the_twins(self, log):
        answer = log.durable("a")
        await answer.acreate()
        await answer.aappend({"n": 1})
        await answer.aclose()
        assert (await answer.aread()).data == [{"n": 1}]
        await answer.adelete()

    @with_both
    @on_both
    def test_in_a_transaction(self, log, http):
        """It appears if and only if that commits."""
        alias = log.backend.alias
        answer = log.durable("a")
        answer.create()
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            answer.append(0)
            raise ZeroDivisionError
        with transaction.atomic(using=alias):
            assert answer.append(1) is None
            answer.close([2])
        assert http.get().json() == [1, 2]
        assert http.get()["Stream-Closed"] == "true"

    @with_both
    @on_both
    def test_a_write_in_a_transaction_has_it_live_on(self, log, settings):
        """From its commit on."""
        answer = log.durable("a")
        answer.create(ttl=10)
        for _ in range(3):
            settings.CLOCK[0] += 9
            with transaction.atomic(using=log.backend.alias):
                answer.append(1)
        assert answer.read().data == [1, 1, 1]

    def test_a_context_goes_along(self, log):
        answer = log.durable("a")
        answer.create()
        with context(actor="7"):
            answer.append(1)
        assert log.read(stream="a").entries[-1].context == {"actor": "7"}

    def test_a_log_in_memory(self, make_log):
        with pytest.raises(ValueError, match="database"):
            make_log(BACKEND="memory").durable("a")

    def test_without_the_app(self, log, monkeypatch):
        monkeypatch.setattr(hooks, "durable", [])
        with pytest.raises(ImproperlyConfigured, match=r"events\.durable"):
            log.durable("a")


class TestCheck:
    def test_a_log_that_is_in_no_database(self, make_log, monkeypatch):
        make_log(name="volatile", BACKEND="memory")
        there = path("x/", include("events.durable.urls"), {"log": "volatile"})
        assert list(checks.served([there])) == ["volatile"]
        assert not checks.in_database("volatile")
        assert checks.in_database("default")

    def test_the_project(self, log):
        assert checks.check_logs() == []

    def test_the_error(self, make_log, settings):
        settings.ROOT_URLCONF = "tests.support.durable_urls"
        make_log(name="open", BACKEND="memory")
        assert [one.id for one in checks.check_logs()] == ["events_durable.E001"]
