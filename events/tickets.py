"""Tickets: what opens a WebSocket or an EventSource, to which a browser lets nobody add a header.

Whoever is known to the API, by a token or otherwise, is given one, and spends it in an address soon
after. Addresses are written to logs, so a ticket is soon worthless, cannot be renewed, and keeps
to itself what it is bound to: the session, of which the cookie would be worth more.
"""

import logging
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.apps import apps
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from .live import access

PARAMETER = "ticket"
# Seconds from the issue to the opening.
GOOD_FOR = 60
SALT = "events.tickets"

# Loggers of servers, which write addresses.
SERVERS = ("uvicorn.access", "uvicorn.error", "django.channels.server")
IN_ADDRESS = re.compile(r"\b(ticket=)[^&\s\"']+")


class BadTicket(Exception):
    """It is forged, too old, or its user or session is not what it was."""


class Opened(NamedTuple):
    """What a ticket opens a connection as."""

    user: Any
    session: Any


def is_account(user: Any) -> bool:
    """A ticket names a row of the project's users; another principal cannot be found again."""
    return isinstance(user, get_user_model()) and user.pk is not None


def issue(user: Any, session: Any) -> str:
    """A ticket for a user; it ends with the session too, if this is signed in there."""
    key = getattr(session, "session_key", None)
    bound = key if key and str(session.get(SESSION_KEY)) == str(user.pk) else ""
    nonce = secrets.token_bytes(16)
    sealed = urlsafe_b64encode(nonce + _sealed(bound.encode(), nonce)).decode()
    return signing.dumps([str(user.pk), _standing(user), sealed], salt=SALT)


def redeem(ticket: str) -> Opened:
    """Whom a ticket lets in, as the database knows them now."""
    try:
        pk, standing, sealed = signing.loads(ticket, salt=SALT, max_age=GOOD_FOR)
        raw = urlsafe_b64decode(sealed)
        key = _sealed(raw[16:], raw[:16]).decode()
    except (signing.BadSignature, ValueError) as error:
        raise BadTicket from error
    user = access.reloaded(pk)
    if not user.is_authenticated or not constant_time_compare(standing, _standing(user)):
        raise BadTicket
    session = _session(key)
    if key and access.signed_in(session) != user:
        raise BadTicket
    return Opened(user, session)


def given(values: list[str]) -> str | None:
    """The ticket in a query, of which these are the values; None if there is none. Two are as good
    as none that is valid: nobody was given two."""
    return None if not values else values[0] if len(values) == 1 else ""


def in_query(query: bytes) -> tuple[str | None, bool]:
    """The ticket in a query string, and whether anything is beside it."""
    fields = parse_qsl(query.decode("latin1"), keep_blank_values=True)
    found = [value for name, value in fields if name == PARAMETER]
    return given(found), len(found) < len(fields)


class _Blotter(logging.Filter):
    """Blots tickets out of the addresses in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _blotted(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_blotted, record.args))
        elif isinstance(record.args, dict):
            record.args = {name: _blotted(value) for name, value in record.args.items()}
        return True


_blotter = _Blotter()


def hide() -> None:
    """Keep tickets out of what servers log by Python's means."""
    for name in SERVERS:
        logging.getLogger(name).addFilter(_blotter)


def _blotted(value: Any) -> Any:
    return IN_ADDRESS.sub(r"\1…", value) if isinstance(value, str) else value


def _standing(user: Any) -> str:
    """What changes with the password."""
    return salted_hmac(SALT, str(access.hash_of(user)), algorithm="sha256").hexdigest()[:32]


def _session(key: str) -> Any:
    if not apps.is_installed("django.contrib.sessions"):
        return None
    return import_module(settings.SESSION_ENGINE).SessionStore(key or None)


def _sealed(text: bytes, nonce: bytes) -> bytes:
    """A text that nobody else can read, or again what it was: it is mixed with a keystream of its
    own. The ticket's signature keeps it from being changed."""
    stream = b"".join(
        salted_hmac(f"{SALT}.session", nonce + block.to_bytes(4), algorithm="sha256").digest()
        for block in range(len(text) // 32 + 1)
    )
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))
