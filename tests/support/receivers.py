"""A receiver of webhooks in a process of its own, and what it has noted."""

import itertools
import json
import subprocess
import sys
from contextlib import contextmanager

from .servers import ROOT, free_port

_numbers = itertools.count(1)


class Receiver:
    def __init__(self, process, port, notes):
        self.process, self.port, self.file = process, port, notes

    def url(self, path="/ok"):
        """An address of its own for each call, so that its notes can be told apart."""
        return f"http://127.0.0.1:{self.port}{path}?n={next(_numbers)}"

    def notes(self, url):
        assert self.process.poll() is None, f"the receiver ended with {self.process.returncode}"
        path = url.partition(f":{self.port}")[2]
        lines = self.file.read_text().splitlines()
        return [note for note in map(json.loads, lines) if note["path"] == path]

    def positions(self, url):
        return [json.loads(note["body"])["data"]["position"] for note in self.notes(url)]


def allow_local(settings):
    """A receiver is on this machine, without TLS."""
    settings.WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1/32"]
    settings.WEBHOOKS_ALLOW_HTTP = True
    settings.WEBHOOKS_PORTS = None


@contextmanager
def receiver(folder):
    port, notes = free_port(), folder / "notes"
    notes.touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.receiver", str(port), str(notes)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield Receiver(process, port, notes)
    finally:
        process.kill()
        process.communicate()
