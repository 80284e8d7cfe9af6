"""Who may go on reading, and what an answer about that is worth."""

import asyncio

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from django.test import Client
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from events.api import eventsource
from events.live import access

from .support import virtual
from .support.connections import SOMEBODY, Anybody, Socket, pass_real_time, reading, request_of

QUICK = {"BACKEND": "memory", "TTL": None, "POLL_INTERVAL": 0.05}
POLICY = {"POLICY": "tests.support.connections.Anybody"}


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(Anybody, "answer", True)
    access._answers.clear()
    yield
    access._answers.clear()


@pytest.fixture
def log(make_log):
    return make_log(**QUICK)


class Dev:
    """A principal of the host's own, with an id of its own numbering."""

    is_authenticated = True

    def __init__(self, name, pk):
        self.name, self.pk = name, pk


class ByName:
    def can_read(self, user, stream):
        return getattr(user, "name", "") == "admin"

    can_emit = can_read


@pytest.mark.django_db(transaction=True)
def test_a_socket_that_waits_does_not_outlive_its_session(user, log):
    """B66: who was signed out meanwhile may subscribe on an open socket to nothing."""
    client = Client()
    client.force_login(user)
    session = SessionStore(client.cookies["sessionid"].value)
    log.append("secret")

    def send_away():
        client.logout()
        User.objects.filter(pk=user.pk).update(is_active=False)
        connections.close_all()

    async def story():
        loop = asyncio.get_running_loop()
        socket = Socket(user=user, session=session)
        await pass_real_time()
        await asyncio.to_thread(send_away)
        for _ in range(90):  # well beyond the minute that is promised
            await loop.pass_time(1)
            await pass_real_time()
        socket.say(type="subscribe", id="a", log=log.name, since=0)
        for _ in range(20):
            await pass_real_time()
        given = socket.frames("events")
        socket.task.cancel()
        assert not given

    virtual.run(story())


def test_principals_without_a_key_are_not_taken_for_each_other(make_log):
    """Two users that are no rows (pk None) are checked each for itself."""
    mallory, admin = Dev("mallory", None), Dev("admin", None)
    assert access.current(admin, None) is admin
    assert access.current(mallory, None) is mallory


@pytest.mark.django_db
def test_principals_of_two_kinds_are_not_taken_for_each_other():
    """The device 1 is not the user 1, also after a check."""
    admin = User.objects.create_superuser("root")
    device = Dev("device", admin.pk)
    assert access.current(admin, None) == admin
    assert access.current(device, None) is device


def test_a_socket_becomes_nobody_else(make_log):
    """Also after its check mallory may not subscribe as the admin."""
    log = make_log(**QUICK, POLICY="tests.test_access.ByName")
    other = make_log(**QUICK, **POLICY)
    log.append("secret")

    async def story():
        loop = asyncio.get_running_loop()
        admin = Socket(user=Dev("admin", None))
        await admin.live(log=log.name)
        mallory = Socket(user=Dev("mallory", None))
        await mallory.live(log=other.name)
        mallory.say(type="subscribe", id="b", log=log.name)
        await pass_real_time()
        assert mallory.frames("error")[0]["code"] == "forbidden"
        for _ in range(31):
            await loop.pass_time(1)
            await pass_real_time()
        mallory.say(type="subscribe", id="c", log=log.name)
        for _ in range(5):
            await pass_real_time()
        given = mallory.frames("events")
        mallory.task.cancel()
        admin.task.cancel()
        assert not given

    virtual.run(story())


@pytest.mark.django_db
def test_a_key_that_is_revoked(user):
    """B66: DRF's own example of an authentication answers (user, None)."""

    class ApiKey(BaseAuthentication):
        valid = True

        def authenticate(self, request):
            if not ApiKey.valid:
                raise AuthenticationFailed
            return user, None

    request = Request(request_of()._request, authenticators=[ApiKey()])
    assert request.user == user
    ApiKey.valid = False
    with pytest.raises(AuthenticationFailed):
        eventsource.renewed(request)


def test_a_check_that_fails_for_ever_lets_nobody_read_on(make_log, monkeypatch):
    """B66: who cannot be asked about is sent nothing more after a while."""
    log = make_log(**QUICK, **POLICY)

    async def story():
        loop = asyncio.get_running_loop()
        socket = Socket(user=SOMEBODY)
        await socket.live(log=log.name)

        def broken(self, user, stream):
            raise RuntimeError("the directory is down")

        monkeypatch.setattr(Anybody, "can_read", broken)
        for _ in range(600):
            await loop.pass_time(1)
            if loop.ahead % 30 < 1:
                await pass_real_time()
        log.append("secret")
        await pass_real_time()
        given = socket.frames("events")
        socket.task.cancel()
        assert not given

    virtual.run(story())


def test_a_check_that_fails_once_ends_no_response(make_log, monkeypatch):
    """A database that is away for a second at the time of a check breaks off no response: an
    EventSource that comes back to a 500 never comes again."""
    log = make_log(**QUICK, **POLICY, STREAM_MAX_SECONDS=1000)

    async def story():
        loop = asyncio.get_running_loop()
        reader = await reading(log, request_of(SOMEBODY))
        can_read = Anybody.can_read

        def broken(self, user, stream):
            monkeypatch.setattr(Anybody, "can_read", can_read)
            raise RuntimeError("the database is away")

        monkeypatch.setattr(Anybody, "can_read", broken)
        for _ in range(35):
            await loop.pass_time(1)
            await pass_real_time()
        done = reader.task.done()
        reader.task.cancel()
        assert not done, reader.task.exception()

    virtual.run(story())
