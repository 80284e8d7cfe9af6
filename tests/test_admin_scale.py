"""The admin on a long log: what its pages ask of the database.

`EVENTS_SCALE=1000000` for a log as long as the promise says; times are measured by
`benchmarks/admin.py`.
"""

import os
import re

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events.admin import wanted
from events.models import Event

from .conftest import skip_unless
from .test_admin_keyset import link, shown, staff

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

COUNT = int(os.environ.get("EVENTS_SCALE", 50_000))

PAGES = {
    "first": "",
    "middle": "before={middle}",
    "oldest": "after=0",
    "kind": "kind=job.failed",
    "kind prefix": "kind=job.*",
    "kind that is not there": "kind=none.such",
    "kind in a stream": "kind=turn.*&stream=run-42",
    "stream": "stream=run-42",
    "stream that is not there": "stream=none",
    "status": "status=failed",
    "status and kind": "status=failed&kind=job.failed",
    "last hour": "time=hour",
    "from and to": "from=2023-11-14T22:13:25&to=2023-11-14T22:13:45",
    "all at once": "from=2023-11-14&to=2099-01-01&kind=turn.*&status=running&before={middle}",
    "search: stream": "q=run-42",
    "search: key": "q=key:key-{middle}",
    "search: bare key": "q=key-{middle}",
    "search: position": "q=%23{middle}",
    "search: kind": "q=kind:turn.*",
    "search: nonsense": "q=none+such",
}

# A stream for every residue of a thousand, each fiftieth of them failed; a kind in a thousand is
# rare; each tenth event has a key.
EVENTS = """
INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload, idempotency_key)
SELECT {log}, n, CASE WHEN n % 1000 = 7 THEN 'job.failed' ELSE 'turn.started' END,
       'run-' || (n % 1000), n / 1000 + 1, 1700000000000000 + n * 1000,
       '{{"n":' || n || ',"text":"a short sentence","tags":["a","b"],"ok":true}}',
       CASE WHEN n % 10 = 0 THEN 'key-' || n END FROM ({numbers}) AS numbers
"""
STREAMS = """
INSERT INTO events_stream (log_id, name, status, seq, first_position, last_position, last_event_at)
SELECT {log}, 'run-' || n, CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'running' END, {count} / 1000,
       n + 1, {count} - 1000 + n + 1, 1700000000000000 FROM ({numbers}) AS numbers
"""
NUMBERS = {
    "postgresql": "SELECT generate_series({first}, {last}) AS n",
    "sqlite": (
        "WITH RECURSIVE some(n) AS (VALUES ({first}) UNION ALL SELECT n + 1 FROM some "
        "WHERE n < {last}) SELECT n FROM some"
    ),
}


def fill(log, count):
    """Rows made by the database itself, and then its statistics."""
    alias = log.settings.options["using"]
    log.read()
    numbers = NUMBERS[connections[alias].vendor]
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT id FROM events_log WHERE name = %s", [log.name])
        pk = cursor.fetchone()[0]
        cursor.execute(EVENTS.format(log=pk, numbers=numbers.format(first=1, last=count)))
        streams = numbers.format(first=0, last=min(999, count))
        cursor.execute(STREAMS.format(log=pk, numbers=streams, count=count))
        cursor.execute(
            "UPDATE events_log SET head = %s, latest = %s WHERE id = %s",
            [count, 1_700_000_000_000_000 + count * 1000, pk],
        )
        cursor.execute("ANALYZE")


@pytest.fixture(params=["default", "postgres"])
def log(request, make_log, monkeypatch):
    """With spans that are to its length as they are to a million: a span that is as long as the
    table is rightly read from the table."""
    for name in ("KIND_SPAN", "STATUS_SPAN"):
        span = getattr(wanted, name) * min(COUNT, 1_000_000) // 1_000_000
        monkeypatch.setattr(wanted, name, span)
    monkeypatch.setattr(wanted, "RECENT", min(wanted.RECENT, COUNT // 20))
    skip_unless(request.param)
    log = make_log(request.param)
    fill(log, COUNT)
    # Another log in the same tables, so that a log is not all there is.
    make_log(request.param).append_many([("n", {})] * 500)
    return log


@pytest.fixture
def clerk(db):
    return staff("view_event")


def asked(client, log, address):
    """A page, and what it asks the log's own database."""
    alias = log.settings.options["using"]
    with CaptureQueriesContext(connections[alias]) as queries:
        response = client.get(address)
        body = b"".join(response.streaming_content) if response.streaming else response.content
    assert response.status_code == 200, body
    return response, [one["sql"] for one in queries]


def plan(alias, sql):
    """How the database means to find the rows, a line for each step."""
    explain = "EXPLAIN" if connections[alias].vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connections[alias].cursor() as cursor:
        cursor.execute(f"{explain} {sql}".replace("%", "%%"), [])
        return [str(row[-1]) for row in cursor.fetchall()]


def check(alias, queries):
    """No COUNT, no OFFSET, and no step that looks at the whole table."""
    for sql in queries:
        if "events_event" not in sql:
            continue
        assert not re.search(r"COUNT\s*\(|OFFSET", sql, re.IGNORECASE), sql
        steps = plan(alias, sql)
        for step in steps:
            assert not re.search(r"Seq Scan on events_event", step), (sql, steps)
            assert not re.search(r"SCAN \"?events_event\"?(?! USING)", step), (sql, steps)
            assert not re.search(r"SCAN (U0|V0|W0)(?! USING)", step), (sql, steps)


def test_no_page_reads_the_whole_table(clerk, log):
    """First, middle, last; each filter, each search; at most a dozen queries each."""
    alias, path = log.settings.options["using"], reverse("admin:events_event_changelist")
    for name, query in PAGES.items():
        address = f"{path}?log={log.name}&{query.format(middle=COUNT // 2)}"
        _response, queries = asked(clerk, log, address)
        assert len(queries) <= 12, (name, queries)
        check(alias, queries)


def test_the_page_of_an_event_reads_nothing_else(clerk, log):
    """Its neighbours in the log and in its stream are one step away each."""
    alias = log.settings.options["using"]
    event = Event.objects.using(alias).get(log__name=log.name, position=COUNT // 2)
    address = reverse("admin:events_event_change", args=[event.pk]) + f"?log={log.name}"
    response, queries = asked(clerk, log, address)
    assert response.context["original"] == event
    assert len(queries) <= 12
    check(alias, queries)


def test_the_middle_is_reached_by_links(clerk, log):
    """Each Older leads to the next hundred, and is found by the index."""
    alias, path = log.settings.options["using"], reverse("admin:events_event_changelist")
    response, _queries = asked(clerk, log, f"{path}?log={log.name}")
    for number in range(5):
        assert shown(response)[0] == COUNT - 100 * number
        response, queries = asked(clerk, log, path + link(response, "next"))
        assert len(queries) <= 12
        check(alias, queries)


def test_an_export_reads_by_the_index(clerk, log):
    """Page after page of it."""
    alias, path = log.settings.options["using"], reverse("admin:events_event_export")
    for query in ("stream=run-42", "kind=job.failed"):
        _response, queries = asked(clerk, log, f"{path}?log={log.name}&{query}")
        check(alias, queries[:20])
