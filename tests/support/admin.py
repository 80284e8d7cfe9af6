"""People of the admin, and an eye on its queries."""

import re
from contextlib import contextmanager

from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

MOST = 12

# In a plan: the table, or the whole of an index.
READS_ALL = (
    r"Seq Scan on events_event|SCAN events_event\b(?! USING)"
    r"|Scan (Backward )?(using \w+ on events_event\b|on events_event_\w+).*(\n(?!.*Index Cond)|\Z)"
)

# What a strict Content-Security-Policy does not let pass.
INLINE = r"<style|<[^<>]*\s(style|on\w+)=|<script(?![^>]*\bsrc=)"


def person(*permissions, name="somebody", staff=True):
    """Somebody who is signed in, with these permissions of the app."""
    user, _ = User.objects.get_or_create(username=name, is_staff=staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    client.user = user
    return client


@contextmanager
def cheap(*aliases, most=MOST):
    """At most a dozen queries; nothing counted but up to a bound, nothing skipped, no event read in
    vain."""
    captured = [CaptureQueriesContext(connections[alias]) for alias in dict.fromkeys(aliases)]
    for one in captured:
        one.__enter__()
    yield
    for one in captured:
        one.__exit__(None, None, None)
    queries = [(one.connection, query["sql"]) for one in captured for query in one]
    assert len(queries) <= most, [sql for _, sql in queries]
    for connection, sql in queries:
        is_bounded = re.search(r"LIMIT \d+\)|position <= \d+", sql)
        assert not re.search(r"OFFSET" if is_bounded else r"COUNT\(|OFFSET", sql, re.IGNORECASE), (
            sql
        )
        if "events_event" in sql and sql.startswith(("SELECT", "WITH")):
            plan = explained(connection, sql)
            assert not re.search(READS_ALL, plan), (sql, plan)


def explained(connection, sql):
    """How the database goes about it. PostgreSQL reads a small table whole when it thinks it needs
    much of it, whatever indexes there are: whether one would serve is asked."""
    if connection.vendor not in ("postgresql", "sqlite"):
        return ""
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if postgres:
            cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"{'EXPLAIN' if postgres else 'EXPLAIN QUERY PLAN'} {sql}")
        plan = "\n".join(str(row) for row in cursor.fetchall())
        if postgres:
            cursor.execute("RESET enable_seqscan")
    return plan


def fill(log, number, streams=(), kinds=("n",), start=0, step=1_000_000):
    """So many entries without the trouble of appending them, and their time `step` apart."""
    from events.models import Event, Log
    from events.types import from_micros

    log.info()
    using = log.settings.options["using"]
    row = Log.objects.using(using).get(name=log.name)
    Event.objects.using(using).bulk_create(
        (
            Event(
                log=row,
                position=row.head + n,
                kind=kinds[n % len(kinds)],
                stream=streams[n % len(streams)] if streams else "",
                seq=n // len(streams) if streams else 0,
                timestamp=from_micros(start + n * step),
                payload={},
            )
            for n in range(1, number + 1)
        ),
        batch_size=2000,
    )
    Log.objects.using(using).filter(pk=row.pk).update(
        head=row.head + number, latest=start + number * step
    )
    with connections[using].cursor() as cursor:
        analyze = "ANALYZE TABLE" if connections[using].vendor == "mysql" else "ANALYZE"
        cursor.execute(f"{analyze} events_event")
        cursor.fetchall() if cursor.description else None
