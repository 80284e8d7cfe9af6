"""What a seed decides beforehand: sizes, paces, and how much goes wrong."""

from dataclasses import dataclass, fields

# Much smaller than in life, so that every limit is reached within a few dozen events.
CHOICES = {
    "window": (2, 3, 5, 10, 40),
    "window_bytes": (600, 2_000, 10_000),
    "batch_bytes": (200, 600, 3_000),
    "remembered": (1, 5_000, 100_000),
    "crowd": (1, 2, 500),
    "look": (1, 2, 5, 50),
    "rows": ((20, 5, 1), (4, 2, 1)),
    "unacknowledged": (300, 1_000, 5_000),
    "max_page_size": (1, 2, 20),
    "poll_interval": (0.1, 0.25, 1.0),
    "linger": (0.1, 0.5, 5.0),
    "heartbeat": (0.5, 2.0, 15.0),
    "max_seconds": (3.0, 10.0, 600.0),
    "ttl": (None, None, 1.0, 4.0),
    "shuffles": (False, True, True),
    "slowness": (0.0, 0.01, 0.2, 1.0),
    "failing": (0.0, 0.0, 0.05, 0.3),
    "hints_lost": (0.0, 0.1, 0.5, 1.0),
    "layer": ("none", "good", "bad"),
    "racing": (0.0, 0.05, 0.3),
    "events": (40, 120, 300),
    "pace": (0.02, 0.1, 0.4),
    "span": (2.0, 4.0, 8.0),
    "writers": (1, 2, 3),
    "keepers": (0, 1, 2),
    "retention": (0, 0, 1, 1),
    "disasters": (0, 0, 0, 1, 2),
    "followers": (1, 2, 4),
    "sockets": (0, 1, 2),
    "sources": (0, 1, 2),
}


@dataclass
class Dials:
    window: int
    window_bytes: int
    batch_bytes: int
    remembered: int
    crowd: int
    look: int
    rows: tuple
    unacknowledged: int
    max_page_size: int
    poll_interval: float
    linger: float
    heartbeat: float
    max_seconds: float
    ttl: float | None
    shuffles: bool
    slowness: float
    failing: float
    hints_lost: float
    layer: str
    racing: float
    events: int
    pace: float
    span: float
    writers: int
    keepers: int
    retention: int
    disasters: int
    followers: int
    sockets: int
    sources: int

    @classmethod
    def drawn(cls, chance):
        return cls(**{field.name: chance.choice(CHOICES[field.name]) for field in fields(cls)})


class Jumbled:
    """A set without a fixed order: each time it is gone through, the order is drawn anew. (That of
    a real one depends on addresses, so a run could not be repeated.)"""

    def __init__(self, chance, items=()):
        self.chance = chance
        self.items = dict.fromkeys(items)

    def add(self, item):
        self.items[item] = None

    def discard(self, item):
        self.items.pop(item, None)

    def update(self, items):
        self.items.update(dict.fromkeys(items))

    def clear(self):
        self.items.clear()

    def __or__(self, other):
        return Jumbled(self.chance, [*self.items, *other.items])

    def __contains__(self, item):
        return item in self.items

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        items = list(self.items)
        self.chance.shuffle(items)
        return iter(items)
