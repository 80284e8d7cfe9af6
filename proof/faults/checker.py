"""Holds a whole history to everything that was promised.

check(history)    what is broken: {name of the invariant: what it found, at most a few}
report(broken)    the same for people
"""

from itertools import islice

from .checks import clients, durable, entries, handlers, lives, order, pages, servers, webhooks

INVARIANTS = (
    *entries.INVARIANTS,
    *order.INVARIANTS,
    *lives.INVARIANTS,
    *pages.INVARIANTS,
    *clients.INVARIANTS,
    *servers.INVARIANTS,
    *handlers.INVARIANTS,
    *webhooks.INVARIANTS,
    *durable.INVARIANTS,
)

# A broken log breaks everywhere; the first few places tell enough.
SHOWN = 5


def check(history):
    broken = {}
    for invariant in INVARIANTS:
        found = list(islice(invariant(history), SHOWN))
        if found:
            broken[invariant.__name__] = found
    return broken


def report(broken):
    lines = []
    for name, found in broken.items():
        lines += [f"{name.replace('_', ' ')}:", *(f"    {one}" for one in found)]
    return "\n".join(lines)
