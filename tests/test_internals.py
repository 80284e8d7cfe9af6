"""What other libraries do not promise, and the app relies on. A new version of one that changes it
fails here first, and says what."""

import asyncio
import json
import threading
import time
from argparse import ArgumentParser
from contextvars import ContextVar, copy_context
from inspect import unwrap

import pytest
import redis
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from channels.layers import InMemoryChannelLayer
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.db.models import Model, Value
from django.db.models.functions import Concat
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler
from django.http import HttpRequest, StreamingHttpResponse
from django.test import TestCase, TransactionTestCase
from rest_framework.request import Request

from events import internals

where = ContextVar("where", default="nowhere")


@pytest.fixture
async def waiting():
    """A task that awaits what is put into its queue, and its context."""
    queue = asyncio.Queue()

    async def work():
        where.set("in the task")
        queue.context = copy_context()
        while True:
            await (await queue.get())

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    yield task, queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("with_c", [True, False])
def test_compact_json(monkeypatch, with_c):
    """The same text as a `JSONEncoder`'s, and its errors; also where Python has no C."""
    if not with_c:
        monkeypatch.setattr("json.encoder.c_make_encoder", None)
    dumps = internals.compact_dumps()
    for value in ("é", [], {"a": [1, 2.5, None, True], "é\n": {}, "n": 10**20}):
        assert dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"a": float("nan")})
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        dumps({"a": set()})


class TestStartInTask:
    async def test_the_beginning_runs_as_the_task(self, waiting):
        """In its context and its name, and the caller is itself again."""
        task, queue = waiting
        seen = []

        async def begin():
            seen.append((asyncio.current_task(), where.get()))

        assert internals.start_in_task(begin(), task, queue.context) is None
        assert seen == [(task, "in the task")]
        assert asyncio.current_task() is not task
        assert where.get() == "nowhere"

    async def test_the_rest_is_awaited_by_the_task(self, waiting):
        """Where it had to wait, and in the same task."""
        task, queue = waiting
        opened, seen = asyncio.Event(), []

        async def begin():
            await opened.wait()
            await asyncio.sleep(0)
            seen.append(asyncio.current_task())

        queue.put_nowait(internals.start_in_task(begin(), task, queue.context))
        opened.set()
        async with asyncio.timeout(3):
            while not seen:
                await asyncio.sleep(0)
        assert seen == [task]

    async def test_a_timeout_begun_for_the_task_ends_the_task(self, waiting):
        """And not whoever began it."""
        task, queue = waiting

        async def begin():
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

        queue.put_nowait(internals.start_in_task(begin(), task, queue.context))
        await asyncio.wait([task])
        assert isinstance(task.exception(), TimeoutError)

    async def test_what_nobody_awaits_is_closed(self, waiting):
        """Its `finally` runs."""
        task, queue = waiting
        closed = []

        async def begin():
            try:
                await asyncio.Event().wait()
            finally:
                closed.append(True)

        rest = internals.start_in_task(begin(), task, queue.context)
        assert rest is not None
        del rest
        assert closed == [True]


class TestSyncCallers:
    async def test_an_event_loop_alone_has_none(self):
        """Nobody waits in a thread."""
        assert not internals.has_sync_caller()
        assert not internals.loop_has_sync_caller()

    def test_a_loop_made_for_a_synchronous_caller(self):
        """Also in a task that it starts."""

        async def look():
            return internals.has_sync_caller(), internals.loop_has_sync_caller()

        async def from_a_task():
            return await asyncio.create_task(look())

        assert async_to_sync(look)() == (True, True)
        assert async_to_sync(from_a_task)() == (True, True)

    async def test_a_synchronous_caller_within_a_loop(self):
        """The loop itself has none."""

        async def look():
            return internals.has_sync_caller(), internals.loop_has_sync_caller()

        assert await sync_to_async(async_to_sync(look))() == (True, False)

    async def test_a_request_gives_its_thread_back(self):
        """And gets a new one when it needs it."""
        async with ThreadSensitiveContext():
            first = await sync_to_async(threading.current_thread)()
            internals.release_request_thread()
            async with asyncio.timeout(3):
                while first.is_alive():
                    await asyncio.sleep(0.001)
            assert await sync_to_async(threading.current_thread)() is not first

    async def test_whether_a_request_has_a_thread(self):
        """It has one from its first synchronous code to its release."""
        async with ThreadSensitiveContext():
            assert not internals.request_has_thread()
            await sync_to_async(int)()
            assert internals.request_has_thread()
            internals.release_request_thread()
            assert not internals.request_has_thread()

    async def test_a_request_without_a_thread(self):
        """There is nothing to give back, within a request and without one."""
        internals.release_request_thread()
        async with ThreadSensitiveContext():
            internals.release_request_thread()


async def test_the_loop_of_those_who_read_from_a_layer():
    """It is known from the first time that somebody waits."""
    layer = InMemoryChannelLayer()
    channel = await layer.new_channel()
    reading = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0.01)
    assert internals.loop_of_readers(layer) is asyncio.get_running_loop()
    await layer.send(channel, {"type": "x"})
    await reading


