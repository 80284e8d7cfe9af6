"""What there was in the log, and what became of it: the truth that readers are held against."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from events.types import TERMINAL, Row

from .loop import YEAR_2000

KINDS_OF_END = {f"stream.{status}": str(status) for status in TERMINAL}


@dataclass
class Record:
    """One event. `gone` is when the store ceased to have it."""

    row: Row
    born: float
    gone: float | None = None
    deleted: bool = False


@dataclass
class Generation:
    """A stream from its first event until it is deleted; another may have its name later."""

    first: int
    last: int
    status: str | None = None
    # Its last position when it ended.
    end: int = 0
    deleted: float | None = None


@dataclass
class Life:
    """A log between two changes of its epoch."""

    epoch: str
    began: float
    records: list = field(default_factory=list)
    # When the floor was raised, and to what.
    floors: list = field(default_factory=lambda: [(0.0, 0)])
    ended: float | None = None

    @property
    def head(self):
        return len(self.records)

    def head_before(self, moment):
        return bisect_left(self.records, moment, key=lambda record: record.born)


class History:
    """Follows a ledger: to be told after whatever was done to it."""

    def __init__(self, ledger, ttl, now):
        self.ttl = ttl
        self.now = now
        self.lives = {}
        self.streams = {}
        self.began(ledger)

    def began(self, ledger, kept=()):
        """Another epoch, which has `kept` of what there was."""
        if self.lives:
            self.life.ended = self.now()
        self.life = self.lives[ledger.epoch] = Life(ledger.epoch, self.now(), list(kept))
        self.follow(ledger)

    def made_anew(self, ledger):
        for generation in self.generations():
            generation.deleted = generation.deleted or self.now()
        self.began(ledger)

    def generations(self):
        return (one for many in self.streams.values() for one in many)

    def follow(self, ledger):
        for row in ledger.rows[ledger.after(self.life.head) :]:
            self.life.records.append(Record(row, self.now()))
            self._in_stream(row)
        if ledger.floor > self.life.floors[-1][1]:
            self.life.floors.append((self.now(), ledger.floor))

    def _in_stream(self, row):
        if not row.stream:
            return
        generation = self.current(row.stream)
        if generation is None:
            generation = Generation(row.position, row.position)
            self.streams.setdefault(row.stream, []).append(generation)
        generation.last = row.position
        if row.kind in KINDS_OF_END:
            self.closed(row.stream, KINDS_OF_END[row.kind])

    def current(self, stream):
        generations = self.streams.get(stream)
        return generations[-1] if generations and generations[-1].deleted is None else None

    def closed(self, stream, status):
        generation = self.current(stream)
        generation.status, generation.end = status, generation.last

    def deleted(self, stream):
        """Its row is gone; its events will go."""
        generation = self.current(stream)
        generation.deleted = self.now()
        doomed = [
            record
            for record in self.life.records[generation.first - 1 : generation.last]
            if record.row.stream == stream
        ]
        for record in doomed:
            record.deleted = True
        return doomed

    # What was served when

    def floor_at(self, life, moment):
        raised = [floor for when, floor in life.floors if when <= moment]
        return max(raised[-1], self._expired(life, moment))

    def _expired(self, life, moment):
        """The last position that TTL had taken by then, as far as anybody could tell."""
        if self.ttl is None:
            return 0
        moment = min(moment, life.ended or moment)
        cutoff = round((YEAR_2000 + moment) * 1_000_000) - round(self.ttl * 1_000_000)
        return bisect_right(life.records, cutoff - 1, key=lambda record: record.row.micros)

    def least_floor_at(self, life, moment):
        """What is deleted has no age any more."""
        raised = max(floor for when, floor in life.floors if when <= moment)
        floor = self._expired(life, moment)
        while floor > raised and life.records[floor - 1].deleted:
            floor -= 1
        return max(raised, floor)

    def was_floor(self, life, floor):
        """Did the log ever stand there?"""
        if any(floor == raised for _, raised in life.floors):
            return True
        if self.ttl is None or not 0 < floor <= self._expired(life, self.now()):
            return False
        after = life.records[floor : floor + 1]
        same = after and after[0].row.micros == life.records[floor - 1].row.micros
        return not same or after[0].deleted

    def was_there(self, life, record, moment):
        """Could a read at that moment have found it?"""
        # At the same moment, who knows which was first.
        moment -= 0.000001
        if life.ended is not None and life.ended <= moment:
            return False
        if record.gone is not None and record.gone <= moment:
            return False
        return record.row.position > self.floor_at(life, moment)
