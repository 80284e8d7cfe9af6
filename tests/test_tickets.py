"""Tickets: what opens a WebSocket or Server-Sent Events where no header can say who one is."""

import base64
import json
import logging
import time
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.core import signing
from django.db import connections
from django.test import AsyncClient, Client
from rest_framework.authentication import BaseAuthentication

from events import logs, routing, tickets
from events.live import access
from events.tickets import BadTicket, in_query, issue, redeem

from .support.http_client import API

pytestmark = pytest.mark.django_db(transaction=True)

COOKIE = django_settings.SESSION_COOKIE_NAME


@pytest.fixture(autouse=True)
def nobody_is_known():
    access._answers.clear()


@pytest.fixture
def user():
    user = User.objects.create_user("reader", password="one")
    user.user_permissions.add(Permission.objects.get(codename="view_event"))
    return user


@pytest.fixture
def session(user):
    """Where this user has signed in with a cookie."""
    client = Client()
    client.force_login(user)
    return client.session


def signed_out(user, session):
    session.flush()


def password_changed(user, session):
    user.set_password("two")
    user.save()


def put_to_sleep(user, session):
    User.objects.filter(pk=user.pk).update(is_active=False)


def deleted(user, session):
    user.delete()


def other_session(user, session):
    """The key of the session now belongs to somebody else."""
    other = User.objects.create_user("other")
    client = Client()
    client.force_login(other)
    session.update(dict(client.session.items()))
    session.save()


ENDS = [signed_out, password_changed, put_to_sleep, deleted, other_session]


class TestTicket:
    @pytest.mark.parametrize("with_session", [True, False])
    def test_it_says_who_one_is(self, user, session, with_session):
        opened = redeem(issue(user, session if with_session else SessionStore()))
        assert opened.user == user
        assert opened.session.session_key == (session.session_key if with_session else None)

    def test_somebody_elses_session_is_not_named(self, session):
        """A cookie that comes along with somebody else's token."""
        other = User.objects.create_user("other")
        ticket = issue(other, session)
        session.flush()
        assert redeem(ticket).user == other

    @pytest.mark.parametrize("ended", ENDS)
    def test_it_ends_with_what_it_is_bound_to(self, user, session, ended):
        ticket = issue(user, session)
        ended(user, session)
        with pytest.raises(BadTicket):
            redeem(ticket)

    @pytest.mark.parametrize("ended", [password_changed, put_to_sleep, deleted])
    def test_it_ends_with_the_account_where_there_is_no_session(self, user, ended):
        ticket = issue(user, None)
        ended(user, None)
        with pytest.raises(BadTicket):
            redeem(ticket)

    def test_it_is_worthless_after_a_minute(self, user, monkeypatch):
        now = time.time()
        ticket = issue(user, None)
        monkeypatch.setattr("django.core.signing.time.time", lambda: now + 59)
        assert redeem(ticket).user == user
        monkeypatch.setattr("django.core.signing.time.time", lambda: now + 62)
        with pytest.raises(BadTicket):
            redeem(ticket)

    def test_nobody_else_can_make_one(self, user, settings):
        ticket = issue(user, None)
        payload = signing.loads(ticket, salt=tickets.SALT)
        bad = ["", "x", ":", "::", "é", "\0", ticket[:-1], ticket[1:], ticket + "=", ticket * 2]
        bad += [ticket.replace(":", "."), ticket.swapcase(), "." + ticket, ticket.split(":")[0]]
        bad.append(signing.dumps(payload))
        bad.append(signing.dumps(payload, salt="django.contrib.sessions.backends.signed_cookies"))
        bad.append(signing.dumps(payload, salt=tickets.SALT, key="another"))
        for one in bad:
            with pytest.raises(BadTicket):
                redeem(one)
        settings.SECRET_KEY = "another"
        with pytest.raises(BadTicket):
            redeem(ticket)

    def test_it_does_not_give_the_session_away(self, user, session):
        """Who finds one in a log has no cookie, whatever they decode."""
        ticket = issue(user, session)
        text = base64.urlsafe_b64decode(ticket.split(":")[0] + "==")
        assert session.session_key.encode() not in text
        sealed = signing.loads(ticket, salt=tickets.SALT)[2]
        assert session.session_key.encode() not in base64.urlsafe_b64decode(sealed)
        assert user.get_session_auth_hash() not in str(signing.loads(ticket, salt=tickets.SALT))
        assert issue(user, session) != ticket

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (b"", (None, False)),
            (b"since=0", (None, True)),
            (b"ticket=a%2Bb", ("a+b", False)),
            (b"ticket=a&since=0", ("a", True)),
            (b"%74icket=a", ("a", False)),
            (b"ticket=", ("", False)),
            (b"ticket", ("", False)),
            (b"ticket=a&ticket=a", ("", False)),
            (b"Ticket=a", (None, True)),
        ],
    )
    def test_the_query_string(self, query, found):
        assert in_query(query) == found


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ('%s - "WebSocket %s" [accepted]', ("1.2.3.4:5", "/ws/events/?since=0&ticket=a:b:c&x=1")),
        ("HTTP %(method)s %(path)s", ({"method": "GET", "path": "/live/?ticket=a:b:c"},)),
        ("> GET /ws/events/?ticket=a:b:c HTTP/1.1", ()),
    ],
)
def test_servers_log_no_ticket(caplog, message, arguments):
    """Whichever way they tell an address, and whatever it has beside the ticket."""
    tickets.hide()
    tickets.hide()
    logger = logging.getLogger("uvicorn.error")
    with caplog.at_level(logging.INFO, logger.name):
        logger.info(message, *arguments)
    assert "ticket=…" in caplog.messages[0]
    assert "a:b" not in caplog.text
    assert ("x=1" in caplog.text) == ("x=1" in str(arguments))


