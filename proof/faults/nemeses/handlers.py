"""Processes that run handlers, killed, frozen, and dead at a step of their own."""

import signal
import subprocess
import time

from ..kill_points import HANDLING
from . import Nemesis


class KillRunner(Nemesis):
    """A process that runs handlers, with whatever it has just locked. Another takes its place."""

    def strike(self):
        self.world.runners.kill(self.world.runners.one())

    def heal(self):
        self.world.runners.start()


class FreezeRunner(Nemesis):
    """A process that runs handlers stands still for longer than its leases last, and goes on."""

    lasts = (3.5, 4.5)

    def strike(self):
        self.process = self.world.runners.one()
        self.process.send_signal(signal.SIGSTOP)

    def heal(self):
        self.process.send_signal(signal.SIGCONT)


class ChangeShards(Nemesis):
    """Handlers have another number of shards: each process is killed and begins anew with it, one
    after the other, while others still have the number before."""

    NEXT = {1: 4, 4: 2, 2: 1}

    def strike(self):
        runners = self.world.runners
        runners.shards = self.NEXT[runners.shards]
        self.world.mark(f"{runners.shards} shards")
        for process in list(runners.alive):
            runners.kill(process)
            runners.start()
            time.sleep(self.rng.uniform(0.1, 1.5))


class KillRunnerAtAStep(Nemesis):
    """Two more that run handlers, each of which dies at a step of its own: before, in or after the
    function, before or after the commit."""

    lasts = (0.0, 0.0)
    points = HANDLING

    def strike(self):
        chosen = self.rng.sample(sorted(self.points), 2)
        points = [f"{one}:{self.rng.randint(1, 4)}" for one in chosen]
        for point, process in [(point, self.world.runners.start(point)) for point in points]:
            try:
                died = process.wait(6) == -signal.SIGKILL
            except subprocess.TimeoutExpired:
                died = False
                process.kill()
                process.wait()
            self.world.mark(f"a runner: {'killed' if died else 'missed'} {point}")
