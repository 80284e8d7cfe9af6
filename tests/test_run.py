"""What `make run` starts and prints."""

import os
import signal
import subprocess
import sys

import httpx

from .support.servers import ROOT, Site, free_port


def test_the_login_is_the_last_thing_printed(tmp_path):
    """Under a rule, and no request that goes well pushes it away."""
    site = Site(f"sqlite:///{tmp_path}/db.sqlite3", DJANGO_SETTINGS_MODULE="eventsite.settings")
    site.manage("migrate", "-v0")
    port = free_port()
    command = [sys.executable, "scripts/run.py", str(port)]
    run = subprocess.Popen(
        command, cwd=ROOT, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        lines = []
        while not any("Login" in line for line in lines):
            lines.append(run.stdout.readline())
        assert set(lines[-2].strip()) == {"-"}
        assert " demo / " in lines[-1]
        for _ in range(3):
            assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        run.send_signal(signal.SIGINT)
        assert set(run.stdout.read().split()) == {lines[-2].strip()}
        assert run.wait(30) == 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        run.stdout.close()
