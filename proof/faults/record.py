"""What the processes of a run write down, a JSON line at a time."""

import json
import os
import zlib
from dataclasses import asdict, dataclass

OK = "ok"  # acknowledged: it must be there
FAIL = "fail"  # refused: it must not be there
ROLLED_BACK = "rolled_back"  # taken back by its writer: it must not be there
UNKNOWN = "unknown"  # the writer died or lost its connection: both will do

# What a mark says when the log's next epoch is no accident.
TERM = "a new term may begin"

# In the environment: see `runners`.
HANDLING = "FAULTS_HANDLING"
SHARDS = "FAULTS_SHARDS"

# How streams are called that are opened and left alone; and their idle timeout.
ABANDONED = "idle-"
IDLE = 1.0


@dataclass
class Event:
    """One call of emit. `uid` is in the payload; calls that share a key and a content share it."""

    uid: str
    kind: str
    stream: str = ""
    key: str | None = None
    outcome: str = UNKNOWN
    start: float | None = None
    end: float | None = None
    position: int | None = None
    # Seconds of silence after which a stream that it opens is to fail.
    idle: float | None = None

    def item(self):
        return {
            "kind": self.kind,
            "payload": {"uid": self.uid},
            "stream": self.stream,
            "key": self.key,
        }


@dataclass
class Op:
    """What a writer did in one go: `direct`, `many`, `atomic` or `burst`."""

    id: str
    shape: str
    events: list[Event]
    start: float = 0.0
    end: float | None = None
    outcome: str = UNKNOWN
    error: str = ""

    def __post_init__(self):
        self.events = [e if isinstance(e, Event) else Event(**e) for e in self.events]
        for event in self.events:
            # Until its own moment is known: it was emitted no sooner than this.
            event.start = self.start if event.start is None else event.start


@dataclass(frozen=True)
class Seen:
    """An entry as a reader was shown it."""

    position: int
    uid: str
    kind: str
    stream: str
    seq: int | None
    time: str
    key: str | None

    @classmethod
    def of(cls, entry):
        time = entry.timestamp.isoformat(timespec="microseconds")
        uid = uid_of(entry.payload, entry.kind, entry.stream)
        return cls(entry.position, uid, entry.kind, entry.stream, entry.seq, time, entry.key)

    @classmethod
    def of_wire(cls, entry):
        """What a client was sent; that tells the time less exactly, and no key."""
        kind, stream = entry["kind"], entry["stream"]
        uid = uid_of(entry["payload"], kind, stream)
        return cls(entry["position"], uid, kind, stream, entry["seq"], "", None)

    @property
    def core(self):
        """What everybody who sees an entry is shown of it."""
        return self.position, self.uid, self.kind, self.stream, self.seq


def uid_of(payload, kind, stream):
    """An event is known by its writer's mark, a step in a stream's life by what it is."""
    return payload.get("uid") or step_uid(kind, stream)


def step_uid(kind, stream):
    return f"{kind} {stream}"


def is_step(event):
    return event.kind.startswith("stream.")


def is_end(event):
    return event.kind in ("stream.completed", "stream.failed", "stream.stopped")


def is_of_the_watchdog(seen):
    """Nobody else fails the streams that are left to it."""
    return seen.kind == "stream.failed" and seen.stream.startswith(ABANDONED)


def echo_of(uid):
    """What a handler emits about an event."""
    return f"echo-of-{uid}"


def is_echo(seen):
    return seen.kind == "echo.made"


def is_poison(kind, uid):
    """Does an event fail each time, where one handler is concerned?"""
    return kind.startswith("note.") and zlib.crc32(uid.encode()) % 41 == 0


@dataclass
class Page:
    """One read, and its answer. `final` are the pages read when everybody had finished; `partial`
    those that say themselves that more was committed before."""

    reader: str
    start: float
    end: float
    since: int | str
    limit: int
    stream: str | None
    kind: str | None
    cursor: int
    head: int
    epoch: str
    gap: dict | None
    entries: list[Seen]
    final: bool = False
    partial: bool = False

    def __post_init__(self):
        self.entries = [s if isinstance(s, Seen) else Seen(**s) for s in self.entries]

    def wants(self, seen):
        if self.stream is not None and seen.stream != self.stream:
            return False
        if self.kind is None or self.kind == seen.kind:
            return True
        return self.kind.endswith(".*") and seen.kind.startswith(self.kind[:-1])


@dataclass
class Info:
    """What `log.info()` answered at the very end."""

    head: int
    floor: int
    count: int
    epoch: str


@dataclass
class Arrival:
    """What reached a client in one piece: entries, a gap, or word of how far the log was read."""

    client: str
    connection: int
    at: float
    since: int
    cursor: int
    entries: list[Seen]
    gap: dict | None = None
    stream: str | None = None

    def __post_init__(self):
        self.entries = [s if isinstance(s, Seen) else Seen(**s) for s in self.entries]


@dataclass
class Stretch:
    """The same of one whole connection in a storm, as runs of positions: [[1, 40], [42, 50]]."""

    client: str
    since: int
    runs: list[list[int]]


@dataclass
class Goal:
    """Where a client had come when the faults had been over for a while, and should have come."""

    client: str
    cursor: int
    head: int


@dataclass
class Held:
    """What a server's process held: before anybody came (`before`), and when all had left."""

    server: str
    before: bool
    holds: dict[str, int]


@dataclass
class Revoked:
    """A client whose permission was taken away, and what it saw of that."""

    client: str
    at: float
    ended: float | None
    within: float


@dataclass
class Broken:
    """A position whose row the harness has made unreadable."""

    position: int


@dataclass
class Served:
    """Somebody who asked a server for little, and how long it took; None if there was no answer."""

    client: str
    address: str
    at: float
    seconds: float | None
    within: float


@dataclass
class Crowded:
    """What one user had at a server who wanted more connections than one may have, the `bound`: the
    most that were open at a time, how often one was refused, and how many could be opened `again`
    when all had left."""

    client: str
    address: str
    bound: int
    most: int
    refused: int
    again: int


@dataclass
class Handled:
    """What a handler has done, when all has come to rest: its effects, each a position and a stream
    in the order in which they were written, and what it holds."""

    handler: str
    atomic: bool
    state: str
    cursor: int
    head: int
    effects: list[list]
    held: list[dict]


@dataclass
class Endpoint:
    """What became of one of the endpoints of webhooks, when all has come to rest. What arrived is
    [position, stream, at, was it answered well], in the order in which it came."""

    name: str
    kind: str | None
    parallel: int
    active: bool
    cursor: int
    head: int
    held: int
    arrived: list[list]


@dataclass
class SwitchedOff:
    """An endpoint that nothing may be sent to for a while."""

    name: str
    at: float
    until: float


@dataclass
class Produced:
    """A durable stream: so many numbered tokens were sent, each until it was answered."""

    stream: str
    tokens: int


# The reader that is none: what the log has of a durable stream.
KEPT = "kept"


@dataclass
class Followed:
    """What a reader of a durable stream was sent, across all of its connections; or what the log
    has of it in the end. `ends` is how often it was closed."""

    stream: str
    reader: str
    tokens: list[int]
    ends: int


@dataclass
class Mark:
    """Something that the harness did, for people who read the history."""

    at: float
    what: str


class Recorder:
    """Writes a history. One write a line, so that a SIGKILL loses the last line or nothing."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, value):
        line = json.dumps({type(value).__name__.lower(): asdict(value)}) + "\n"
        os.write(self.file, line.encode())

    def close(self):
        os.close(self.file)