def test_a_connection_that_is_silent(redis_server):
    """Not one that is closed, nor one on which an answer waits, nor one that the server has closed."""
    pool = redis.ConnectionPool.from_url(redis_server.url)
    connection, killer = pool.make_connection(), redis.Redis.from_url(redis_server.url)
    assert not internals.is_silent(connection)
    connection.connect()
    assert internals.is_silent(connection)
    connection.send_command("PING")
    connection.can_read(timeout=5)
    connection.disconnect()
    connection.connect()
    assert internals.is_silent(connection)
    connection.send_command("CLIENT", "ID")
    killer.client_kill_filter(_id=connection.read_response())
    deadline = time.monotonic() + 5
    while internals.is_silent(connection) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not internals.is_silent(connection)
    connection.disconnect()
    killer.close()


def test_a_response_whose_content_middleware_has_replaced():
    """It is told from one that goes out as it was made."""

    async def parts():
        yield b""

    content = parts()
    response = StreamingHttpResponse(content)
    assert internals.passes_untouched(response, content)
    response.streaming_content = parts()
    assert not internals.passes_untouched(response, content)


def test_djangos_own_request():
    """It is found within the one of Django REST framework."""
    request = HttpRequest()
    assert internals.django_request(Request(request)) is request


class InATestCase(TestCase):
    def test_its_own_blocks_are_told_from_a_callers(self):
        """A block within the test is the caller's."""
        assert internals.in_test_case_only(connection)
        with transaction.atomic():
            assert not internals.in_test_case_only(connection)
        assert internals.in_test_case_only(connection)


class InATransaction(TransactionTestCase):
    def test_what_waits_for_the_commit(self):
        """Without what a savepoint has taken back, and the latest first."""
        one, two, three = (lambda: None for _ in range(3))
        with transaction.atomic():
            transaction.on_commit(one)
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                transaction.on_commit(two)
                raise ZeroDivisionError
            transaction.on_commit(three, robust=True)
            assert [*internals.commit_hooks(connection)] == [three, one]
        assert not [*internals.commit_hooks(connection)]


@pytest.fixture
def statements(monkeypatch):
    """The statements that write groups: what is told of the model, the verb, and the keys."""
    seen = []

    def insert(told, compiler, write):
        answer = write()
        seen.append((told, "insert", internals.inserted_keys(compiler, answer)))
        return answer

    def change(told, compiler, write):
        verb = type(compiler).__name__.removeprefix("SQL").removesuffix("Compiler").lower()
        rows = internals.rows_to_write(compiler, Group).select_for_update()
        seen.append((told, verb, [row.pk for row in rows.order_by("pk")]))
        return write() if rows else None

    for compiler in (SQLInsertCompiler, SQLUpdateCompiler, SQLDeleteCompiler):
        for method in ("execute_sql", "execute_returning_sql"):
            if hasattr(compiler, method):
                monkeypatch.setattr(compiler, method, unwrap(getattr(compiler, method)))
    monkeypatch.setattr(Model, "_save_table", unwrap(Model._save_table))
    internals.watch_writes({Group: "told"}, insert, change, change)
    return seen


@pytest.mark.django_db
class TestWrites:
    def test_each_statement_passes_by_once(self, statements):
        """Whatever writes it; and of no other model."""
        one = Group.objects.create(name="one")
        one.name = "two"
        one.save()
        Group.objects.filter(pk=one.pk).delete()
        Permission.objects.update(name="x")
        assert statements == [("told", verb, [one.pk]) for verb in ("insert", "update", "delete")]

    def test_fixtures_do_not(self, statements):
        """Neither new rows nor changed ones."""
        for name in ("one", "two"):
            Group(pk=1, name=name).save_base(raw=True)
        assert Group.objects.get().name == "two"
        assert not statements

    def test_what_was_not_executed_has_an_answer(self, statements):
        """Of the kind that Django expects."""
        assert Group.objects.filter(name="nobody").update(name="x") == 0
        assert statements == [("told", "update", [])]

    def test_the_keys_of_what_was_inserted(self, statements):
        """As they were given or the database has answered; unknown where a row may be skipped."""
        Group.objects.bulk_create([Group(pk=70, name="a"), Group(pk=71, name="b")])
        Group.objects.bulk_create([Group(pk=72, name="a")], ignore_conflicts=True)
        assert [keys for _, _, keys in statements] == [[70, 71], []]

    def test_the_rows_that_a_statement_will_write(self, statements):
        """Also of one that orders, or joins."""
        Group.objects.bulk_create([Group(pk=70, name="a"), Group(pk=71, name="b")])
        permission = Permission.objects.first()
        Group.objects.get(pk=71).permissions.add(permission)
        Group.objects.order_by("-name").update(name=Concat("name", Value("!")))
        Group.objects.filter(permissions__name=permission.name).delete()
        assert ("told", "update", [70, 71]) in statements
        assert ("told", "delete", [71]) in statements


def test_a_time_ago_is_a_value():
    """And no option of the parser's."""
    parser = ArgumentParser()
    parser.add_argument("--since")
    parser.add_argument("--no-follow", action="store_true")
    internals.take_times_ago(parser)
    assert parser.parse_args(["--since", "-15m", "--no-follow"]).since == "-15m"
    with pytest.raises(SystemExit):
        parser.parse_args(["--since", "--no-follow"])


@pytest.mark.django_db
def test_a_statement_that_is_made_once():
    """As a text and its parameters, of a SELECT and of an UPDATE."""
    group = Group.objects.create(name="a")
    rows = Group.objects.using("default").filter(pk=group.pk)
    with connection.cursor() as cursor:
        cursor.execute(*internals.compiled(rows, name="b"))
        cursor.execute(*internals.compiled(rows.values_list("name")))
        assert cursor.fetchall() == [("b",)]
