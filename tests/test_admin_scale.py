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

from benchmarks.long_log import PAGES, fill
from events.admin.events import wanted
from events.models import Event

from .support.databases import skip_unless
from .test_admin_keyset import link, shown, staff

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

COUNT = int(os.environ.get("EVENTS_SCALE", 50_000))


@pytest.fixture(params=["default", "postgres"])
def log(request, make_log, monkeypatch):
    """With spans that are to its length as they are to a million: a span that is as long as the
    table is rightly read from the table."""
    monkeypatch.setattr(wanted, "SPAN", wanted.SPAN * min(COUNT, 1_000_000) // 1_000_000)
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
        # SQLite takes one bound on each side to the index, and it may be the wrong one of two.
        if sql.count("SELECT") == 1:
            assert all(len(re.findall(f'"position" {side}', sql)) <= 1 for side in "<>"), sql
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
    """Each Older leads to the next fifty, and is found by the index."""
    alias, path = log.settings.options["using"], reverse("admin:events_event_changelist")
    response, _queries = asked(clerk, log, f"{path}?log={log.name}")
    for number in range(5):
        assert shown(response)[0] == COUNT - 50 * number
        response, queries = asked(clerk, log, path + link(response, "next"))
        assert len(queries) <= 12
        check(alias, queries)


def test_an_export_reads_by_the_index(clerk, log):
    """Page after page of it."""
    alias, path = log.settings.options["using"], reverse("admin:events_event_export")
    for query in ("stream=run-42", "kind=job.failed"):
        _response, queries = asked(clerk, log, f"{path}?log={log.name}&{query}")
        check(alias, queries[:20])
