"""Webhooks are no way into the house."""

import asyncio
import socket
from ipaddress import ip_address

import httpcore
import pytest
from django.core.exceptions import ValidationError

from events.webhooks.addresses import is_public, valid_url
from events.webhooks.guard import Forbidden, GuardedBackend
from events.webhooks.message import Message
from events.webhooks.sending import post_now
from events.webhooks.signing import new_secret

from .support.receivers import receiver

REFUSED = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "192.88.99.1",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::7f00:1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2001:0:53aa:64c:0:7d51:3f57:fefe",
    "2001:2::1",
    "3fff::1",
    "5f00::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address):
    """As is every IPv6 address in which an IPv4 one hides, whichever that is."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https:///x", "https://", "//example.com", "",
        "https://user@example.com/", "https://user:x@example.com/", "https://example.com/#a",
        "https://example.com:22/", "https://example.com:x/", "https://example.com:0/",
        "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://10.0.0.1/",
        "https://exam ple.com/", "https://example.com\\@127.0.0.1/", "https://bücher.example/",
        "https://example.com/\r\nHost: x", "https://example.com/\t", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_right_is_refused_at_once(url):
    with pytest.raises(ValueError, match=r"."):
        valid_url(url)


def test_ordinary_addresses_are_taken():
    for url in ("https://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/"):
        valid_url(url)


@pytest.mark.django_db
def test_an_endpoint_is_not_saved_with_one():
    from events import webhooks

    with pytest.raises(ValidationError, match="not a public address"):
        webhooks.add("https://192.168.0.1/")


@pytest.fixture
def names(monkeypatch):
    """Names and the addresses at which they are, one list for each look."""
    known, looks = {}, []
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        host = host.decode() if isinstance(host, bytes) else host
        if host not in known:
            return real(host, port, *args, **kwargs)
        looks.append(host)
        found = known[host][min(len(looks), len(known[host])) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    with receiver(tmp_path_factory.mktemp("receiver")) as found:
        yield found


@pytest.fixture
def inner(settings, other):
    """All is allowed but the address itself."""
    settings.WEBHOOKS_ALLOW_HTTP = True
    settings.WEBHOOKS_PORTS = None
    settings.WEBHOOKS_CONNECT_TIMEOUT = 1
    return other


def send(url):
    return post_now(Message(url, (new_secret(),), "evt_1", b'{"data":{}}'))


@pytest.mark.parametrize("host", ["inside.test", "2130706433", "0x7f.1", "127.1", "localhost"])
def test_a_name_of_this_machine_is_not_connected_to(inner, names, host):
    """However it is written."""
    names["inside.test"] = [["127.0.0.1"]]
    url = inner.url().replace("127.0.0.1", host)
    answer = send(url)
    assert answer.status is None
    assert "not a public address" in answer.error
    assert inner.notes(url.replace(host, "127.0.0.1")) == []


def test_a_name_that_changes_its_mind_is_not_followed(inner, names, monkeypatch):
    """It is looked up once, and what was checked is what is connected to."""
    names["two.test"] = [["203.0.113.1"], ["127.0.0.1"]]
    monkeypatch.setattr("events.webhooks.addresses.is_public", lambda a: str(a) == "203.0.113.1")
    url = inner.url().replace("127.0.0.1", "two.test")
    answer = send(url)
    assert answer.status is None
    assert "not a public" not in answer.error
    answer = send(url)
    assert "127.0.0.1, which is not a public address" in answer.error
    assert inner.notes(url.replace("two.test", "127.0.0.1")) == []


def test_the_socket_has_the_last_word(inner, monkeypatch):
    """Should what makes the connection look the name up once more."""
    backend = GuardedBackend()
    checked = iter([True, False])
    monkeypatch.setattr("events.webhooks.guard.may_connect", lambda *_: next(checked))
    with pytest.raises(Forbidden):
        asyncio.run(backend.connect_tcp("127.0.0.1", inner.port, 2))


def test_an_address_that_is_allowed_is_connected_to(inner, settings, names):
    settings.WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    names["inside.test"] = [["10.0.0.1", "127.0.0.1"]]
    url = inner.url().replace("127.0.0.1", "inside.test")
    assert send(url).status == 200
    [note] = inner.notes(url.replace("inside.test", "127.0.0.1"))
    assert note["headers"]["host"].startswith("inside.test:")


def test_a_redirect_is_not_followed(inner, settings):
    settings.WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    target = inner.url()
    url = inner.url("/redirect/" + target.partition("?")[0])
    assert send(url).status == 302
    assert inner.notes(target) == []


def test_no_proxy_and_no_password_of_the_environment_is_used(inner, settings, monkeypatch):
    settings.WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(inner.url()).status == 200


def test_a_socket_of_this_machine_is_refused():
    with pytest.raises(Forbidden):
        asyncio.run(GuardedBackend().connect_unix_socket("/run/x"))


def test_a_name_that_is_not_found_is_an_error():
    with pytest.raises(httpcore.ConnectError):
        asyncio.run(GuardedBackend().connect_tcp("no-such-name.invalid", 443, 2))