class ByToken(BaseAuthentication):
    """Knows a user by a header, and has no session."""

    def authenticate(self, request):
        name = request.headers.get("X-Token")
        return (User.objects.get(username=name), name) if name else None

    def authenticate_header(self, request):
        return "Token"


class Service(ByToken):
    """Knows somebody who has no row."""

    def authenticate(self, request):
        return SimpleNamespace(is_authenticated=True, pk=1), None


class TestEndpoint:
    def test_by_cookie(self, user):
        """The session is the one that asks, with a CSRF token, as for every POST."""
        client = Client()
        client.force_login(user)
        answer = client.post(API + "ticket/")
        assert answer.status_code == 201
        assert answer.json()["expires_in"] == 60
        assert answer["Cache-Control"] == "no-store"
        opened = redeem(answer.json()["ticket"])
        assert (opened.user, opened.session.session_key) == (user, client.session.session_key)
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(user)
        assert strict.post(API + "ticket/").status_code == 403

    def test_by_password(self, user):
        basic = base64.b64encode(b"reader:one").decode()
        answer = Client().post(API + "ticket/", headers={"Authorization": f"Basic {basic}"})
        assert redeem(answer.json()["ticket"]).user == user

    def test_nobody(self):
        assert Client().post(API + "ticket/").status_code in (401, 403)
        assert Client().get(API + "ticket/").status_code == 405

    def test_who_has_no_account(self, monkeypatch):
        """A ticket could not be looked up again."""
        monkeypatch.setattr(
            "events.api.authentication.TicketView.authentication_classes", [Service]
        )
        assert Client().post(API + "ticket/").status_code == 403

    def test_a_ticket_buys_no_ticket(self, user):
        """Otherwise a stolen one would be good for ever."""
        ticket = issue(user, None)
        assert Client().post(f"{API}ticket/?ticket={ticket}").status_code in (401, 403)
        assert Client().get(f"{API}?ticket={ticket}").status_code in (401, 403)
        assert Client().get(f"{API}head/?ticket={ticket}").status_code in (401, 403)


class TestServerSentEvents:
    async def answer(self, ticket, user=None, path="live/"):
        client = AsyncClient()
        if user is not None:
            await client.aforce_login(user)
        answer = await client.get(API + path, {"ticket": ticket, "since": "latest"})
        answer.close()
        return answer

    async def test_with_a_good_one(self, user):
        answer = await self.answer(issue(user, None))
        assert answer.status_code == 200
        assert answer["Content-Type"] == "text/event-stream"

    async def test_a_bad_one_does_not_fall_back_to_the_cookie(self, user):
        for ticket in ("", "forged"):
            answer = await self.answer(ticket, user)
            assert answer.status_code == 401
        assert ticket not in answer.content.decode()

    async def test_the_cookie_is_ignored(self, user):
        """Of a user who may read, with the ticket of one who may not; and the other way round."""
        other = await User.objects.acreate_user("other")
        assert (await self.answer(issue(other, None), user)).status_code == 403
        assert (await self.answer(issue(user, None), other)).status_code == 200

    @pytest.mark.parametrize("ended", ENDS)
    @pytest.mark.parametrize("opened", [True, False])
    async def test_it_is_asked_again(self, user, session, ended, opened, monkeypatch):
        """What would have kept it from opening ends it within a minute; the cookie is no help."""
        monkeypatch.setattr(access, "RECHECK", 0.01)
        monkeypatch.setattr(access, "SHARED", 0)
        session = session if opened else None
        if not opened and ended in (signed_out, other_session):
            return
        other = await User.objects.acreate_superuser("admin")
        client = AsyncClient()
        await client.aforce_login(other)
        ticket = await sync_to_async(issue)(user, session)
        answer = await client.get(API + "live/", {"ticket": ticket, "since": "latest"})
        frames = aiter(answer.streaming_content)
        assert (await anext(frames)).startswith(b"retry")
        await sync_to_async(ended)(user, session)
        log = logs["default"]
        for _ in range(100):
            await log.aappend("n")
            frame = await anext(frames)
            if b"event: end" in frame:
                break
        assert b'"reason":"forbidden"' in frame
        answer.close()


