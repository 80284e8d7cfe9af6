"""Who and why: the context that is kept with what is emitted."""

import asyncio
import contextvars
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, RequestFactory

import events
from events import middleware
from events.context import MAX_FIELDS, actor_of, current
from events.exceptions import InvalidEvent
from events.middleware import ContextMiddleware

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BACKENDS = [
    {"alias": "default"},
    {"alias": "postgres"},
    {"alias": "mariadb"},
    {"BACKEND": "memory"},
    {"BACKEND": "redis"},
]
every_backend = pytest.mark.parametrize(
    "config", BACKENDS, ids=["sqlite", "pg", "maria", "memory", "redis"]
)


@pytest.fixture
def log(make_log):
    return make_log()


@pytest.mark.django_db(transaction=True, databases="__all__")
class TestKept:
    @every_backend
    def test_with_the_event(self, make_log, config):
        """An entry has the context of its emit, alone and among many, in a stream and in none."""
        log = make_log(**config)
        with events.context(actor="7", n=1):
            assert log.append("a").context == {"actor": "7", "n": 1}
            log.append_many([("b", {}), {"kind": "c", "stream": "s"}])
            log.stream("run").open()
        log.append("d")
        found = [entry.context for entry in log.read().entries]
        assert found == [{"actor": "7", "n": 1}] * 4 + [{}]

    @every_backend
    def test_of_the_emit_and_not_of_the_commit(self, make_log, config):
        """What waits for a commit keeps the context in which it was emitted."""
        log = make_log(**config)
        with events.context(actor="outer"), transaction.atomic(using=config.get("alias")):
            with events.context(actor="inner"):
                assert log.append("a").context == {"actor": "inner"}
            with log.stream("run"):
                pass
        with events.context(actor="alone"), transaction.atomic(using=config.get("alias")):
            log.append("b", stream="s")
        with events.context(actor="reader"):
            found = log.read().entries
        assert [entry.context["actor"] for entry in found] == ["inner", "outer", "outer", "alone"]

    @every_backend
    def test_a_key_does_not_compare_it(self, make_log, config):
        """A retry from elsewhere is the same event, and answers with the first one's context."""
        log = make_log(**config)
        with events.context(actor="1"):
            log.append("a", key="k")
        with events.context(actor="2"):
            assert log.append("a", key="k").context == {"actor": "1"}

    def test_not_on_the_wire(self, log, client, get):
        """Readers are not shown it, whatever the transport."""
        with events.context(actor="secret"):
            entry = log.append("a")
        assert "context" not in entry.to_dict()
        assert b"secret" not in get().content

    def test_exported_when_asked_for(self, log, capsys):
        """`export_events --context` adds it to each line."""
        with events.context(actor="7"):
            log.append("a")
        log.append("b")
        call_command("export_events", "--log", log.name, "--context")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["context"] for line in lines] == [{"actor": "7"}, {}]
        call_command("export_events", "--log", log.name)
        assert "context" not in capsys.readouterr().out


class TestFields:
    @pytest.mark.parametrize(
        "fields",
        [
            {"Actor": 1},
            {"a.b": 1},
            {"a" * 101: 1},
            {"a": []},
            {"a": {}},
            {"a": object()},
            {"a": float("nan")},
            {"a": 2**53},
            {"a": "\0"},
            {"a": "\ud800"},
            {"a": "x" * 257},
            {f"f{n}": n for n in range(MAX_FIELDS + 1)},
            {f"f{n}": "x" * 250 for n in range(MAX_FIELDS)},
        ],
        ids=range(13),
    )
    def test_a_breach_is_refused(self, fields):
        """And is refused where it is written, as an invalid event."""
        with pytest.raises(InvalidEvent, match="^context"):
            events.context(**fields)

    def test_bounds_hold_for_what_is_nested(self):
        """All the fields that an event gets count, and a refusal leaves the outer context."""
        with events.context(**{f"f{n}": n for n in range(MAX_FIELDS)}):
            before = current()
            with pytest.raises(InvalidEvent), events.context(one_more=1):
                pass
            assert current() == before
        assert current() is None

    def test_the_inner_one_wins(self):
        with events.context(actor="1", tenant="red"), events.context(actor="2", step=None):
            assert json.loads(current()) == {"actor": "2", "tenant": "red", "step": None}

    def test_an_exception_ends_it(self):
        with pytest.raises(ZeroDivisionError), events.context(actor="1"):
            raise ZeroDivisionError
        assert current() is None


