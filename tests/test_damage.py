"""Pages of many bytes, and rows that somebody has changed by hand."""

import asyncio
import json
import logging

import pytest
from django.db import connections

from events.exceptions import CursorExpired
from events.live.tail import follow
from events.types import Gap
from events.wire import PAGE_BYTES

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

PATIENCE = 10


@pytest.fixture(params=["default", "postgres", "mariadb"])
def log(request, make_log):
    return make_log(request.param, POLL_INTERVAL=0.05)


def change(log, position, **values):
    """As somebody would by hand."""
    [(column, value)] = values.items()
    with connections[log.backend.alias].cursor() as cursor:
        cursor.execute(
            f"UPDATE events_event SET {column} = %s WHERE position = %s AND log_id = "
            "(SELECT id FROM events_log WHERE name = %s)",
            [value, position, log.name],
        )


def gap(position):
    return Gap("unreadable", position - 1, position + 1, 1)


DAMAGE = {
    "broken": {"payload": '{"n": '},
    "unquoted": {"payload": "{n: 1}"},
    "empty": {"payload": ""},
    "list": {"payload": "[]"},
    "year 60000": {"timestamp": 1_830_000_000_000_000_000},
}


@pytest.fixture
def damage():
    return "broken"


@pytest.fixture
def damaged(log, damage):
    """Ten entries, of which the fourth cannot be read."""
    log.append_many([{"kind": "n", "payload": {"n": n}, "stream": "run"} for n in range(1, 11)])
    change(log, 4, **DAMAGE[damage])
    return log


class TestLargePages:
    def test_ndjson_goes_on_past_a_page(self, log, get):
        """With `limit`, as many lines as were asked for; the header says where that is."""
        log.append_many([("n", {"text": "x" * 60_000})] * 300)
        answer = get(format="ndjson", limit=290)
        lines = b"".join(answer.streaming_content).splitlines()
        assert len(lines) == 290
        assert answer["X-Events-Last-Idx"] == "290"

    def test_a_page_has_a_next(self, log, get, client):
        """Whoever follows it gets all, and nothing twice."""
        log.append_many([("n", {"text": "x" * 60_000})] * 150)
        page, seen = get(limit=1000), []
        while True:
            assert len(page.content) <= PAGE_BYTES + 200
            seen += [entry["position"] for entry in page.json()["results"]]
            if page.json()["next"] is None:
                break
            page = client.get(page.json()["next"])
        assert seen == [*range(1, 151)]

    async def test_a_tail_is_not_live_before_it_has_all(self, log):
        """No reader takes the end of a page for the head."""
        await log.aappend_many([("n", {"text": "x" * 60_000})] * 300)
        seen = []
        async with asyncio.timeout(PATIENCE), follow(log.backend, log.query(0)) as tail:
            async for batch in tail:
                seen += [entry.position for entry in batch.entries]
                if batch.live:
                    break
        assert seen == [*range(1, 301)]