class TestWebSocket:
    @pytest.fixture(autouse=True)
    async def close_connections(self):
        yield
        await sync_to_async(connections.close_all)()

    async def connect(self, query, session=None, origin="http://evil.example", path="/ws/events/"):
        """A handshake from another site; what the socket says first, or why it closes."""
        headers = [(b"host", b"example.com"), (b"origin", origin.encode())]
        if session is not None:
            headers.append((b"cookie", f"{COOKIE}={session.session_key}".encode()))
        communicator = WebsocketCommunicator(
            routing.application(None), f"{path}?{query}", headers=headers
        )
        connected, code = await communicator.connect()
        if not connected:
            return code, communicator
        return await said(communicator), communicator

    async def test_from_another_origin(self, user):
        """Whoever has a ticket is no page that misuses a cookie."""
        ticket = await sync_to_async(issue)(user, None)
        found, communicator = await self.connect(f"ticket={ticket}&since=0")
        assert found["type"] == "subscribed"
        await communicator.disconnect()

    async def test_a_ticket_alone_subscribes_to_nothing(self, user):
        ticket = await sync_to_async(issue)(user, None)
        _, communicator = await self.connect(f"ticket={ticket}&since=0")
        await communicator.disconnect()
        headers = [(b"host", b"example.com")]
        communicator = WebsocketCommunicator(
            routing.application(None), f"/ws/events/?ticket={ticket}", headers=headers
        )
        assert (await communicator.connect())[0]
        assert await communicator.receive_nothing()
        await communicator.send_json_to({"type": "subscribe", "id": "a"})
        assert (await communicator.receive_json_from(5))["type"] == "subscribed"
        await communicator.disconnect()

    async def test_a_bad_one_does_not_fall_back_to_the_cookie(self, user, session):
        for query in ("ticket=&since=0", "ticket=forged&since=0", "ticket=x&ticket=y&since=0"):
            for origin in ("http://example.com", "http://evil.example"):
                found, _ = await self.connect(query, session, origin)
                assert found == 4401

    async def test_the_cookie_is_ignored(self, user, session):
        other = await User.objects.acreate_user("other")
        ticket = await sync_to_async(issue)(other, None)
        found, _ = await self.connect(f"ticket={ticket}&since=0", session)
        assert found["code"] == "forbidden"

    async def test_elsewhere_the_origin_matters(self, user):
        """A project's own consumer may have a parameter of that name."""
        ticket = await sync_to_async(issue)(user, None)
        assert (await self.connect(f"ticket={ticket}", path="/mine/"))[0] == 4403
        assert (await self.connect("since=0"))[0] == 4403

    @pytest.mark.parametrize("ended", [password_changed, put_to_sleep, deleted])
    async def test_it_is_asked_again(self, user, ended):
        """A subscription is refused when the account is not what it was; the hash is compared."""
        ticket = await sync_to_async(issue)(user, None)
        found, communicator = await self.connect(f"ticket={ticket}&since=0")
        assert found["type"] == "subscribed"
        await sync_to_async(ended)(user, None)
        await communicator.send_json_to({"type": "subscribe", "id": "b"})
        assert await said(communicator, "live") == 4401

    async def test_it_ends_after_its_time(self, user, settings):
        """And the client is to come back, with a new ticket."""
        settings.EVENTS = {"default": {"STREAM_MAX_SECONDS": 0.5}}
        ticket = await sync_to_async(issue)(user, None)
        found, communicator = await self.connect(f"ticket={ticket}&since=0")
        assert found["type"] == "subscribed"
        message = {}
        while message.get("type") != "websocket.close":
            message = await communicator.receive_output(5)
        assert (message["code"], message["reason"][:7]) == (4408, "max_age")


async def said(communicator, *ignored):
    """The first frame that is not ignored, or the code of the close."""
    while True:
        message = await communicator.receive_output(5)
        if message["type"] == "websocket.close":
            return message["code"]
        frame = json.loads(message["text"])
        if frame["type"] not in ignored:
            return frame
