"""What a connection does as time goes by, on a clock that the test sets forward."""

import asyncio
import base64
from types import SimpleNamespace

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, RequestFactory
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
)
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from events.api import eventsource
from events.api.eventsource import Connection
from events.live import access
from events.websocket import consumer

from .support import virtual
from .support.connections import (
    SOMEBODY,
    Anybody,
    Reader,
    Socket,
    pass_real_time,
    reading,
    request_of,
    until,
)

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    """No jitter, an open door, nobody known from before, and nobody asked about again: that is
    done in a thread, whose time is the real one."""
    monkeypatch.setattr(access, "RECHECK", 10_000)
    monkeypatch.setattr(eventsource.random, "uniform", lambda low, high: 1)
    monkeypatch.setattr(Anybody, "answer", True)
    access._answers.clear()


@pytest.fixture
def log(make_log):
    return make_log(**QUICK, POLICY="tests.support.connections.Anybody", STREAM_MAX_SECONDS=100)


@pytest.mark.usefixtures("way")
class TestServerSentEvents:
    @pytest.fixture(params=["through Django", "at once"])
    def way(self, request, monkeypatch):
        monkeypatch.setattr(Reader, "at_once", request.param == "at once")

    def test_a_heartbeat_after_a_silence(self, log):
        """B46: after fifteen seconds without a write, none sooner."""

        async def story():
            loop = asyncio.get_running_loop()
            reader = await reading(log)
            await loop.pass_time(14.5)
            assert reader.take() == ""
            await loop.pass_time(1)
            assert reader.take() == ": heartbeat\n\n"
            await loop.pass_time(10)
            log.append("n")
            await pass_real_time()
            assert reader.take().startswith("id: 1\n")
            await loop.pass_time(14)
            assert reader.take() == ""
            await loop.pass_time(1.5)
            assert reader.take() == ": heartbeat\n\n"

        virtual.run(story())

    def test_the_bookmark_before_a_heartbeat(self, log):
        """B11: a quiet reader does not come back with an old id."""

        async def story():
            loop = asyncio.get_running_loop()
            reader = await reading(log, kind="wanted")
            log.append_many([("n", {})] * 5)
            await pass_real_time()
            await loop.pass_time(16)
            assert reader.take() == "id: 5\n: heartbeat\n\n"
            await loop.pass_time(16)
            assert reader.take() == ": heartbeat\n\n"

        virtual.run(story())

    def test_the_lifetime_ends(self, log):
        """B47: with a bookmark, and an invitation to come back."""

        async def story():
            loop = asyncio.get_running_loop()
            reader = await reading(log, kind="wanted")
            log.append("n")
            await pass_real_time()
            await loop.pass_time(99)
            assert "end" not in reader.take()
            await loop.pass_time(2)
            assert reader.take() == ('event: end\ndata: {"reason":"max_age","reconnect":true}\n\n')
            await reader.task

        virtual.run(story())

    def test_lifetimes_differ(self, log, monkeypatch):
        """B47: by a tenth either way, so that clients do not return together."""
        monkeypatch.undo()
        lifetimes = [Connection(request_of(), log, log.query(), True).lifetime for _ in range(200)]
        assert 90 <= min(lifetimes) < 95
        assert 105 < max(lifetimes) <= 110

    def test_access_that_is_revoked(self, log, monkeypatch):
        """B66: within a minute."""
        monkeypatch.setattr(access, "RECHECK", 30)

        async def story():
            loop = asyncio.get_running_loop()
            reader = await reading(log)
            Anybody.answer = False
            for _ in range(60):
                await loop.pass_time(1)
                await pass_real_time()
            await until(lambda: reader.task.done())
            assert reader.text.endswith(
                'event: end\ndata: {"reason":"forbidden","reconnect":false}\n\n'
            )

        virtual.run(story())

    def test_a_server_that_never_pushes_back(self, log, monkeypatch):
        """B34: what a stalled client may cost there is bounded; it comes back for the rest."""
        monkeypatch.setattr(eventsource, "MAX_BYTES", 10_000)

        async def story():
            daphne = await reading(log, request_of(spec_version=None))
            uvicorn = await reading(log)
            for _ in range(30):
                log.append("n", {"text": "x" * 1000})
                await pass_real_time()
            for _ in range(50):
                await pass_real_time()
            assert daphne.text.endswith(
                'event: end\ndata: {"reason":"max_bytes","reconnect":true}\n\n'
            )
            assert len(daphne.text) < 13_000
            assert uvicorn.text.count("id: ") == 30

        virtual.run(story())


