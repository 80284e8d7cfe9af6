"""Celery's tasks as streams: with a real broker, and workers that end in each of the ways there are."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from .support.emitter import emitter
from .support.redis_server import running_redis
from .support.servers import ROOT, wait_until
from .support.sites import scratch_site

if not shutil.which("redis-server"):
    pytest.skip("redis-server is not installed", allow_module_level=True)

TASKS = "tests.support.celery_tasks"
IDLE = 1
WELL = ["stream.opened", "stream.completed"]
TAKEN = ["task.enqueued", "stream.opened", "task.started"]


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(autouse=True)
def no_flags(redis):
    redis.client.delete("go on")


@pytest.fixture(scope="module")
def site(redis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("celery")
    apps, tasks = ["events.contrib.celery"], {"IDLE_TIMEOUT": IDLE, "SKIP": ["*.skipped"]}
    with scratch_site(
        "postgres",
        folder,
        REDIS_URL=redis.url,
        SITE_APPS=json.dumps(apps),
        SITE_TASKS=json.dumps(tasks),
    ) as site:
        yield site


@pytest.fixture(scope="module")
def process(site):
    with emitter(site) as process:
        yield process


@contextmanager
def worker(site, queue="celery", **environment):
    """A worker and its children, in a process group of their own."""
    options = ["-c", "2", "-Q", queue, "-n", f"{queue}@%h", "--loglevel", "CRITICAL"]
    options += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", TASKS, "worker", *options],
        cwd=ROOT,
        env={**site.environment, **environment},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def working(site):
    with worker(site) as process:
        yield process


class Life:
    """A task's streams, as another process sees them."""

    def __init__(self, process, id):
        self.process, self.id, self.name = process, id, f"task:{id}"

    def events(self, attempt=None):
        name = self.name if attempt is None else f"{self.name}:{attempt}"
        events = self.process.do(f"list(log.stream({name!r}).read(limit=1000).entries)")
        return [event for event in events if event["kind"] != "task.progress"]

    def kinds(self, attempt=None):
        return [event["kind"] for event in self.events(attempt)]

    def reason(self, attempt=None):
        return self.events(attempt)[-1]["payload"].get("reason")

    def progress(self, attempt=1):
        name = f"{self.name}:{attempt}"
        page = f"log.stream({name!r}).read(limit=1000, kind='task.progress')"
        return [event["payload"] for event in self.process.do(f"list({page}.entries)")]

    def status(self, attempt=None):
        name = self.name if attempt is None else f"{self.name}:{attempt}"
        return self.process.do(f"log.stream({name!r}).status")

    def wait(self):
        wait_until(lambda: self.status() not in (None, "running"))
        return self


@pytest.fixture
def enqueue(process):
    """Have an expression evaluated in which `t` is the module of the tasks, that gives an id."""

    def enqueue(expression):
        module = f"__import__({TASKS!r}, fromlist=['app'])"
        return Life(process, process.do(f"(lambda t: {expression})({module})"))

    return enqueue


