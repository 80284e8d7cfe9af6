"""A Redis of the test's own, which it may kill, stop and flush."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest
import redis

from .servers import free_port, wait_until

# REDIS_SERVER=valkey-server tries another one.
PROGRAM = os.environ.get("REDIS_SERVER", "redis-server")


class Redis:
    def __init__(self, folder, *arguments):
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        # It is not waited for long while it stands still.
        self.client = redis.Redis(port=self.port, socket_timeout=5, retry=None)
        self.process = None
        self.arguments = arguments

    def start(self):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self.arguments]
        self.process = subprocess.Popen(
            [PROGRAM, *arguments, "--dir", str(self.folder)], stdout=subprocess.DEVNULL
        )
        wait_until(self.answers, self.process)

    def answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def running_redis(folder, *arguments):
    if not shutil.which(PROGRAM):
        pytest.skip(f"{PROGRAM} is not installed")
    server = Redis(folder, *arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        server.client.close()