class TestWebSocket:
    def test_a_heartbeat_when_idle(self, log):
        """B46, B11: with the cursors, which have passed what did not match."""

        async def story():
            loop = asyncio.get_running_loop()
            socket = Socket()
            await socket.live(log=log.name, kind="wanted")
            log.append_many([("n", {})] * 3)
            await pass_real_time()
            await loop.pass_time(14.5)
            assert not socket.frames("heartbeat")
            await loop.pass_time(1)
            assert socket.frames("heartbeat") == [{"type": "heartbeat", "cursors": {"a": 3}}]
            await loop.pass_time(15)
            assert len(socket.frames("heartbeat")) == 2

        virtual.run(story())

    def test_one_event_at_a_time_is_counted_as_well(self, log):
        """B34: the server stops at what is not acknowledged, however it was sent."""

        async def story():
            socket = Socket()
            await socket.live(log=log.name)
            for _ in range(30):
                log.append("n", {"text": "x" * 60_000})
                await pass_real_time()
            assert 10 < socket.frames("events")[-1]["cursor"] < 18
            socket.say(type="ack", id="a", position=10)
            await until(lambda: socket.frames("events")[-1]["cursor"] > 20)

        virtual.run(story())

    def test_who_does_not_acknowledge_is_too_slow(self, log):
        """B34: thirty seconds after the server had to stop."""

        async def story():
            loop = asyncio.get_running_loop()
            socket = Socket()
            await socket.live(log=log.name)
            log.append_many([("n", {"text": "x" * 60_000})] * 60)
            await until(lambda: socket.frames("events"))
            await pass_real_time()
            told = socket.frames("events")
            assert told[-1]["cursor"] < 30
            await loop.pass_time(20)
            socket.say(type="ack", id="a", position=told[-1]["events"][-1]["position"])
            await until(lambda: len(socket.frames("events")) > len(told))
            await pass_real_time()
            more = len(socket.frames("events"))
            for _ in range(29):
                await loop.pass_time(1)
            assert socket.code is None
            for _ in range(40):
                await loop.pass_time(1)
            assert socket.code == 4408
            assert len(socket.frames("events")) == more
            await socket.task

        virtual.run(story())

    def test_who_does_not_read_is_too_slow(self, log, monkeypatch):
        """B34: where the server pushes back, the writer is stuck; and so would be the close."""
        monkeypatch.setattr(consumer, "FAREWELL", 1)

        async def story():
            loop = asyncio.get_running_loop()
            socket = Socket()
            await socket.live(log=log.name)
            socket.reads.clear()
            log.append("n")
            await pass_real_time()
            for _ in range(70):
                await loop.pass_time(1)
            assert socket.task.done()
            assert not socket.frames("events")

        virtual.run(story())

    def test_access_that_is_revoked(self, log, monkeypatch):
        """B66: within a minute; what is left of it goes on."""
        monkeypatch.setattr(access, "RECHECK", 30)

        async def story():
            loop = asyncio.get_running_loop()
            socket = Socket(user=SOMEBODY)
            await socket.live(log=log.name)
            Anybody.answer = False
            for _ in range(60):
                await loop.pass_time(1)
                await pass_real_time()
            await until(lambda: socket.code)
            assert socket.frames("error")[0]["code"] == "forbidden"
            assert socket.code == 4403

        virtual.run(story())

    def test_who_may_not_read(self, log):
        """B65, B67: an error frame; by the address, it is all that one came for."""

        async def story():
            socket = Socket(user=SOMEBODY)
            socket.say(type="subscribe", id="a", log=log.name, stream="hidden")
            while not socket.frames():
                await asyncio.sleep(0.001)
            assert socket.frames()[0]["code"] == "forbidden"
            await socket.live(log=log.name)
            socket = Socket(user=SOMEBODY, query=f"log={log.name}&stream=hidden".encode())
            await socket.task
            assert (socket.frames()[0]["code"], socket.code) == ("forbidden", 4403)

        virtual.run(story())


