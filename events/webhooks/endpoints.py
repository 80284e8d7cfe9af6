"""Endpoints as handlers: where each begins, and what the handlers' app knows of them."""

import logging
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.utils import timezone

from ..conf import DEFAULT_LOG
from ..cursors import Query, make_query
from ..handlers import store
from ..handlers.models import Subscription
from ..live.access import reloaded
from ..log import EventLog, logs
from ..policy import may_read
from ..streams import one_line
from ..types import Row, wire_micros
from ..wire import text
from .message import Message
from .models import Delivery, Endpoint
from .verdicts import Answer

logger = logging.getLogger("events")

_unreachable: set[str] = set()

TEST_KIND = "webhook.test"
# What the names of their handlers begin with.
PREFIX = "webhook-"


def add(
    url: str,
    *,
    kinds: Iterable[str] | str = (),
    streams: Iterable[str] | str = (),
    log: str = DEFAULT_LOG,
    description: str = "",
    owner: Any = None,
    parallel: int = 1,
    secret: str | None = None,
    since: str | int = "latest",
) -> Endpoint:
    """A new endpoint. It gets what comes after `since`, whenever its first delivery is: what is
    emitted from now on, if that is left out. Its first secret is made here, or is `secret`.

    A ValidationError (of Django's) says what is wrong with the values.
    """
    endpoint = Endpoint(
        url=url,
        kinds=[kinds] if isinstance(kinds, str) else list(kinds),
        streams=[streams] if isinstance(streams, str) else list(streams),
        log=log,
        description=description,
        owner=owner,
        parallel=parallel,
    )
    endpoint.rotate(secret)
    # Not `validate_unique`: that would ask the default database, whichever it is kept in.
    endpoint.full_clean(validate_unique=False)
    create(endpoint, since)
    return endpoint


def create(endpoint: Endpoint, since: str | int = "latest") -> None:
    """Save a new endpoint, and where it begins, or neither."""
    backend = logs[endpoint.log].backend
    make_query(since, 1, None, None, None, page_size=1, max_page_size=1)
    if backend.in_transaction():
        # What is committed meanwhile comes after this position as well.
        state = backend.read(store.PROBE).state
    else:
        state = store.log_state(backend)
    with transaction.atomic(using=backend.alias):
        endpoint.save(using=backend.alias)
        found = Subscription.objects.using(backend.alias).create(
            name=endpoint.handler_name, log=endpoint.log, shards=endpoint.parallel
        )
        store.make_shards(found, endpoint.parallel, store.position(since, state), state.epoch)


def forget(sender: object, instance: Endpoint, using: str, **kwargs: Any) -> None:
    """A receiver of `post_delete`: also where it stood, and what is held of it."""
    rows = Subscription.objects.using(using)
    rows.filter(name=instance.handler_name).delete()


# What the handlers' app knows.


def aliases() -> set[str]:
    return {logs[name].backend.alias for name in logs if logs[name].backend.in_database}


def reachable() -> Iterator[str]:
    """Databases that answer and have our tables. One that does not keeps no other from being asked."""
    for alias in sorted(aliases()):
        try:
            Endpoint.objects.using(alias).exists()
        except (DatabaseError, InterfaceError, ImproperlyConfigured) as error:
            # Once, and not at every look.
            level = logging.DEBUG if alias in _unreachable else logging.WARNING
            logger.log(level, "Webhooks: no endpoints from database %r: %s", alias, one_line(error))
            _unreachable.add(alias)
            if not isinstance(error, ImproperlyConfigured):
                connections[alias].close_if_unusable_or_obsolete()
            continue
        _unreachable.discard(alias)
        yield alias


def every() -> Iterator[Endpoint]:
    """In the databases of all logs: an endpoint is kept beside the log that it is about."""
    for alias in reachable():
        yield from Endpoint.objects.using(alias).filter(log__in=list(logs)).order_by("pk")


def active() -> Iterator[Endpoint]:
    return (one for one in every() if one.active)


# What an endpoint is sent.


def query_of(endpoint: Endpoint) -> Query:
    """All that it wants; the cursor is put in its place for each read."""
    log = logs[endpoint.log]
    asked = log.query("latest", store.PAGE, stream=endpoint.streams or None, kind=endpoint.kinds)
    return replace(asked, whole=True)


def may_have(log: EventLog, owner: Any, row: Row) -> bool:
    """May the owner of an endpoint read this now?"""
    return may_read(log.policy, owner, [row.stream or None])


def message_of(endpoint: Endpoint, row: Row, id: str) -> Message:
    time = wire_micros(row.micros)
    body = f'{{"type":"{row.kind}","timestamp":"{time}","data":{text(row)}}}'
    return message(endpoint, id, body)


def id_of(row: Row, epoch: str) -> str:
    return f"evt_{epoch}_{row.position}"


def message(endpoint: Endpoint, id: str, body: str) -> Message:
    return Message(endpoint.url, tuple(endpoint.secrets), id, body.encode())


def send_test(endpoint: Endpoint) -> Delivery:
    """Send an event that is in no log, now, and wait for the answer."""
    id = f"test_{secrets.token_hex(8)}"
    time = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = f'{{"type":"{TEST_KIND}","timestamp":"{time}","data":{{"endpoint":{endpoint.pk}}}}}'
    answer = post(message(endpoint, id, body))
    return note(endpoint, None, TEST_KIND, id, 1, answer)


def send_again(before: Delivery) -> Delivery:
    """Send the event of a delivery once more, now, beside the endpoint's order and its schedule. A
    LookupError if it is no longer in the log, or its owner may not read it."""
    endpoint = before.endpoint
    log = logs[endpoint.log]
    row, epoch = find(log, before.position)
    id = before.webhook_id
    if row is None or id_of(row, epoch) != id:
        raise LookupError(f"The event {before.position} is no longer in the log.")
    owner = endpoint.owner_id
    if owner is not None and not may_have(log, reloaded(owner), row):
        raise LookupError(f"The owner of the endpoint may not read event {before.position}.")
    answer = post(message_of(endpoint, row, id))
    return note(endpoint, row.position, row.kind, id, before.attempt + 1, answer)


def post(message: Message) -> Answer:
    # Not above: httpx is a fifth of a second, which no other command should wait for.
    from .sending import post_now

    return post_now(message)


def find(log: EventLog, position: int | None) -> tuple[Row | None, str]:
    """The event at a position, if it is still there, and in the name of which epoch it is there."""
    asked = Query(since=max((position or 1) - 1, 0), limit=1, whole=True)
    found = log.backend.read(asked)
    row = next((row for row in found.rows if row.position == position), None)
    return row, found.state.epoch_at(position or 0)


def note(
    endpoint: Endpoint, position: int | None, kind: str, id: str, attempt: int, answer: Answer
) -> Delivery:
    one = delivery(endpoint, position, kind, id, attempt, answer)
    one.save(using=endpoint._state.db, force_insert=True)
    return one


def delivery(
    endpoint: Endpoint, position: int | None, kind: str, id: str, attempt: int, answer: Answer
) -> Delivery:
    return Delivery(
        endpoint_id=endpoint.pk,
        position=position,
        kind=kind,
        webhook_id=id,
        attempt=attempt,
        status=answer.status,
        milliseconds=answer.milliseconds,
        answer=answer.text,
        error=answer.error,
        at=logs[endpoint.log].backend.now(),
    )
