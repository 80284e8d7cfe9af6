"""The example site in processes of its own, on real servers, for tests from outside."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = {
    "daphne": ["-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", "eventsite.asgi:application"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "--log-level", "warning", "eventsite.asgi:application"],
}  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """An environment to run commands of the example site in."""

    def __init__(self, url, **environment):
        self.environment = {
            **os.environ,
            "DEBUG": "1",
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.support.site_settings",
            **environment,
        }

    def manage(self, *arguments, **options):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        ).stdout

    @contextmanager
    def running(self, *arguments):
        """A management command in a process of its own, until the block ends."""
        command = [sys.executable, "manage.py", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def sign_in(self, username="all"):
        """A session cookie of somebody who may read and emit everything."""
        return self.manage(
            "shell",
            "-v0",
            "-c",
            "from django.contrib.auth.models import User\n"
            "from django.test import Client\n"
            f"user, _ = User.objects.get_or_create(username={username!r}, is_superuser=True)\n"
            "User.objects.filter(pk=user.pk).update(is_active=True)\n"
            "client = Client()\n"
            "client.force_login(user)\n"
            "print(client.cookies['sessionid'].value)",
        ).split()[-1]

    @contextmanager
    def serve(self, server, port=None, options=()):
        """Run a server until the block ends; its process and address."""
        port = port or free_port()
        command = [sys.executable, *(part.format(port=port) for part in COMMANDS[server]), *options]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: answers(address), process)
            yield process, address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def by_hand(module, *options):
    """A command of this checkout, run where no test has prepared anything."""
    return subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "DJANGO" not in name},
        capture_output=True,
        text=True,
    )


def answers(address):
    try:
        return httpx.get(f"{address}/admin/login/", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(condition, process=None, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain")
        time.sleep(0.05)
