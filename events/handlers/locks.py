"""A shard's lock, in a transaction, which keeps it to its end; and the lease in its place where
nothing may be locked while a handler works."""

import secrets
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from ..internals import compiled
from ..log import logs
from ..prepared import Prepared
from .models import Shard, State, Subscription
from .spec import hash_of

# Seconds for which a process may work without a lock before it has to say that it still does.
LEASE = 2.5
FREE = Q(lease_until=None) | Q(lease_until__lt=Now())


class Place(NamedTuple):
    """A shard's row as it is under its lock."""

    cursor: int
    epoch: str
    upto: int | None
    holds: bool
    # The epoch and the head of the log in the same transaction, if that was asked for and may not be
    # what was read before.
    log: tuple[str, int] | None = None


def lock(
    cursor: CursorWrapper,
    shard: int,
    token: int | None,
    running: bool,
    log: str | None = None,
    ready: bool = False,
) -> Place | None:
    """Lock a shard, to work on it. None if somebody else does, or if the lease with the `token` is
    lost; and, where it has to be `running`, if the handler is not."""
    _become_writer(cursor.db)
    which = cursor.db.alias, token is not None, running, log
    sql, parameters = _lock(*which)
    values = _values(parameters, shard, token)
    if ready:
        _prepared(*which).run_ready(cursor, dict(zip(PLACES, values, strict=False)))
    else:
        cursor.execute(sql, values)
    found = cursor.fetchone()
    if found is None:
        return None
    at, epoch, upto, holds, *standing = found
    known = tuple(standing) if any(standing) else None
    return Place(at, epoch, upto, bool(holds), known)


def is_ready(connection: BaseDatabaseWrapper, token: int | None, log: str) -> bool:
    """Before the transaction: is the lock's statement prepared, where planning it takes longer than
    carrying it out?"""
    if connection.vendor != "postgresql":
        return False
    return _prepared(connection.alias, token is not None, True, log).is_ready(connection)


def move(cursor: CursorWrapper, shard: int, position: int) -> None:
    """With the shard locked."""
    sql, parameters = _move(cursor.db.alias)
    cursor.execute(sql, _values(parameters, shard, position))


# These two run for every step. In their place stand, until then, the shard and another value.
SHARD, VALUE = -1, -2
PLACES = tuple(f"p{number}" for number in range(10))
Statement = tuple[str, tuple[Any, ...]]


@cache
def _lock(alias: str, leased: bool, running: bool, log: str | None) -> Statement:
    rows = Shard.objects.using(alias).filter(Q(token=VALUE) if leased else FREE, pk=SHARD)
    if running:
        handlers = Subscription.objects.using(alias).filter(state=State.RUNNING.value)
        rows = rows.filter(Exists(handlers.filter(pk=OuterRef("subscription_id"))))
    standing = logs[log].backend.standing() if log else ()
    columns = "cursor", "epoch", "upto", "holds"
    return compiled(_for_update(rows, wait=leased).values_list(*columns, *standing))


@cache
def _move(alias: str) -> Statement:
    return compiled(Shard.objects.using(alias).filter(pk=SHARD), cursor=VALUE)


@cache
def _prepared(alias: str, leased: bool, running: bool, log: str | None) -> Prepared:
    with transaction.atomic(using=alias):
        # What locks rows can only be made in one.
        sql, parameters = _lock(alias, leased, running, log)
    names = PLACES[: len(parameters)]
    # The server knows their types.
    types = dict.fromkeys(names, "unknown")
    return Prepared(sql % tuple(f"%({name})s" for name in names), types)


def _values(parameters: tuple[Any, ...], shard: int, value: int | None) -> list[Any]:
    values = {SHARD: shard, VALUE: value}
    return [values.get(one, one) for one in parameters]


def keep_alive(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Have PostgreSQL notice within some 20 s that a machine has died which said no farewell; by
    itself it would keep the machine's locks for two hours. (MariaDB's server has a setting of its
    own.) A receiver of `connection_created`."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('tcp_keepalives_idle', '10', false), "
                "set_config('tcp_keepalives_interval', '3', false), "
                "set_config('tcp_keepalives_count', '3', false)"
            )


def _become_writer(connection: BaseDatabaseWrapper) -> None:
    """On SQLite, whoever has written in this transaction is the one writer; or has begun it so."""
    if connection.features.has_select_for_update:
        return
    if getattr(connection, "transaction_mode", None) not in ("IMMEDIATE", "EXCLUSIVE"):
        with connection.cursor() as cursor:
            move(cursor, 0, 0)


def lock_all(found: Subscription, wait: bool = False) -> list[Shard]:
    """Lock all shards; an empty list if somebody works on one of them."""
    alias = found._state.db or ""
    _become_writer(connections[alias])
    rows = Shard.objects.using(alias).filter(subscription=found).order_by("number")
    locked = list(_for_update(rows if wait else rows.filter(FREE), wait))
    return locked if len(locked) == len(shards_of(found)) else []


def lock_stream(found: Subscription, stream: str, wait: bool = False) -> bool:
    """Lock the shard of a stream; False if somebody works on it."""
    _become_writer(connections[found._state.db or ""])
    while shards := shards_of(found):
        here = Q(of=len(shards), number=hash_of(stream) % len(shards))
        rows = Shard.objects.using(found._state.db).filter(here, subscription=found)
        if _for_update(rows if wait else rows.filter(FREE), wait).first():
            return True
        if not wait:
            break
        # Their number has just changed.
    return False


def shards_of(found: Subscription) -> list[Shard]:
    return list(Shard.objects.using(found._state.db).filter(subscription=found).order_by("number"))


def _for_update(rows: QuerySet[Shard], wait: bool) -> QuerySet[Shard]:
    features = connections[rows.db].features
    if not features.has_select_for_update:
        return rows
    skips = not wait and features.has_select_for_update_skip_locked
    return rows.select_for_update(skip_locked=skips, nowait=not wait and not skips)


def claim(alias: str, shard: int) -> int:
    """With the shard locked: a lease on it, for the time after; its token."""
    token = secrets.randbits(62)
    Shard.objects.using(alias).filter(pk=shard).update(token=token, lease_until=lease_end())
    return token


def lease_end() -> object:
    return Now() + timedelta(seconds=LEASE)