@pytest.mark.usefixtures("working")
class TestAWorker:
    def test_a_task_is_a_stream_and_each_attempt_one_of_its_own(self, enqueue):
        life = enqueue("t.build.delay(2).id").wait()
        assert life.kinds() == [*TAKEN, "stream.completed"]
        told, _, started, _ = life.events()
        assert told["payload"] == {"task": f"{TASKS}.build"}
        assert started["payload"]["stream"] == f"{life.name}:1"
        assert life.kinds(1) == WELL
        assert life.progress() == [
            {"done": 1, "total": 2, "file": "1.txt"},
            {"done": 2, "total": 2, "file": "2.txt"},
        ]

    @pytest.mark.parametrize("rolls_back", [False, True])
    def test_a_worker_may_be_faster_than_the_commit(self, enqueue, rolls_back):
        """That it was enqueued comes first, and once."""
        life = enqueue(f"t.in_transaction(1, {rolls_back})").wait()
        assert life.kinds() == [*TAKEN, "stream.completed"]

    def test_it_fails(self, enqueue):
        life = enqueue("t.fail.delay().id").wait()
        assert life.kinds() == [*TAKEN, "stream.failed"]
        assert life.reason() == life.reason(1) == "OSError: the disk is full"

    def test_it_is_retried(self, enqueue):
        """What ended an attempt is said before the next one begins."""
        life = enqueue("t.fail_twice.delay('twice').id").wait()
        again = ["task.retried", "task.started"]
        assert life.kinds() == [*TAKEN, *again, *again, "stream.completed"]
        assert [life.reason(attempt) for attempt in (1, 2)] == ["OSError: not yet"] * 2
        assert life.kinds(3) == WELL

    def test_it_is_stopped(self, enqueue, process):
        """By anybody, through its stream; and then is not retried, whatever it retries for."""
        life = enqueue("t.retried_for_anything.delay('never').id")
        wait_until(life.progress)
        process.do(f"log.stream({life.name!r}).stop('enough')")
        wait_until(lambda: life.status(1) == "stopped")
        assert life.kinds() == [*TAKEN, "stream.stopped"]
        # The one that is enqueued next is worked on, so the stopped one is not worked on any more.
        enqueue("t.build.delay(1).id").wait()
        assert life.status(2) is None

    def test_its_time_is_up(self, enqueue):
        """In the middle of a report, too: that raises what the limit raises."""
        soft, hard = enqueue("t.busy.delay().id"), enqueue("t.hang.delay().id")
        assert (
            soft.wait().reason()
            == soft.reason(1)
            == "SoftTimeLimitExceeded: SoftTimeLimitExceeded()"
        )
        assert hard.wait().reason() == hard.reason(1) == "TimeLimitExceeded: TimeLimitExceeded(1,)"

    def test_it_is_revoked(self, enqueue, process):
        life = enqueue("t.until.delay('never').id")
        wait_until(life.progress)
        enqueue(f"t.app.control.revoke({life.id!r}, terminate=True, signal='SIGKILL')")
        assert life.wait().reason() == life.reason(1) == "terminated"
        for _ in range(5):  # a worker may be faster than who enqueues it
            expired = enqueue("t.build.apply_async((1,), expires=-1).id").wait()
            assert expired.kinds() == ["task.enqueued", "stream.stopped"]
            assert expired.reason() == "expired"
        later = enqueue("t.build.apply_async((1,), countdown=1).id")
        assert set(later.events()[0]["payload"]) == {"task", "eta"}
        enqueue(f"t.app.control.revoke({later.id!r})")
        assert later.wait().kinds() == ["task.enqueued", "stream.stopped"]

    def test_an_ignored_task_ends_for_somebody_else_to_say(self, enqueue):
        life = enqueue("t.ignored.delay().id")
        wait_until(lambda: life.reason(1) == "ignored" if life.events(1) else False)
        assert life.status() == "running"

    def test_a_killed_child_is_noticed_and_the_task_goes_on(self, enqueue, process, redis):
        """Celery delivers the task again; the watchdog says what became of the attempt."""
        life = enqueue("t.until.delay('go on').id")
        wait_until(life.progress)
        os.kill(life.progress()[0]["pid"], signal.SIGKILL)
        wait_until(lambda: life.progress(2))
        wait_until(lambda: process.do("log.reconcile()") or life.status(1) == "failed")
        assert life.reason(1) == "idle_timeout"
        assert life.status(2) == life.status() == "running"
        redis.client.set("go on", 1)
        assert life.wait().kinds() == [*TAKEN, "task.started", "stream.completed"]
        assert life.kinds(2) == WELL

    def test_a_chord_works_as_ever(self, enqueue, process):
        """Each of its tasks is a stream, and what Celery enqueues for itself is none."""
        life = enqueue("t.whole_of([1, 2, 3]).id").wait()
        assert life.status() == "completed"
        enqueue("t.skipped.delay().get(timeout=20)")
        told = process.do("list(log.read(kind='task.enqueued', limit=1000).entries)")
        names = {event["payload"]["task"] for event in told}
        assert not [name for name in names if name.startswith("celery.") or "skipped" in name]


def test_a_killed_worker_is_noticed_and_the_task_goes_on(enqueue, site, process, redis):
    """All of its processes at once, so that none is left to say a word."""
    with worker(site, "whole") as first:
        life = enqueue("t.until.apply_async(('go on',), queue='whole').id")
        wait_until(life.progress)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    wait_until(lambda: process.do("log.reconcile()") or life.status(1) == "failed")
    assert life.reason(1) == "idle_timeout"
    redis.client.set("go on", 1)
    # Otherwise its broker would wait for an hour.
    with worker(site, "whole", VISIBILITY="1"):
        life.wait()
    assert life.kinds() == [*TAKEN, "task.started", "stream.completed"]
    assert life.kinds(2) == WELL
