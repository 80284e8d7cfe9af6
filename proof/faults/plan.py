"""What a writer does next, drawn from a seed: a small language, and a planner that speaks it.

An `Event` is emitted, a list of them goes to `emit_many`, a number is a pause, a `Burst` is
emitted by concurrent tasks, and a `Block` is an `atomic()` whose steps are any of these.
"""

from dataclasses import dataclass

from .record import ABANDONED, IDLE, ROLLED_BACK, Event, step_uid

KINDS = ("note.added", "note.moved", "job.done")
STREAMS = ("", "", "run-1", "run-2", "run-3")
BURST = 20

# What a writer does, and how much of it. `life` is a step in a stream's life, or an event in one
# that others open and end; `idle` opens a stream and leaves it alone.
SHAPES = {"direct": 6, "many": 2, "atomic": 6, "burst": 1, "life": 6, "idle": 1}
WITHOUT_LIVES = ("direct", "many", "atomic", "burst")

# The verbs of a stream, by the events that tell of them.
VERBS = {
    "stream.opened": "open",
    "stream.completed": "complete",
    "stream.failed": "fail",
    "stream.stopped": "stop",
}


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


def step_of(kind, stream, idle=None):
    return Event(step_uid(kind, stream), kind, stream, idle=idle)


class Planner:
    """The steps of one writer. `keys=False` leaves keys out: they live only as long as their row."""

    def __init__(self, rng, writer, keys=True, shapes=WITHOUT_LIVES):
        self.rng = rng
        self.writer = writer
        self.keys = keys
        self.shapes = shapes
        self.events = 0
        self.steps = 0
        self.abandoned = None

    def next(self):
        """(shape, step) of the next op."""
        self.steps += 1
        [shape] = self.rng.choices(self.shapes, [SHAPES[shape] for shape in self.shapes])
        step = getattr(self, shape)()
        if shape in ("life", "idle"):
            shape = "atomic" if isinstance(step, Block) else "direct"
        return shape, step

    def direct(self):
        return self.event()

    def many(self):
        return [self.event() for _ in range(self.rng.randint(2, 8))]

    def burst(self):
        return Burst([self.event() for _ in range(BURST)])

    def atomic(self):
        return Block(self.some(1, 6), undo=self.rng.random() < 0.2)

    def life(self):
        """In a stream that is shared with whoever goes at the same pace."""
        stream = f"life-{self.steps // 40 + self.rng.randrange(2)}"
        steps = [self.of_life(stream) for _ in range(2)]
        return Block(steps, undo=self.rng.random() < 0.1) if self.rng.random() < 0.4 else steps[0]

    def of_life(self, stream):
        if self.rng.random() < 0.6:
            return self.own_event(stream)
        return step_of(self.rng.choice([*VERBS, "stream.opened", "stream.opened"]), stream)

    def idle(self):
        """Open a stream and leave it alone; or come back to it, in time or too late."""
        if self.abandoned and self.rng.random() < 0.5:
            return self.own_event(self.abandoned)
        self.abandoned = f"{ABANDONED}{self.writer}-{self.steps}"
        return step_of("stream.opened", self.abandoned, IDLE)

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
        stream = self.rng.choice(STREAMS)
        if dice < 0.15:
            return Event(self.uid(), "key.contested", stream, f"contested-{number}")
        return self.own_event(stream, keyed=dice < 0.3)

    def own_event(self, stream, keyed=False):
        uid = self.uid()
        return Event(uid, self.rng.choice(KINDS), stream, f"own-{uid}" if keyed else None)

    def uid(self):
        self.events += 1
        return f"{self.writer}-{self.events}"
