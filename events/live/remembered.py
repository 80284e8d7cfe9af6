"""The batches that topics remember, in one budget of bytes for the process.

Readers at the same place share a batch, and what was made of it to be sent. Each filter has batches
of its own, and a client can think of any number of filters: so what they have in common is bounded,
and the batch that was made first is let go first. It costs nobody an event; it is made again.
"""

import threading
from collections import OrderedDict
from typing import Any, Protocol

# Bytes, and those that a batch has beside its entries.
MOST, OVERHEAD = 32 * 2**20, 512


class Topic(Protocol):
    batches: dict[int, Any]


class Remembered:
    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        self.sizes: OrderedDict[tuple[Topic, int], int] = OrderedDict()
        # Each event loop has topics of its own, and this is for all of them.
        self.lock = threading.Lock()

    def add(self, topic: Topic, cursor: int, batch: Any, size: int) -> None:
        with self.lock:
            topic.batches[cursor] = batch
            self.sizes[topic, cursor] = size + OVERHEAD
            self.size += size + OVERHEAD
            while self.size > self.most and len(self.sizes) > 1:
                (oldest, at), size = self.sizes.popitem(last=False)
                self.size -= size
                oldest.batches.pop(at, None)

    def forget(self, topic: Topic) -> None:
        """All batches of a topic."""
        if topic.batches:
            with self.lock:
                for cursor in topic.batches:
                    self.size -= self.sizes.pop((topic, cursor), 0)
                topic.batches.clear()


remembered = Remembered(MOST)