class TestUnreadable:
    @pytest.mark.parametrize("damage", DAMAGE)
    def test_a_read_passes_it(self, damaged, caplog):
        """The page before ends there, the next begins with the gap; one line says so."""
        first = damaged.read()
        assert [entry.position for entry in first.entries] == [1, 2, 3]
        assert (first.cursor, first.gap) == (3, None)
        second = damaged.read(first.cursor)
        assert second.gap == gap(4)
        assert [entry.position for entry in second.entries] == [5, 6, 7, 8, 9, 10]
        assert second.cursor == second.head == 10
        assert damaged.read(4).gap is None
        [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "position 4 cannot be read" in record.getMessage()

    def test_by_itself(self, damaged):
        """A page that would have had it alone."""
        page = damaged.read(3, 1)
        assert (page.entries, page.cursor, page.gap) == ([], 4, gap(4))

    def test_whom_it_does_not_concern(self, damaged):
        """A filter that it does not fit hides the gap as well."""
        damaged.append("other")
        assert damaged.read(0, kind="other").gap is None
        assert damaged.read(0, kind="n").cursor == 3

    def test_after_a_gap_of_another_kind(self, damaged):
        """One gap at a time."""
        damaged.prune(max_entries=7)
        page = damaged.read(1)
        assert page.gap.reason == "pruned"
        damaged.prune(max_entries=6)
        assert damaged.read(1).gap.first_available == 5

    def test_the_oldest_that_is_left(self, damaged):
        """Two gaps follow each other, in two pages."""
        change(damaged, 8, payload="{")
        damaged.prune(max_entries=3)
        page = damaged.read(1)
        assert (page.gap.reason, page.entries, page.cursor) == ("pruned", [], 7)
        assert damaged.read(7).gap == gap(8)
        assert damaged.read("earliest").gap == gap(8)

    def test_in_pages_over_http(self, damaged, get, client):
        """`next` leads past it, and whoever is strict is told with 410."""
        page, seen, gaps = get(limit=2).json(), [], []
        while True:
            seen += [entry["position"] for entry in page["results"]]
            gaps += [page["gap"]] if page["gap"] else []
            if page["next"] is None:
                break
            page = client.get(page["next"]).json()
        assert seen == [1, 2, 3, 5, 6, 7, 8, 9, 10]
        assert gaps == [gap(4).to_dict()]
        strict = get(since=3, on_gap="error")
        assert strict.status_code == 410
        assert strict.json()["gap"] == gap(4).to_dict()
        assert strict["X-Events-Last-Idx"] == "4"

    @pytest.mark.parametrize("limit", [{}, {"limit": 7}])
    def test_an_export_is_broken_off(self, damaged, get, limit):
        """It is never silently short."""
        answer, lines = get(format="ndjson", **limit), []
        with pytest.raises(CursorExpired):
            lines += answer.streaming_content
        assert b"".join(lines).count(b"\n") == 3

    def test_an_export_after_it(self, damaged, get):
        """A gap at the start is in the header."""
        answer = get(format="ndjson", since=3)
        assert json.loads(answer["X-Events-Gap"]) == gap(4).to_dict()
        assert b"".join(answer.streaming_content).count(b"\n") == 6

    async def test_a_tail_can_be_resumed_behind_it(self, damaged):
        """Where the gap says."""
        seen = []
        with pytest.raises(CursorExpired) as raised:
            async for entry in damaged.tail(0):
                seen.append(entry.position)
        assert raised.value.gap == gap(4)
        async for entry in damaged.tail(raised.value.gap.first_available - 1):
            seen.append(entry.position)
            if entry.position == 10:
                break
        assert seen == [1, 2, 3, 5, 6, 7, 8, 9, 10]

    async def test_a_tail_may_skip_it(self, damaged):
        """13.7"""
        seen = []
        async for entry in damaged.tail(0, on_gap="skip"):
            seen.append(entry.position)
            if entry.position == 10:
                break
        assert seen == [1, 2, 3, 5, 6, 7, 8, 9, 10]

    async def test_a_damaged_stream_silences_nobody(self, log):
        """Whoever follows it, or another one, hears what comes."""
        await log.aappend("n", stream="run")
        await log.aappend("n", stream="other")
        await asyncio.to_thread(damage_stream, log, "run")
        for name in ("run", "other"):
            seen = []
            async with asyncio.timeout(PATIENCE):
                async for entry in log.tail(0, stream=name):
                    seen.append(entry.stream)
                    if len(seen) == 2:
                        break
                    await log.aappend("n", stream=name)
            assert seen == [name, name]

    async def test_who_is_connected_hears_what_comes_after_it(self, log):
        """The broker goes on, and tells of the gap in its place."""
        await log.aappend("n")
        seen = []
        async with asyncio.timeout(PATIENCE), follow(log.backend, log.query(0)) as tail:
            async for batch in tail:
                seen += [batch.gap] if batch.gap else []
                seen += [entry.position for entry in batch.entries]
                if batch.live:
                    await asyncio.to_thread(append_by_hand, log)
                    await log.aappend("n")
                if seen and seen[-1] == 3:
                    break
        assert seen == [1, gap(2), 3]

    def test_an_object_in_somebody_elses_hand(self, log, get):
        """White space is no damage, and breaks no line."""
        log.append("n")
        change(log, 1, payload='{\n  "n": 1\n}')
        assert log.read().entries[0].payload == {"n": 1}
        assert get().json()["results"][0]["payload"] == {"n": 1}
        lines = b"".join(get(format="ndjson").streaming_content).splitlines()
        assert len(lines) == 1

    def test_what_only_a_parser_finds(self, log):
        """Python parses each payload."""
        log.append_many([("n", {})] * 3)
        change(log, 2, payload='{"n" 1}')
        assert [entry.position for entry in log.read().entries] == [1]
        assert log.read(1).gap == gap(2)


def damage_stream(log, name):
    try:
        with connections[log.backend.alias].cursor() as cursor:
            cursor.execute(
                "UPDATE events_stream SET last_event_at = %s, opened_at = %s WHERE name = %s",
                [1_830_000_000_000_000_000, -(10**18), name],
            )
        assert len(log.backend.streams(10)) == 2
    finally:
        connections.close_all()


def append_by_hand(log):
    """A `stream.deleted` that names no stream, as no verb of ours writes it."""
    try:
        with connections[log.backend.alias].cursor() as cursor:
            cursor.execute(
                "INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload)"
                " SELECT id, head + 1, 'stream.deleted', '', 0, latest, '[]' FROM events_log "
                "WHERE name = %s",
                [log.name],
            )
            cursor.execute("UPDATE events_log SET head = head + 1 WHERE name = %s", [log.name])
    finally:
        connections.close_all()
