"""The processes of `manage.py run_handlers` in a round, and what they have done at its end."""

import signal
import subprocess
import sys

from tests.support.servers import ROOT

from .kill_points import VARIABLE
from .record import HANDLING, SHARDS

# Seconds that one is given to finish the entry at hand, and all of them to come to the head.
PATIENCE = 20
CATCHING_UP = 120


class Runners:
    def __init__(self, world):
        self.world = world
        self.alive = []
        # Do these run the round's own handlers?
        self.handling = True
        # How many shards those handlers have that have some; a round is too short to go through all.
        self.shards = world.rng.choice((1, 2, 4))
        # Who writes down what they have done.
        self.judge = ["proof.faults.acted"]

    def start(self, kill=None):
        """`kill` is where it is to kill itself: see `kill_points`."""
        known = {VARIABLE: kill} if kill else {}
        with (self.world.folder / "runners.err").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "run_handlers"],
                cwd=ROOT,
                env={**self.world.site.environment, "PGAPPNAME": "runner", **self.known, **known},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        if not kill:
            self.alive.append(process)
        return process

    @property
    def known(self):
        return {HANDLING: "1" if self.handling else "", SHARDS: str(self.shards)}

    def one(self):
        return self.world.rng.choice(self.alive)

    def kill(self, process):
        """That it has ended by itself would be a fault that nobody ordered."""
        assert process.poll() is None, f"a runner has ended: see {self.world.folder}/runners.err"
        self.alive.remove(process)
        process.kill()
        process.wait()

    def kill_all(self):
        for process in list(self.alive):
            process.kill()
            process.wait()

    def settle(self):
        """Let them come to the head, write down what they have done, and end them."""
        subprocess.run(
            [sys.executable, "-m", *self.judge, str(self.world.folder)],
            cwd=ROOT,
            env={**self.world.site.environment, **self.known},
            check=True,
            timeout=CATCHING_UP + PATIENCE,
        )
        for process in list(self.alive):
            assert process.poll() is None, "a runner has ended by itself"
            process.send_signal(signal.SIGTERM)
        for process in self.alive:
            assert process.wait(PATIENCE) == 0, "a runner that was told to end has failed"
        self.alive = []
