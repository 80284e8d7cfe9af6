"""The history of a run: what every process wrote down, a JSON line at a time."""

import json
import os
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import cached_property

OK = "ok"  # acknowledged: it must be there
FAIL = "fail"  # refused: it must not be there
ROLLED_BACK = "rolled_back"  # taken back by its writer: it must not be there
UNKNOWN = "unknown"  # the writer died or lost its connection: both will do


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
        uid = entry.payload["uid"]
        return cls(entry.position, uid, entry.kind, entry.stream, entry.seq, time, entry.key)


@dataclass
class Page:
    """One read, and its answer. `final` are the pages read when everybody had finished."""

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


class Recorder:
    """Writes a history. One write a line, so that a SIGKILL loses the last line or nothing."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, value):
        line = json.dumps({type(value).__name__.lower(): asdict(value)}) + "\n"
        os.write(self.file, line.encode())

    def close(self):
        os.close(self.file)


@dataclass
class History:
    """All that happened in a run, and what follows from it."""

    ops: list[Op] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    infos: list[Info] = field(default_factory=list)

    @property
    def head(self):
        return max([page.head for page in self.pages], default=0)

    @property
    def floor(self):
        return max([info.floor for info in self.infos], default=0)

    @cached_property
    def emitted(self):
        """The calls of emit for each uid."""
        calls = defaultdict(list)
        for op in self.ops:
            for event in op.events:
                calls[event.uid].append(event)
        return dict(calls)

    @cached_property
    def known(self):
        """Every entry that anybody was shown, by position; the first look counts."""
        found = {}
        for page in self.pages:
            for seen in page.entries:
                found.setdefault(seen.position, seen)
        return dict(sorted(found.items()))

    @cached_property
    def places(self):
        """The positions of each uid."""
        found = defaultdict(list)
        for seen in self.known.values():
            found[seen.uid].append(seen.position)
        return found

    @cached_property
    def unseen(self):
        """The positions that nobody was shown; after pruning there may be some."""
        return [position for position in range(1, self.head + 1) if position not in self.known]

    @cached_property
    def pruned_unseen(self):
        return [position for position in self.unseen if position <= self.floor]


def load(folder):
    """Read a run's files. An op is written when it begins and again when it has ended."""
    ops, history = {}, History()
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                continue
            [(name, value)] = json.loads(line).items()
            if name == "op":
                ops[value["id"]] = Op(**value)
            elif name == "page":
                history.pages.append(Page(**value))
            else:
                history.infos.append(Info(**value))
    history.ops = list(ops.values())
    return history
