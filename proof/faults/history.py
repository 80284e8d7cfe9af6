"""The history of a run: everything that was written down, and what follows from it."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from .record import (
    Arrival,
    Broken,
    Crowded,
    Endpoint,
    Followed,
    Goal,
    Handled,
    Held,
    Info,
    Mark,
    Op,
    Page,
    Produced,
    Revoked,
    Served,
    Stretch,
    SwitchedOff,
    is_end,
)


@dataclass
class History:
    """All that happened in a run, and what follows from it."""

    ops: list[Op] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    infos: list[Info] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    helds: list[Held] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    crowded: list[Crowded] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    breaks: list[Broken] = field(default_factory=list)
    handled: list[Handled] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    switched_off: list[SwitchedOff] = field(default_factory=list)
    produced: list[Produced] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)

    @property
    def head(self):
        return max([page.head for page in self.pages], default=0)

    @property
    def floor(self):
        return max([info.floor for info in self.infos], default=0)

    @cached_property
    def broken(self):
        """The positions that nobody can be shown."""
        return {one.position for one in self.breaks}

    def is_of_a_broken_row(self, gap):
        position = gap["requested"] + 1
        exact = gap == {
            **gap, "reason": "unreadable", "first_available": position + 1, "lost": 1
        }  # fmt: skip
        return exact and position in self.broken

    @cached_property
    def emitted(self):
        """The calls of emit for each uid."""
        calls = defaultdict(list)
        for op in self.ops:
            for event in op.events:
                calls[event.uid].append(event)
        return dict(calls)

    @cached_property
    def deferred(self):
        """The calls that were made in transactions, by identity."""
        return {id(event) for op in self.ops if op.shape == "atomic" for event in op.events}

    @cached_property
    def known(self):
        """Every entry that anybody was shown, by position; the first look counts, and a page
        shows more than what was sent to a client."""
        found = {}
        for shown in (*self.pages, *self.arrivals):
            for seen in shown.entries:
                found.setdefault(seen.position, seen)
        return dict(sorted(found.items()))

    @cached_property
    def ended(self):
        """The entries that end a stream, by its name."""
        found = defaultdict(list)
        for seen in self.known.values():
            if is_end(seen):
                found[seen.stream].append(seen)
        return dict(found)

    @cached_property
    def by_client(self):
        found = defaultdict(list)
        for arrival in self.arrivals:
            found[arrival.client].append(arrival)
        return dict(found)

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


KINDS = {
    "page": (Page, "pages"),
    "info": (Info, "infos"),
    "arrival": (Arrival, "arrivals"),
    "stretch": (Stretch, "stretches"),
    "goal": (Goal, "goals"),
    "held": (Held, "helds"),
    "revoked": (Revoked, "revoked"),
    "served": (Served, "served"),
    "crowded": (Crowded, "crowded"),
    "mark": (Mark, "marks"),
    "broken": (Broken, "breaks"),
    "handled": (Handled, "handled"),
    "endpoint": (Endpoint, "endpoints"),
    "switchedoff": (SwitchedOff, "switched_off"),
    "produced": (Produced, "produced"),
    "followed": (Followed, "followed"),
}


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
            else:
                make, where = KINDS[name]
                getattr(history, where).append(make(**value))
    history.ops = list(ops.values())
    return history
