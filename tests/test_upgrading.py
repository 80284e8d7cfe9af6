"""A database of the release before this one is migrated while that release goes on writing to it."""

import json
import os
import sqlite3
import threading
from contextlib import closing

import psycopg
import pytest
from django.db.migrations.loader import MigrationLoader

from .support.sites import scratch_site

# How many events are there before; a million shows how long the tables are locked.
EVENTS = int(os.environ.get("UPGRADE_EVENTS", 50_000))
BEFORE = "0002"

# What that release stored, in the columns that it knew.
SERIES = {
    "postgres": "generate_series(1, {count}) AS n",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "
    "SELECT n FROM s) AS numbers",
}
FILL = (
    "INSERT INTO events_log (name, epoch, head, floor, removed, latest) "
    "VALUES ('default', 'before', {events}, 0, 0, 1700000000000000 + {events})",
    "INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload) "
    "SELECT (SELECT id FROM events_log), n, 'old.event', 'run', n, 1700000000000000 + n, '{{}}' "
    "FROM {series}",
    "INSERT INTO events_stream (log_id, name, status, seq, first_position, last_position, "
    "last_event_at, opened_at) SELECT id, 'run', 'running', {events}, 1, {events}, "
    "1700000000000000 + {events}, 1700000000000001 FROM events_log",
    "INSERT INTO events_outbox (log, kind, stream, payload, refused) "
    "SELECT 'default', 'old.waiting', '', '{{\"n\": ' || n || '}}', '' FROM {waiting}",
)
# How it appended directly, and from a transaction of the project's.
DIRECT = (
    "UPDATE events_log SET head = head + 1, latest = latest + 1",
    "INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload) "
    "SELECT id, head, 'old.direct', '', 0, latest, '{{\"n\": {n}}}' FROM events_log",
)
NOTED = (
    "INSERT INTO events_outbox (log, kind, stream, payload, refused) "
    "VALUES ('default', 'old.noted', '', '{{\"n\": {n}}}', '')",
)

TOLD = """
import json
from collections import defaultdict
from django.core.management import call_command
from events import emit, logs

call_command("reconcile_streams", verbosity=0)
log, cursor = logs["default"], {since}
numbers, positions = defaultdict(list), []
while True:
    page = log.read(cursor, limit=1000)
    for entry in page.entries:
        positions.append(entry.position)
        numbers[entry.kind].append(entry.payload.get("n"))
    cursor = page.cursor
    if cursor >= page.head:
        break
print(json.dumps({{
    "numbers": numbers,
    "dense": positions == list(range({since} + 1, page.head + 1)),
    "oldest": log.read(0, limit=1).entries[0].context,
    "status": log.stream("run").status,
    "next": emit("new.event", {{}}, stream="run").position - page.head,
}}))
"""


def connect(site, database):
    url = site.environment["DATABASE_URL"]
    if database == "postgres":
        return psycopg.connect(url)
    return sqlite3.connect(
        url.removeprefix("sqlite:///"),
        timeout=60,
        isolation_level="IMMEDIATE",
        check_same_thread=False,
    )


class OldRelease(threading.Thread):
    """A process of the release before: it appends one event after another until it is stopped."""

    def __init__(self, connection, statements):
        super().__init__()
        self.connection = connection
        self.statements = statements
        self.stopped = threading.Event()
        self.stored = []

    def run(self):
        with closing(self.connection):
            while not self.stopped.is_set():
                number = len(self.stored)
                for statement in self.statements:
                    self.connection.execute(statement.format(n=number))
                self.connection.commit()
                self.stored.append(number)


# SQLite has one writer, and needs no outbox.
@pytest.mark.parametrize(("database", "waiting"), [("sqlite", 0), ("postgres", 2_000)])
def test_the_release_before_is_migrated_while_it_writes(database, waiting, tmp_path):
    """Whatever it has stored before, meanwhile and afterwards is there once, in its order, with its
    open stream and its outbox."""
    with scratch_site(database, tmp_path) as site:
        site.manage("migrate", "events", BEFORE, "-v0")
        names = {
            "events": EVENTS,
            "series": SERIES[database].format(count=EVENTS),
            "waiting": SERIES[database].format(count=waiting),
        }
        with closing(connect(site, database)) as connection:
            for statement in FILL if waiting else FILL[:-1]:
                connection.execute(statement.format(**names))
            connection.commit()
        kinds = (DIRECT, NOTED) if waiting else (DIRECT,)
        writers = [OldRelease(connect(site, database), kind) for kind in kinds]
        for writer in writers:
            writer.start()
        try:
            site.manage("migrate", "-v0")
            during = [len(writer.stored) for writer in writers]
            while any(len(w.stored) < n + 20 for w, n in zip(writers, during, strict=True)):
                assert all(writer.is_alive() for writer in writers)
                writers[0].join(0.01)
        finally:
            for writer in writers:
                writer.stopped.set()
                writer.join()
        told = json.loads(site.manage("shell", "-v0", "-c", TOLD.format(since=EVENTS)))
        stored = {"old.direct": writers[0].stored}
        if waiting:
            stored |= {"old.waiting": [*range(1, waiting + 1)], "old.noted": writers[1].stored}
        assert told["numbers"] == stored
        assert told["dense"]
        assert told["oldest"] is None or told["oldest"] == {}
        assert told["status"] == "running"
        assert told["next"] == 1


def test_no_migration_locks_two_tables():
    """A change of a table locks it until the migration's transaction ends. With a second table in the
    same transaction it could meet a writer that has locked them the other way round."""
    loader = MigrationLoader(None)
    for (app, name), migration in loader.disk_migrations.items():
        if app == "events" and name[:4] > BEFORE:
            changed = {operation.model_name for operation in migration.operations}
            assert len(changed) == 1, name
