"""PostgreSQL behind pgbouncer in transaction mode: every transaction may get another session."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from .support.live_clients import event_stream
from .support.servers import ROOT, Site, free_port, wait_until
from .support.sites import scratch_site

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
if not PGBOUNCER:
    pytest.skip("pgbouncer is not installed", allow_module_level=True)

CONFIGURATION = """[databases]
* = host={host} port={port} user={user} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""

# It says what was acknowledged, a line each. More than enough to be killed in the middle.
WRITE = """
import itertools
from django.db import transaction
from events import emit, logs
for n in itertools.count():
    ids = [f"{writer}-{n}-{m}" for m in range(3)]
    if n % 3 == 0:
        emit("n", {"id": ids[0]}, stream=writer, key=ids[0])
        emit("n", {"id": ids[0]}, stream=writer, key=ids[0])
        ids = ids[:1]
    elif n % 3 == 1:
        with transaction.atomic():
            for id in ids:
                emit("n", {"id": id}, stream="shared")
    else:
        with logs["default"].stream(ids[0]) as run:
            for id in ids:
                run.emit("n", {"id": id})
    print(*ids, flush=True)
"""


@contextmanager
def pooled(site, folder):
    """The same site, whose connections go through a pgbouncer with three to PostgreSQL."""
    server, listen = urlsplit(site.environment["DATABASE_URL"]), free_port()
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=server.hostname, port=server.port or 5432, user=server.username,
            password=f"password='{server.password}'" if server.password else "", listen=listen,
        )
    )  # fmt: skip
    # It refuses to be root.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    folder.chmod(0o755)
    process = subprocess.Popen([PGBOUNCER, "-q", *user, "pgbouncer.ini"], cwd=folder)
    try:
        wait_until(lambda: listens(listen), process)
        yield Site(f"postgres://any@127.0.0.1:{listen}{server.path}")
    finally:
        process.kill()
        process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Writer:
    def __init__(self, site, name):
        code = f"writer = {name!r}{WRITE}"
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v0", "-c", code],
            cwd=ROOT, env=site.environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.acknowledged = []

    def wait_for(self, count):
        while len(self.acknowledged) < count:
            line = self.process.stdout.readline()
            assert line, "a writer has ended"
            self.acknowledged += line.split()

    def kill(self):
        """Whatever it is doing; what it has said before counts."""
        self.process.kill()
        for line in self.process.stdout:
            # The last line may have been cut off.
            self.acknowledged += line.split() if line.endswith("\n") else []
        self.process.stdout.close()
        self.process.wait()


async def test_writers_that_are_killed(tmp_path):
    """Positions and seqs are dense, and what was acknowledged is there once; a reader that follows
    through the pooler gets the same."""
    with scratch_site("postgres", tmp_path) as direct, ExitStack() as stack:
        site = stack.enter_context(pooled(direct, tmp_path))
        cookies = {"sessionid": site.sign_in()}
        _, address = stack.enter_context(site.serve("uvicorn"))
        writers = [Writer(site, f"writer-{number}") for number in range(4)]
        for writer in writers:
            stack.callback(writer.process.kill)
            writer.wait_for(50)
        writers.append(Writer(site, "writer-4"))
        writers[0].kill()
        writers[4].wait_for(200)
        for writer in writers[1:]:
            writer.kill()
        site.manage("reconcile_streams")
        entries = [json.loads(line) for line in site.manage("export_events").splitlines()]
        async with event_stream(address, cookies, since=0) as live:
            followed = await live.positions(len(entries))

    positions = [entry["position"] for entry in entries]
    assert positions == followed == list(range(1, len(entries) + 1))
    seqs = {}
    for entry in entries:
        seqs.setdefault(entry["stream"], []).append(entry["seq"])
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())
    stored = [entry["payload"]["id"] for entry in entries if entry["kind"] == "n"]
    assert len(set(stored)) == len(stored)
    told = [id for writer in writers for id in writer.acknowledged]
    assert len(told) > 400
    assert set(told) <= set(stored)


def test_hints_do_not_arrive(tmp_path):
    """The session that listens is another's afterwards: readers poll, and a check says so."""
    with scratch_site("postgres", tmp_path) as direct, pooled(direct, tmp_path) as site:
        command = [sys.executable, "manage.py", "check", "--database", "default"]
        options = {"cwd": ROOT, "env": site.environment, "capture_output": True, "text": True}
        assert "events.W013" in subprocess.run(command, **options).stderr