class TestNeverSomebodyElses:
    def test_a_thread_begins_without(self):
        with events.context(actor="1"), ThreadPoolExecutor() as pool:
            assert pool.submit(current).result() is None

    async def test_tasks_have_their_own(self):
        """Tasks that share one object and overlap each end where they began."""
        shared = events.context(shared=True)
        met = asyncio.Barrier(10)

        async def one(n):
            async with events.context(actor=str(n)), shared:
                await met.wait()
                found = json.loads(await sync_to_async(current)())
                await met.wait()
            return found, current()

        found = await asyncio.gather(*map(one, range(10)))
        assert found == [({"actor": str(n), "shared": True}, None) for n in range(10)]

    def test_through_both_bridges(self):
        """`sync_to_async` and `async_to_sync` carry it along."""

        async def inside():
            return await sync_to_async(current)()

        with events.context(actor="1"):
            assert json.loads(async_to_sync(inside)()) == {"actor": "1"}

    @pytest.mark.django_db(transaction=True)
    async def test_appends_that_share_a_trip(self, make_log):
        """Each `aemit` of a batch keeps its caller's."""
        log = await sync_to_async(make_log)()

        async def one(n):
            async with events.context(actor=str(n)):
                return await log.aappend("a", {"n": n})

        entries = await asyncio.gather(*map(one, range(50)))
        assert all(entry.context == {"actor": str(entry.payload["n"])} for entry in entries)


class TestMiddleware:
    @pytest.fixture
    def seen(self):
        """What a view would note, through the middleware."""

        def seen(user=None, **headers):
            request = RequestFactory().get("/", headers=headers)
            if user:
                request.user = user
            found = []
            ContextMiddleware(lambda request: found.append(current()) or HttpResponse())(request)
            assert current() is None
            return json.loads(found[0])

        return seen

    def test_the_request(self, seen):
        """A good X-Request-ID is kept; instead of any other, one is made up."""
        assert seen(**{"X-Request-ID": "a1-b.2_C"})["request"] == "a1-b.2_C"
        for bad in ("", "a b", "x" * 129, "é"):
            made_up = seen(**{"X-Request-ID": bad})["request"]
            assert uuid.UUID(made_up)

    def test_the_trace(self, seen):
        assert seen(traceparent=TRACE)["trace"] == TRACE
        for bad in (TRACE[:-1], TRACE.upper(), f"ff{TRACE[2:]}", "00-" + "0" * 32 + TRACE[35:]):
            assert "trace" not in seen(traceparent=bad)

    def test_the_span_of_opentelemetry(self, seen):
        """Without a traceparent, it is what OpenTelemetry says."""
        sdk = pytest.importorskip("opentelemetry.sdk.trace")
        tracer = sdk.TracerProvider().get_tracer("test")
        with tracer.start_as_current_span("span") as span:
            known = span.get_span_context()
            expected = f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}"
            assert seen()["trace"] == expected
            assert seen(traceparent=TRACE)["trace"] == TRACE
        assert middleware.opentelemetry is not None
        assert "trace" not in seen()

    def test_the_actor(self, seen):
        """A user by primary key; nobody has none, and neither has a site without users."""
        assert seen(User(pk=7))["actor"] == "7"
        assert "actor" not in seen(AnonymousUser())
        assert "actor" not in seen()

    def test_the_actor_is_asked_for_late(self):
        """Who is signed in by the view is the actor of what it emits afterwards."""
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        found = []

        def view(request):
            found.append(current())
            request.user = User(pk=7)
            found.append(current())
            with events.context(actor="worker"):
                found.append(current())
            return HttpResponse()

        ContextMiddleware(view)(request)
        actors = [json.loads(text).get("actor") for text in found]
        assert actors == [None, "7", "worker"]

    @pytest.mark.django_db(transaction=True)
    async def test_an_asynchronous_view(self, make_log, user):
        """`aemit` asks for the user without touching the database in the loop."""
        log = await sync_to_async(make_log)()
        client = AsyncClient()
        await client.aforce_login(user)

        async def view(request):
            await log.aappend("a")
            return HttpResponse()

        request = AsyncRequestFactory().get("/")
        request.COOKIES = {name: morsel.value for name, morsel in client.cookies.items()}
        from django.contrib.auth.middleware import AuthenticationMiddleware
        from django.contrib.sessions.middleware import SessionMiddleware

        chain = SessionMiddleware(AuthenticationMiddleware(ContextMiddleware(view)))
        await chain(request)
        [entry] = (await log.aread()).entries
        assert entry.context["actor"] == str(user.pk)
        # Those of the thread, which another test without a database may get.
        await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
class TestOverHTTP:
    def test_a_post_notes_its_user(self, log, post, user):
        """Without any middleware, for one event, a list of them, and a step."""
        assert post({"kind": "a"}).status_code == 201
        assert post([{"kind": "b"}, {"kind": "c"}]).status_code == 201
        assert post({}, "streams/run/open/").status_code == 200
        assert {entry.context["actor"] for entry in log.read().entries} == {str(user.pk)}


def test_a_user_without_a_key_is_nobody():
    assert actor_of(User()) is None
    assert actor_of(None) is None


def test_a_copied_context_goes_along():
    """What a project runs in a copied context has the original's."""
    with events.context(actor="1"):
        copied = contextvars.copy_context()
    found = []
    thread = threading.Thread(target=lambda: found.append(copied.run(current)))
    thread.start()
    thread.join()
    assert json.loads(found[0]) == {"actor": "1"}
