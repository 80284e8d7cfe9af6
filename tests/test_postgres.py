"""What only the PostgreSQL path does: prepared statements, and arrays as text."""

import asyncio
import os
import threading

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from events import prepared
from events.backends.database import notices
from events.backends.database.dialects import array
from events.live.tail import follow

from .support.connections import next_batch
from .test_notices import LISTENERS

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def log(make_log):
    return make_log("postgres")


@pytest.fixture
def statements():
    """The SQL that the connection runs, as it is run."""
    seen = []

    def spy(execute, sql, params, many, context):
        seen.append(sql.split(None, 1)[0])
        return execute(sql, params, many, context)

    connection = connections["postgres"]
    connection.close()
    with connection.execute_wrapper(spy):
        yield seen


def sql(text):
    with connections["postgres"].cursor() as cursor:
        cursor.execute(text)


def test_a_connection_that_lives_prepares_its_appends(log, statements):
    """B14: after a few plain ones."""
    log.append("n")
    statements.clear()
    for _ in range(prepared.PLAIN_USES + 3):
        log.append("n")
    plain, prepare, execute = (statements.count(verb) for verb in ("WITH", "PREPARE", "EXECUTE"))
    assert (plain, prepare, execute) == (prepared.PLAIN_USES - 1, 1, 4)
    assert [e.position for e in log.read().entries] == list(range(1, prepared.PLAIN_USES + 5))


def test_an_append_sends_no_notice_itself(log):
    """A commit after a NOTIFY takes a lock of the whole server: another connection sends it, alone."""
    connection = connections["postgres"]
    with CaptureQueriesContext(connection) as queries:
        log.append("n")
        log.append_many([("n",)] * 2)
        with transaction.atomic(using="postgres"):
            log.append("n")
            log.append("n", stream="s")
    assert any("events_outbox" in one["sql"] for one in queries)
    assert not [one for one in queries if "notify" in one["sql"].lower()]


def test_a_listener_that_is_cut_off_listens_anew(log):
    """And looks at once: what was told meanwhile is told to nobody again."""
    heard = threading.Event()
    forget = notices.hear("postgres", log.name, heard.set)
    try:
        for _ in range(3):
            assert heard.wait(5), "nobody looks when it has begun to listen"
            heard.clear()
            sql(f"SELECT pg_notify('{notices.CHANNEL}', '{log.name}')")
            assert heard.wait(5), "nobody listens"
            heard.clear()
            sql(f"SELECT pg_terminate_backend(pid) {LISTENERS}")
    finally:
        thread = notices._ears[os.getpid(), "postgres"].thread
        forget()
        thread.join(5)
    assert not thread.is_alive()


def test_a_session_that_forgets_loses_nothing(log, statements):
    """B14: behind a pooler a statement may be unknown to the next session."""
    for _ in range(prepared.PLAIN_USES + 3):
        log.append("n", stream="s")
    sql("DEALLOCATE ALL")
    for _ in range(3):
        log.append("n", stream="s")
    entries = log.read().entries
    assert [(e.position, e.seq) for e in entries] == [
        (n, n) for n in range(1, prepared.PLAIN_USES + 7)
    ]
    assert statements.count("EXECUTE") >= 2


def test_a_name_that_is_taken_is_ours(log, statements):
    """B14: it has a digest of the text, so it can only be the same statement."""
    for _ in range(prepared.PLAIN_USES + 2):
        log.append("n")
    prepared._uses.clear()
    for _ in range(prepared.PLAIN_USES + 2):
        log.append("n")
    assert log.info().head == 2 * (prepared.PLAIN_USES + 2)


@pytest.mark.parametrize(
    "text", ["", '"', "\\", '\\"', "NULL", "{a,b}", "a,b", " x ", "é😀", "\n\t", "'", "%s", "$1"]
)
def test_texts_survive_every_path(log, text):
    """B16: whatever they are made of; by EXECUTE, by unnest and by the outbox."""
    for _ in range(prepared.PLAIN_USES + 1):
        log.append("warm")
    head = log.info().head
    log.append("n", {"text": text}, key=f"a{text}")
    log.append_many([{"kind": "n", "payload": {"text": text}, "key": f"b{text}"}, ("n", {})])
    first, second, _ = log.read(head).entries
    assert first.payload == second.payload == {"text": text}
    assert (first.key, second.key) == (f"a{text}", f"b{text}")


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "{}"), ([1, None], "{1,NULL}"), (["NULL", 'a"b\\c'], '{"NULL","a\\"b\\\\c"}')],
)
def test_arrays(values, text):
    assert array(values) == text


@pytest.mark.parametrize("option", ["server_side_binding"])
def test_other_ways_to_bind(log, option):
    """B14: the values go another way, the entries are the same."""
    connection = connections["postgres"]
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    connection.settings_dict["OPTIONS"] = {**options, option: True}
    try:
        for n in range(prepared.PLAIN_USES + 2):
            log.append("n", {"n": n}, stream="s", key=f"k{n}")
        log.append_many([{"kind": "n", "payload": {"a": '"\\'}, "stream": "t"}] * 3)
        assert log.read(stream="t").entries[0].payload == {"a": '"\\'}
        assert log.info().head == prepared.PLAIN_USES + 5
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"] = options


class TestAPoolOfOne:
    """B34: whoever follows or emits gives its connection back. One that kept it would, with the pool
    of four that Django makes, leave nothing for a site with two logs that somebody follows."""

    @pytest.fixture
    def log(self, log, monkeypatch):
        """For threads that begin now."""
        config = connections.settings["postgres"]
        pool = {"min_size": 1, "max_size": 1, "timeout": 2}
        pooled = {**config, "OPTIONS": {**config["OPTIONS"], "pool": pool}}
        monkeypatch.setitem(connections.settings, "postgres", pooled)
        yield log
        connections.create_connection("postgres").close_pool()

    @staticmethod
    def append(log):
        try:
            return log.append("n").position
        finally:
            connections.close_all()

    async def test_followers(self, log):
        async with follow(log.backend, log.query()) as tail:
            while not tail.live:
                await next_batch(tail)
            for position in range(1, 4):
                assert await asyncio.to_thread(self.append, log) == position
                batch = await next_batch(tail, 5)
                assert [entry.position for entry in batch.entries] == [position]
        async with follow(log.backend, log.query(0)) as tail:
            await next_batch(tail)
            assert len((await next_batch(tail, 5)).entries) == 3  # from the log
            assert await asyncio.to_thread(self.append, log) == 4

    async def test_emitters(self, log):
        assert (await log.aappend("n")).position == 1
        assert await asyncio.wait_for(asyncio.to_thread(self.append, log), 0.5) == 2


def test_a_plan_that_has_changed(log):
    """B7: a migration beside a server that lives on."""
    log.append("n")
    for _ in range(prepared.PLAIN_USES + 2):
        log.read()
    with connections["postgres"].cursor() as cursor:
        cursor.execute("ALTER TABLE events_event ALTER COLUMN kind TYPE varchar(120)")
    try:
        assert [e.kind for e in log.read().entries] == ["n"]
        assert [e.kind for e in log.read().entries] == ["n"]
    finally:
        with connections["postgres"].cursor() as cursor:
            cursor.execute("ALTER TABLE events_event ALTER COLUMN kind TYPE varchar(100)")
