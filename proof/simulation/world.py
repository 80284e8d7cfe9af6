"""What all the actors of one run share: the seed's chances, the clock, the log and its history."""

import asyncio
import random

from events.backends.memory_ledger import MemoryLedger
from events.conf import DEFAULT_LOG
from events.live import broker

from .dials import Dials
from .history import History
from .layer import Layer
from .loop import Loop

STREAMS = ("a", "b", "c")
KINDS = ("tick", "turn.begun", "turn.done")


class Violation(AssertionError):
    """Something that must not happen has happened."""


class World:
    def __init__(self, seed, dials=None):
        self.seed = seed
        self.chance = random.Random(seed)
        self.dials = dials or Dials.drawn(self.chance)
        self.loop = Loop(self.chance, self.dials.shuffles, self.dials.slowness)
        self.loop.set_exception_handler(self._unhandled)
        self.trace = []
        self.failure = None
        self.is_faulty = True
        self.hints_go = True
        # Whatever a writer may do, for those that come between two statements of a reader.
        self.deeds = []
        self.racing = False
        self.epochs = 0
        self.ledger = self.new_ledger()
        self.history = History(self.ledger, self.dials.ttl, self.now)
        self.layer = Layer(self)
        self.written = 0

    # Time and chance

    def now(self):
        return self.loop.time()

    def later(self, seconds, function, *arguments):
        self.loop.call_later(seconds, function, *arguments)

    def maybe(self, probability):
        return self.chance.random() < probability

    async def sleep(self, most):
        await asyncio.sleep(self.chance.random() ** 2 * most)

    # The log

    def new_ledger(self):
        ledger = MemoryLedger()
        ledger.epoch = self.new_epoch()
        return ledger

    def new_epoch(self):
        self.epochs += 1
        return f"epoch{self.epochs}"

    def changed(self):
        self.history.follow(self.ledger)

    def may_fail(self):
        if self.is_faulty and self.maybe(self.dials.failing):
            self.note("store", "fails")
            raise OSError("the store is down")

    def race(self):
        """Let somebody else write now, in the middle of what a reader does."""
        if self.is_faulty and self.deeds and not self.racing and self.maybe(self.dials.racing):
            self.racing = True
            try:
                self.chance.choice(self.deeds)()
            finally:
                self.racing = False

    def hint(self):
        """What was written was written here, or in another process, or nobody says so."""
        if not self.hints_go:
            return
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            if self.is_faulty and self.maybe(self.dials.hints_lost):
                continue
            if self.dials.layer == "none" or self.maybe(0.5):
                late = self.chance.random() ** 6 if self.is_faulty else 0.0
                self.later(late, broker.wake, DEFAULT_LOG, 0)
            else:
                self.layer.tell()

    # What is seen

    def note(self, who, *what):
        self.trace.append((round(self.now(), 6), who, *what))

    def require(self, holds, who, complaint, *details):
        if not holds:
            self.fail(who, complaint, *details)

    def fail(self, who, complaint, *details):
        self.note(who, "VIOLATION", complaint, *details)
        violation = Violation(f"{who}: {complaint} {' '.join(map(str, details))}")
        self.failure = self.failure or violation
        raise violation

    def _unhandled(self, loop, context):
        error = context.get("exception")
        if not isinstance(error, Violation):
            self.note("loop", "UNHANDLED", context["message"], repr(error))
            self.failure = self.failure or Violation(f"{context['message']}: {error!r}")
