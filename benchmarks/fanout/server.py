"""The contenders, each in a server process of its own, and what is read from outside about it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fanout.crowd import Broken, Door

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = "benchmarks.rivals.settings"
COMMANDS = {
    "daphne": "-m daphne -v 0 -b 127.0.0.1 -p {port} {app}",
    "uvicorn": "-m uvicorn --log-level warning --no-access-log --port {port} {app}",
}
START = 30.0

SOCKET = "/ws/events/"
OURS = Door(f"{SOCKET}?log={{log}}&since=latest", re.compile(rb'"type": ?"live"'), acks=True)
OUR_SSE = Door("/live/?log={log}&since=latest", re.compile(rb"\nid: ?\d+"), websocket=False)
PLAIN = Door(SOCKET, re.compile(rb"\r\n\r\n"))
EVENTSTREAM = Door("/events/", re.compile(rb"event: stream-open"), websocket=False)


@dataclass(frozen=True)
class Contender:
    """An application on a server. `log` is also the name of its log, if it has one."""

    log: str
    title: str
    module: str
    server: str
    door: Door
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.door.path.format(log=self.log)


class Server:
    """A contender's process."""

    def __init__(self, contender: Contender, folder: Path, environment: Mapping[str, str]) -> None:
        self.contender = contender
        self.port, control = free_port(), free_port()
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "FANOUT_LOG": contender.log,
            "FANOUT_CONTROL": str(control),
            **environment,
            **contender.environment,
        }
        command = COMMANDS[contender.server].format(
            port=self.port, app=f"benchmarks.rivals.{contender.module}:application"
        )
        self.output = folder / f"{contender.log}-{self.port}.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command.split()],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self.line = self._wait_for(control)
        except BaseException:
            self.stop()
            raise
        self.answers = self.line.makefile("rb")

    def _wait_for(self, control: int) -> socket.socket:
        """Knock until it answers; the line for orders, which the first knock opens."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as knock:
                    knock.sendall(b"GET /nothing HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                    knock.recv(100)
                return socket.create_connection(("127.0.0.1", control), 5)
            except OSError:
                time.sleep(0.1)
        raise Broken(f"does not start: {self.last()}")

    def last(self) -> str:
        """The last line that it has written."""
        lines = self.output.read_text().strip().splitlines()
        return lines[-1] if lines else "it says nothing"

    def order(self, first: int, count: int, pause: float | None = None) -> None:
        """Have it emit so many events, from `first`; it begins at once."""
        order = {"first": first, "count": count, "pause": pause}
        self.line.sendall(json.dumps(order).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """Wait until it has emitted them."""
        self.line.settimeout(120)
        answer: dict[str, Any] = json.loads(self.answers.readline())
        return answer

    def statements(self) -> int:
        """How many it has sent to its database so far."""
        self.order(0, 0)
        return int(self.answer()["statements"])

    def cpu(self) -> float:
        """Seconds of processor that it has used, user and system, all threads, to the nanosecond.

        What /proc/<pid>/stat shows is the same clock in steps of ten milliseconds. The kernel
        makes a clock's id from a process's like this; see clock_getcpuclockid(3).
        """
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def migrate(database: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "-v", "0"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "FANOUT_DATABASE": database},
        check=True,
    )
