"""SIGKILL to everybody, and processes that were always going to be slow."""

import signal

from ..kill_points import NOTICES, POINTS, RELAYING
from . import Nemesis


class KillServer(Nemesis):
    """A server, under all its clients. It comes back at the same port."""

    def strike(self):
        self.server = self.rng.choice(self.world.servers)
        self.server.kill()

    def heal(self):
        self.server.start()


class KillEmitters(Nemesis):
    """Some emitters, one after the other, each at a step of its own between BEGIN and the hint."""

    lasts = (0.0, 0.0)

    @property
    def points(self):
        return POINTS if self.world.round.layer else {**POINTS, **NOTICES}

    def strike(self):
        nursery = self.world.nursery
        for point in self.rng.sample(sorted(self.points), 4):
            nursery.tell(f"kill {point}:{self.rng.randint(1, 3)}")
            self.world.mark(f"an emitter: {nursery.listen()}")


class KillRelays(KillEmitters):
    """The same for a log on Redis: while an event waits in the outbox, is placed by the script, is
    deleted from the outbox, and is forgotten."""

    points = RELAYING


class KillWriter(Nemesis):
    """A writer in the middle of whatever it does."""

    def strike(self):
        victim = self.world.writers.pop(self.rng.randrange(len(self.world.writers)))
        victim.process.kill()
        victim.end()

    def heal(self):
        self.world.add_writer()


class StopWriter(Nemesis):
    """A writer is stopped in the middle of whatever it does, its thread too, for longer or shorter
    than the database lets it hold the log; then it goes on."""

    lasts = (0.3, 3.5)

    def strike(self):
        self.victim = self.rng.choice(self.world.writers).process
        self.victim.send_signal(signal.SIGSTOP)

    def heal(self):
        self.victim.send_signal(signal.SIGCONT)


class KillSequencer(Nemesis):
    """`reconcile_streams --loop`, with whatever it has just locked."""

    def strike(self):
        self.world.end("sequencer")

    def heal(self):
        self.world.keep_sequencer()


class Prune(Nemesis):
    """Entries go from under everybody's cursors, in small batches, and the pruner is killed
    between two of them; another finishes its work."""

    lasts = (0.3, 1.5)

    def strike(self):
        pruners = self.world.team.start("prunes", 2, batches=[3, 50], patient=True)
        for pruner in pruners:
            self.world.team.go(pruner)
        self.first, second = pruners
        self.world.pruners.append(second)

    def heal(self):
        self.first.process.kill()
        self.first.end()
        self.world.team.stop(self.world.pruners.pop())
