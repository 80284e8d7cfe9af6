"""Looks over the shoulder of every tail and broker of a run: is all of it bounded, and is nothing
given that was known to be gone?"""

from events.live import window as windows
from events.live.broker import Broker
from events.live.remembered import remembered
from events.live.tail import Tail

# Captured once: while a world runs, others stand in their place.
take, peek, brokers_take = Tail.take, Tail.peek, Broker._take


class Watch:
    """What stands in for methods of theirs, while a world runs."""

    def __init__(self, world):
        self.world = world
        self.brokers = []

    @property
    def substitutes(self):
        watch = self

        async def watched_take(tail):
            asked = watch.world.now()
            batch = await take(tail)
            if batch is not None:
                # A read of the log that was under way may be shared, and takes its time.
                slow = 2 * watch.world.dials.slowness
                watch.check_given(tail, batch, asked - slow)
            return batch

        def watched_peek(tail):
            batch = peek(tail)
            if batch is not None:
                watch.check_given(tail, batch, watch.world.now())
            return batch

        def watched_look(broker, found):
            brokers_take(broker, found)
            watch.looked(broker, found)

        return [
            (Tail, "take", watched_take),
            (Tail, "peek", watched_peek),
            (Broker, "_take", watched_look),
        ]

    def looked(self, broker, found):
        """When the broker's knowledge is from: that of the floor, and that of all there is."""
        if broker not in self.brokers:
            self.brokers.append(broker)
            broker.floor_from = broker.all_from = 0.0
        broker.floor_from = found.at
        if broker.window.position >= found.state.head:
            broker.all_from = found.at
        self.check_window(broker)

    def check_window(self, broker):
        window, require = broker.window, self.world.require
        require(len(window.entries) <= window.most, "window", "too many entries")
        require(window.size <= windows.WINDOW_BYTES, "window", "too many bytes")
        size = sum(entry.size for entry in window.entries)
        require(window.size == size, "window", "wrong size", window.size, size)
        streams = sum(len(entries) for entries in window.by_stream.values())
        require(streams == len(window.entries), "window", "streams that nobody counts")
        for topics in window.topics.values():
            for topic in topics.values():
                counted = all((topic, cursor) in remembered.sizes for cursor in topic.batches)
                require(counted, "topic", "batches that nobody counts")
        sizes = remembered.sizes.values()
        require(remembered.size == sum(sizes), "remembered", "wrong size", remembered.size)
        few = len(sizes) <= 1 or remembered.size <= remembered.most
        require(few, "remembered", "too many bytes", remembered.size)

    def check_given(self, tail, batch, asked):
        """What the broker knew to be gone when the reader asked must not be given."""
        history, broker = self.world.history, tail.broker
        life = history.lives[tail.epoch]
        size = sum(entry.size for entry in batch.entries)
        fits = size <= windows.BATCH_BYTES or len(batch.entries) == 1
        self.world.require(fits, "tail", "a batch of", size)
        for entry in batch.entries:
            record = life.records[entry.position - 1]
            known = broker.all_from if record.deleted else broker.floor_from
            there = history.was_there(life, record, min(known, asked))
            self.world.require(there, "tail", "given what is gone", entry.position, tail.epoch)
