"""Background tasks as streams: what is told of them, and what becomes of it when the log is away."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from celery.app.task import Context
from django.conf import settings as settings_of_tests
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from events import logs
from events.contrib import celery, checks, tasks
from events.contrib.django_tasks import TaskStopped, progress, reports, stream_of
from events.streams import StreamHandle

from .support import celery_away, jobs
from .support.emitter import emitter
from .support.servers import ROOT, wait_until
from .support.sites import db_worker, scratch_site

IMMEDIATE = f"{jobs.task.__module__.rpartition('.')[0]}.backends.immediate.ImmediateBackend"
TAKEN = ["task.enqueued", "stream.opened", "task.started"]
NOWHERE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": "127.0.0.1",
    "PORT": 1,
    "NAME": "x",
    "TEST": {"MIRROR": "default"},
}


@pytest.fixture
def at_once(settings):
    """Tasks run where they are enqueued."""
    settings.TASKS = {"default": {"BACKEND": IMMEDIATE}}


@pytest.fixture(autouse=True)
def no_task():
    """Whatever a test has begun and not left."""
    token = tasks._current.set(None)
    yield
    tasks._current.reset(token)


def kinds(name):
    return [entry.kind for entry in logs["default"].stream(name).read().entries]


def payloads(name, kind):
    return [entry.payload for entry in logs["default"].stream(name).read(kind=kind).entries]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once")
class TestDjangosTasks:
    def test_a_task_is_a_stream_and_each_attempt_one_of_its_own(self):
        name = stream_of(jobs.build.enqueue(2).id)
        assert kinds(name) == [*TAKEN, "stream.completed"]
        assert kinds(f"{name}:1") == ["stream.opened", *["task.progress"] * 2, "stream.completed"]
        [enqueued] = payloads(name, "task.enqueued")
        assert enqueued == {"task": "tests.support.jobs.build"}
        [started] = payloads(name, "task.started")
        assert (started["attempt"], started["stream"]) == (1, f"{name}:1")
        first, _ = payloads(f"{name}:1", "task.progress")
        assert first == {"done": 1, "total": 2, "file": "1.txt"}

    def test_it_fails_with_its_error(self):
        name = stream_of(jobs.fail.enqueue().id)
        [failed], [attempt] = (payloads(one, "stream.failed") for one in (name, f"{name}:1"))
        assert failed == attempt == {"reason": "OSError: the disk is full"}

    def test_a_transaction_decides(self):
        """What is enqueued and done in one that is rolled back has never been."""
        with transaction.atomic():
            kept = jobs.build.enqueue(1)
        assert kinds(stream_of(kept.id)) == [*TAKEN, "stream.completed"]
        with transaction.atomic():
            undone = jobs.build.enqueue(1)
            transaction.set_rollback(True)
        assert kinds(stream_of(undone.id)) == []

    async def test_an_asynchronous_task(self):
        result = await jobs.build_async.aenqueue(3)
        page = await logs["default"].stream(f"{stream_of(result.id)}:1").aread(kind="task.progress")
        assert [entry.payload for entry in page.entries] == [{"done": 3, "total": 3}]

    def test_a_task_within_a_task_tells_of_itself(self):
        name = stream_of(jobs.outer.enqueue().id)
        assert len(payloads(f"{name}:1", "task.progress")) == 2
        assert tasks._current.get() is None

    def test_what_is_skipped(self, settings):
        settings.EVENTS_TASKS = {"SKIP": ["tests.support.*"]}
        assert kinds(stream_of(jobs.build.enqueue(1).id)) == []

    def test_outside_of_a_task_there_is_nothing_to_tell(self):
        head = logs["default"].info().head
        jobs.build.call(3)
        progress(1, 2)
        assert logs["default"].info().head == head

    def test_an_odd_payload_does_no_harm(self, caplog):
        """It is told of in the log file, and the task goes on."""
        task = tasks.Task("odd")
        task.started(1, None)
        progress(1, 2, when=datetime.now(UTC))
        progress(2, 2)
        task.completed()
        task.leave()
        assert "must not" in caplog.text or "InvalidEvent" in caplog.text
        assert payloads("task:odd:1", "task.progress") == [{"done": 2, "total": 2}]


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.usefixtures("at_once")
class TestWhatTheDatabaseRefuses:
    @pytest.fixture
    def log(self, make_log, settings, monkeypatch):
        log = make_log("postgres")
        settings.EVENTS_TASKS = {"LOG": log.name}
        monkeypatch.setattr(StreamHandle, "emit", self.emit)
        return log

    def emit(self, *args, **kwargs):
        connections["postgres"].cursor().execute("SELECT nothing FROM nowhere")

    def test_it_breaks_no_transaction(self, log, caplog):
        with transaction.atomic(using="postgres"):
            log.append("n", {"n": 1})
            jobs.build.enqueue(1)
            log.append("n", {"n": 2})
        assert [entry.payload["n"] for entry in log.read(kind="n").entries] == [1, 2]
        assert "its report could not be stored" in caplog.text

    def test_a_connection_that_was_cut_is_made_anew(self, log, monkeypatch, caplog):
        """As by a database that was restarted between two tasks."""
        monkeypatch.undo()
        task = tasks.Task("7")
        task.log, task.life = log, log.stream("task:7")
        pid = connections["postgres"].cursor().execute("SELECT pg_backend_pid()").fetchone()[0]
        with psycopg.connect(settings_of_tests.URLS["postgres"], autocommit=True) as server:
            server.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        task.completed()
        assert task.life.status == "completed"
        assert not caplog.text


@pytest.mark.django_db(transaction=True)
class TestAttempts:
    def test_a_task_that_is_delivered_again_begins_another(self):
        """Also while the first one is still at work: whoever opens a stream has it."""
        one, other = tasks.Task("7"), tasks.Task("7")
        one.started(1, "a")
        other.started(1, "b")
        assert (one.number, other.number) == (1, 2)
        assert [told["worker"] for told in payloads("task:7", "task.started")] == ["a", "b"]

    def test_who_was_taken_for_dead_goes_on_as_the_next(self, settings):
        task = tasks.Task("7")
        task.started(1, None)
        task.attempt.fail("idle_timeout")
        task.progress({"done": 1, "total": 2})
        task.completed()
        assert kinds("task:7:2") == ["stream.opened", "task.progress", "stream.completed"]
        assert kinds("task:7") == [*TAKEN[1:], "task.started", "stream.completed"]

    def test_a_task_is_stopped_through_either_stream(self):
        for name in ("task:7", "task:8:1"):
            task = tasks.Task(name[5])
            task.started(1, None)
            logs["default"].stream(name).stop("enough")
            with pytest.raises(TaskStopped):
                task.progress({"done": 1})
            task.failed("TaskStopped")
            assert task.life.status == task.attempt.status == "stopped"

    def test_one_that_has_ended_says_no_more(self, caplog):
        """Of one that is delivered once more, a line in the log file tells."""
        for _ in range(2):
            task = tasks.Task("7")
            task.enqueued("build")
            task.started(1, None)
            task.completed()
        assert kinds("task:7") == [*TAKEN, "stream.completed"]
        assert kinds("task:7:2") == ["stream.opened", "stream.completed"]
        assert "it has completed" in caplog.text

    def test_a_task_may_expire_before_it_is_said_to_be_enqueued(self):
        """That is said first all the same, and once."""
        task, request = celery_away.add, Context(id="7", retries=0, eta=None)
        celery.reports.revoked(task, request, terminated=False, expired=True)
        celery.reports.published(task.name, {"id": "7", "retries": 0, "eta": None})
        assert kinds("task:7") == ["task.enqueued", "stream.stopped"]

    def test_an_attempt_is_given_the_time_that_the_settings_say(self, settings):
        settings.EVENTS_TASKS = {"IDLE_TIMEOUT": 0.001}
        task = tasks.Task("7")
        task.started(1, None)
        wait_until(lambda: logs["default"].reconcile() == ["task:7:1"])

    def test_when_it_is_to_begin_is_one_text(self, settings):
        """Whatever zone a database gives it back in, or the key would be in conflict."""

        class Result:
            task = type("Task", (), {"module_path": "build", "run_after": None})
            id = "7"

        for offset in (0, 2):
            moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(0)
            zone = __import__("datetime").timezone(timedelta(hours=offset))
            Result.task.run_after = moment.astimezone(zone)
            reports.say_enqueued(tasks.Task("7"), Result)
        [told] = payloads("task:7", "task.enqueued")
        assert told == {"task": "build", "eta": "2026-01-01T12:00:00+00:00"}


class TestWithoutItsLog:
    """A database that does not answer."""

    def test_a_task_goes_on(self, tmp_path):
        """Enqueued, taken, at work and done; and the log file says so each time."""
        code = (
            "from tests.support.jobs import build; from tests.support.celery_away import add;"
            "print(build.enqueue(1).status, add.apply((1, 2)).get())"
        )
        apps, where = ["events.contrib.celery"], {"LOG": "away"}
        with scratch_site(
            "sqlite",
            tmp_path,
            SITE_APPS=json.dumps(apps),
            SITE_TASKS=json.dumps(where),
            SITE_AWAY=json.dumps(NOWHERE),
            SITE_TASK_BACKEND=IMMEDIATE,
        ) as site:
            done = subprocess.run(
                [sys.executable, "manage.py", "shell", "-v0", "-c", code],
                cwd=ROOT,
                env=site.environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert done.stdout.split() == ["SUCCESSFUL", "3"], done.stderr
        assert done.stderr.count("its report could not be stored") > 6


def test_checks(settings):
    """Wrong settings are errors, and what nobody can see is a warning."""

    def ids(**given):
        settings.EVENTS_TASKS = given
        return [message.id for message in checks.check_tasks()]

    assert ids() == ids(LOG="default", IDLE_TIMEOUT=None, SKIP=["a.*"]) == []
    assert ids(LOG="other") == ids(IDLE_TIMEOUT=-1) == ids(SKIP="a.*") == ["events_tasks.E001"]
    assert ids(IDEL_TIMEOUT=3) == ["events_tasks.W001"]
    settings.EVENTS = {"default": {"BACKEND": "memory"}}
    assert ids() == ["events_tasks.W002"]
    settings.EVENTS_TASKS = []
    assert [message.id for message in checks.check_tasks()] == ["events_tasks.E001"]


def test_what_is_needed_is_said(monkeypatch):
    monkeypatch.setattr(reports, "is_there", lambda name: False)
    with pytest.raises(ImproperlyConfigured, match="django-tasks"):
        reports.connect()


def test_a_killed_worker_is_noticed_and_the_task_goes_on(tmp_path):
    """When somebody says so: this worker leaves a dead one's tasks alone."""
    flag = tmp_path / "flag"
    with scratch_site(
        "postgres",
        tmp_path,
        SITE_TASKS=json.dumps({"IDLE_TIMEOUT": 1}),
    ) as site, emitter(site) as process:  # fmt: skip

        def told(name, kind=None):
            page = f"log.stream({name!r}).read(kind={kind!r}, limit=1000)"
            return process.do(f"list({page}.entries)")

        def status(name):
            return process.do(f"log.stream({name!r}).status")

        jobs_ = "__import__('tests.support.jobs', fromlist=['x'])"
        name = stream_of(process.do(f"{jobs_}.until.enqueue({str(flag)!r}).id"))
        assert [event["kind"] for event in told(name)] == ["task.enqueued"]
        with db_worker(site) as worker:
            wait_until(lambda: told(f"{name}:1", "task.progress"), worker)
            worker.send_signal(signal.SIGKILL)
        wait_until(lambda: process.do("log.reconcile()") or status(f"{name}:1") == "failed")
        assert told(f"{name}:1")[-1]["payload"] == {"reason": "idle_timeout"}
        assert status(name) == "running"
        flag.touch()
        model = "__import__('django_tasks_db.models', fromlist=['x']).DBTaskResult.objects"
        process.do(f"{model}.update(status='READY')")
        with db_worker(site) as worker:
            wait_until(lambda: status(name) == "completed", worker)
        assert [event["kind"] for event in told(name)] == [
            *TAKEN,
            "task.started",
            "stream.completed",
        ]
        assert status(f"{name}:2") == "completed"