@pytest.mark.django_db(transaction=True)
class TestAskingAgain:
    """B66: whoever is asked about is loaded again."""

    @pytest.fixture
    def signed_in(self, user):
        client = Client()
        client.force_login(user)
        return SessionStore(client.cookies["sessionid"].value)

    def now(self, user, session=None):
        access._answers.clear()
        return access.current(user, session)

    def test_a_permission_that_is_taken_away(self, user, signed_in):
        assert self.now(user, signed_in).has_perm("events.view_event")
        user.user_permissions.set(Permission.objects.none())
        assert not self.now(user, signed_in).has_perm("events.view_event")
        assert not self.now(user).has_perm("events.view_event")

    def test_a_session_that_has_ended(self, user, signed_in):

        ended = SessionStore(signed_in.session_key)
        assert ended.get("_auth_user_id") == str(user.pk)
        SessionStore(signed_in.session_key).flush()
        assert not self.now(user, ended).is_authenticated

    def test_a_password_that_was_changed(self, user, signed_in):
        user.set_password("other")
        user.save()
        assert not self.now(user, signed_in).is_authenticated

    def test_an_account_that_is_closed(self, user, signed_in):
        User.objects.update(is_active=False)
        assert not self.now(user, signed_in).is_authenticated
        assert not self.now(user).is_authenticated

    def test_an_account_that_is_gone(self, user):
        User.objects.all().delete()
        assert not self.now(user).is_authenticated

    def test_somebody_else_in_the_session(self, user, signed_in):
        """Whom a token has signed in does not depend on the session beside it."""
        other = User.objects.create_user("other")
        SessionStore(signed_in.session_key).flush()
        assert self.now(other, signed_in) == other

    def test_what_opens_is_asked_freshly(self, user, signed_in):
        """Who has just been asked about, by another connection, may have lost or gained since."""
        for session in (signed_in, None):
            self.now(user, session)
            user.user_permissions.clear()
            assert not access.current(user, session, fresh=True).has_perm("events.view_event")
            user.user_permissions.set(Permission.objects.filter(codename="view_event"))
            assert access.current(user, session, fresh=True).has_perm("events.view_event")
            assert access.current(user, session).has_perm("events.view_event")

    @pytest.mark.parametrize("change", ["grant", "revocation"])
    async def test_a_subscription_after_a_change(self, user, make_log, change):
        """It is answered by what is true now, whoever was asked about a moment ago."""
        log = make_log(**QUICK)
        await user.user_permissions.aclear()
        permission = await Permission.objects.aget(codename="view_event")
        steps = [user.user_permissions.aadd, user.user_permissions.aremove]
        before, after = steps if change == "revocation" else reversed(steps)
        await before(permission)
        stranger = await User.objects.aget(pk=user.pk)
        known = await database_sync_to_async(access.current)(stranger, None)
        await database_sync_to_async(known.has_perm)("events.view_event")
        await after(permission)
        socket = Socket(user=stranger)
        socket.say(type="subscribe", id="a", log=log.name)
        while not socket.frames():
            await asyncio.sleep(0.001)
        expected = "subscribed" if change == "grant" else "error"
        assert socket.frames()[0]["type"] == expected
        socket.task.cancel()
        await asyncio.gather(socket.task, return_exceptions=True)

    def test_a_password_of_basic_authentication(self, user):
        """A stream that was opened with the old one ends when it is next asked about."""
        header = "Basic " + base64.b64encode(b"reader:x").decode()
        http = RequestFactory().get("/", headers={"Authorization": header})
        request = Request(http, authenticators=[BasicAuthentication()])
        assert request.user == user
        assert eventsource.renewed(request) == user
        user.set_password("other")
        user.save()
        access._answers.clear()
        assert not eventsource.renewed(request).is_authenticated

    def test_an_answer_is_shared(self, user, signed_in, django_assert_num_queries):
        """A thousand sockets of one user ask once in a while."""
        self.now(user, signed_in)
        with django_assert_num_queries(0):
            access.current(user, signed_in)

    def test_a_token_that_is_revoked(self, user):
        class Token(BaseAuthentication):
            valid = True

            def authenticate(self, request):
                if not Token.valid:
                    raise AuthenticationFailed
                return user, "token"

        http = request_of()._request
        request = Request(http, authenticators=[Token()])
        assert request.user == user
        assert eventsource.renewed(request) == user
        Token.valid = False
        with pytest.raises(AuthenticationFailed):
            eventsource.renewed(request)

    async def test_a_policy_may_use_the_database(self, user, log):
        """It is asked in a thread, and not in the loop."""
        request = SimpleNamespace(
            user=user,
            successful_authenticator=SessionAuthentication(),
            _request=SimpleNamespace(session=None),
        )
        assert await database_sync_to_async(eventsource.renewed)(request) == user
