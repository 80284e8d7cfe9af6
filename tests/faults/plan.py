"""What a writer does next, drawn from a seed: a small language, and a planner that speaks it.

An `Event` is emitted, a list of them goes to `emit_many`, a number is a pause, a `Burst` is
emitted by concurrent tasks, and a `Block` is an `atomic()` whose steps are any of these.
"""

from dataclasses import dataclass

from .record import ROLLED_BACK, Event

KINDS = ("note.added", "note.moved", "job.done")
STREAMS = ("", "", "run-1", "run-2", "run-3")
BURST = 20

# What a writer does, and how much of it.
SHAPES = {"direct": 6, "many": 2, "atomic": 6, "burst": 1}


@dataclass
class Block:
    """A transaction; inside another, a savepoint. `undo` rolls it back at its end."""

    steps: list
    undo: bool = False


@dataclass
class Burst:
    events: list[Event]


def events_of(step, undone=False):
    """The events of a step in the order in which they are emitted; marks those taken back."""
    if isinstance(step, Event):
        if undone:
            step.outcome = ROLLED_BACK
        return [step]
    if isinstance(step, Block):
        undone = undone or step.undo
    steps = step.steps if isinstance(step, Block) else getattr(step, "events", step)
    if isinstance(steps, (int, float)):
        return []
    return [event for one in steps for event in events_of(one, undone)]


def shared(number):
    """An event that any writer may emit: the same key, the same content."""
    stream = STREAMS[number % len(STREAMS)]
    return Event(f"shared-{number}", "key.shared", stream, f"shared-{number}")


class Planner:
    """The steps of one writer. `keys=False` leaves keys out: they live only as long as their row."""

    def __init__(self, rng, writer, keys=True, shapes=tuple(SHAPES)):
        self.rng = rng
        self.writer = writer
        self.keys = keys
        self.shapes = shapes
        self.events = 0
        self.steps = 0

    def next(self):
        """(shape, step) of the next op."""
        self.steps += 1
        [shape] = self.rng.choices(self.shapes, [SHAPES[shape] for shape in self.shapes])
        return shape, getattr(self, shape)()

    def direct(self):
        return self.event()

    def many(self):
        return [self.event() for _ in range(self.rng.randint(2, 8))]

    def burst(self):
        return Burst([self.event() for _ in range(BURST)])

    def atomic(self):
        return Block(self.some(1, 6), undo=self.rng.random() < 0.2)

    def some(self, least, most):
        return [self.step() for _ in range(self.rng.randint(least, most))]

    def step(self):
        dice = self.rng.random()
        if dice < 0.2:
            return self.rng.uniform(0.0005, 0.01)
        if dice < 0.4:
            return Block([self.event(), *self.some(0, 2)], undo=self.rng.random() < 0.6)
        if dice < 0.5:
            return self.many()
        return self.event()

    def event(self):
        """An event of this writer's own; now and then one whose key others use as well."""
        dice = self.rng.random() if self.keys else 1.0
        # Writers that go at the same pace come to the same keys at the same time.
        number = self.steps // 2 + self.rng.randrange(3)
        if dice < 0.1:
            return shared(number)
        self.events += 1
        uid, stream = f"{self.writer}-{self.events}", self.rng.choice(STREAMS)
        if dice < 0.15:
            return Event(uid, "key.contested", stream, f"contested-{number}")
        key = f"own-{uid}" if dice < 0.3 else None
        return Event(uid, self.rng.choice(KINDS), stream, key)
