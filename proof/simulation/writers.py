"""Those who change the log: they write, lead streams through their lives, and take away."""

from contextlib import suppress

from events.exceptions import EventsError
from events.live import broker
from events.types import TERMINAL

from .world import KINDS, STREAMS

STEPS = ("open", "wait", "resume", "complete", "fail", "stop")


class Deeds:
    """Everything that can be done to the log of a world."""

    def __init__(self, world, log):
        self.world = world
        self.log = log

    def write(self):
        chance, world = self.world.chance, self.world
        if world.is_faulty and world.ledger.head >= world.dials.events:
            return
        items = []
        for _ in range(chance.choice((1, 1, 1, 2, 7))):
            world.written += 1
            payload = {"n": world.written, "text": "x" * chance.choice((0, 0, 0, 10, 150))}
            stream = chance.choice(("", *STREAMS))
            items.append({"kind": chance.choice(KINDS), "payload": payload, "stream": stream})
        for item in items if world.maybe(0.5) else [items]:
            with suppress(EventsError):
                self.log.append_many(item if isinstance(item, list) else [item])
        world.note("writer", "wrote", world.ledger.head)

    def lead(self):
        """A step in a stream's life, if it can be made."""
        stream, verb = self._stream(), self.world.chance.choice(STEPS)
        with suppress(EventsError):
            getattr(self.log.stream(stream), verb)()
            self.world.note("keeper", verb, stream, self.world.ledger.head)

    def delete(self):
        stream = self._stream()
        self.log.stream(stream).delete()
        self.world.note("keeper", "deleted", stream, self.world.ledger.head)

    def end_silently(self):
        known = self.world.ledger.streams.get(self._stream())
        if known is not None and known.status not in TERMINAL:
            status = self.world.chance.choice(TERMINAL)
            self.log.backend.close_silently(known.stream, status)
            self.world.note("keeper", "closed without an event", known.stream)

    def prune(self):
        ledger, chance = self.world.ledger, self.world.chance
        if self.world.maybe(0.2):
            self.log.clear()
        elif self.world.maybe(0.3):
            self.log.prune(ttl=chance.choice((0.001, 0.5, 2)))
        else:
            self.log.prune(max_entries=chance.randrange(1, 12))
        self.world.note("retention", "floor", ledger.floor)

    def renew(self):
        self.log.renew_epoch()
        self.world.history.began(self.world.ledger, self.world.history.life.records)
        self.world.note("operator", "renewed", self.world.ledger.epoch)

    def make_anew(self):
        world = self.world
        world.ledger = world.new_ledger()
        world.history.made_anew(world.ledger)
        world.note("operator", "made the log anew", world.ledger.epoch)
        # Fewer than before, or soon as many: positions that mean something else.
        for _ in range(world.chance.choice((0, 2, 12))):
            self.write()

    def end_broker(self):
        for one in broker._brokers.get(self.world.loop, {}).values():
            if one.task is not None:
                one.task.cancel()
                self.world.note("operator", "ended the broker")

    def _stream(self):
        return self.world.chance.choice(STREAMS)


async def act(world, deeds, pace):
    """Do one of these now and then, until things become quiet."""
    while world.is_faulty:
        await world.sleep(pace * 2)
        if world.is_faulty:
            world.chance.choice(deeds)()


def actors(world, deeds):
    """As many of each as the dials say."""
    dials = world.dials
    keeping = (deeds.lead, deeds.lead, deeds.delete)
    world.deeds = [deeds.write, deeds.write]
    yield from (act(world, [deeds.write], dials.pace) for _ in range(dials.writers))
    if dials.keepers:
        world.deeds += keeping
    yield from (act(world, keeping, dials.pace * 4) for _ in range(dials.keepers))
    if dials.retention:
        world.deeds.append(deeds.prune)
        yield act(world, [deeds.prune], dials.pace * 10)
    for _ in range(dials.disasters):
        disasters = [deeds.renew, deeds.make_anew, deeds.end_broker]
        yield act(world, disasters, dials.span * 0.7)
