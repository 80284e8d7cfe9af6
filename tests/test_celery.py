"""Events that are emitted in Celery's workers, with a real broker and real workers."""

import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from .support.redis_server import running_redis
from .support.servers import ROOT, wait_until
from .support.sites import scratch_site

if not shutil.which("redis-server"):
    pytest.skip("redis-server is not installed", allow_module_level=True)

APP = "tests.support.celery_app"
TIMES = 20
LOOK = """
from events import logs
for entry in logs["default"].read(limit=1000).entries:
    print(entry.payload["actor"], entry.context.get("actor"))
"""


@contextmanager
def worker(site, pool):
    command = ["-m", "celery", "-A", APP, "worker", "-P", pool, "-c", "3", "--loglevel", "CRITICAL"]
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=site.environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_has_the_context_that_it_sets(tmp_path, pool):
    """And never that of another task of its process, of one that failed, or of its caller."""
    with running_redis(tmp_path) as redis, scratch_site(
        "postgres", tmp_path, REDIS_URL=redis.url
    ) as site, worker(site, pool) as process:  # fmt: skip
        site.manage("shell", "-v0", "-c", f"from {APP} import play; play({TIMES})")

        def pairs():
            return site.manage("shell", "-v0", "-c", LOOK).splitlines()

        wait_until(lambda: len(pairs()) >= TIMES * 5, process)
        found = sorted(pairs())
    expected = ["None None"] * TIMES * 2 + [f"f{n} f{n}" for n in range(TIMES)]
    assert found == sorted(expected + [f"a{n} a{n}" for n in range(TIMES)] * 2)
