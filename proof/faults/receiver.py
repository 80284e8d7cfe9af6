"""The other side of a round's webhooks: one process that is all endpoints."""

import subprocess
import sys

from tests.support.servers import ROOT, free_port

from .runners import CATCHING_UP


class Receiver:
    """It is killed, and comes back at the same port; its notes go on."""

    def __init__(self, world):
        self.port, self.notes = free_port(), world.folder / "notes"
        self.process = None
        self.start()
        environment = world.site.environment
        command = [sys.executable, "-m", "proof.faults.hooked", "make", self.address]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=CATCHING_UP)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [sys.executable, "-m", "tests.support.receiver", str(self.port), str(self.notes)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def kill(self):
        self.process.kill()
        self.process.communicate()
