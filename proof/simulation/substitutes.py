"""What stands in for the rest of the world, and for limits that no test would ever reach."""

import logging
import random
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

from django.test import override_settings

from events import hints, threads
from events.api import eventsource
from events.backends import memory, memory_ledger
from events.live import access, broker, group, pager, tail, waking, window
from events.live.remembered import remembered
from events.websocket import clocks, frames

from .dials import Jumbled
from .loop import YEAR_2000, Executor
from .store import Store
from .watch import Watch

# Seconds: the longest that anything waits by its own choice.
MAX_BACKOFF, RECONCILE = 1.0, 0.5
# Seconds without progress after which a client is cut off.
PATIENCE = 6.0


class Anybody:
    def can_read(self, user, stream):
        return True

    can_emit = can_read


def log_settings(world):
    dials = world.dials
    return {
        "BACKEND": "proof.simulation.store.Store",
        "POLICY": "proof.simulation.substitutes.Anybody",
        "TTL": dials.ttl,
        "WINDOW": dials.window,
        "PAGE_SIZE": 1,
        "MAX_PAGE_SIZE": dials.max_page_size,
        "POLL_INTERVAL": dials.poll_interval,
        "HEARTBEAT_INTERVAL": dials.heartbeat,
        "STREAM_MAX_SECONDS": dials.max_seconds,
        "OPTIONS": {"clock": lambda: YEAR_2000 + world.now()},
    }


def substitutes(world, watch):
    dials, no_order = world.dials, partial(Jumbled, world.chance)
    yield from watch.substitutes
    yield from [
        (Store, "world", world),
        (threads, "ThreadPoolExecutor", Executor),
        (broker, "set", no_order),
        (broker, "LINGER", dials.linger),
        (broker, "LOOK", dials.look),
        (pager, "MAX_BACKOFF", MAX_BACKOFF),
        (broker, "RECONCILE", RECONCILE),
        (window, "set", no_order),
        (window, "WINDOW_BYTES", dials.window_bytes),
        (window, "BATCH_BYTES", dials.batch_bytes),
        (remembered, "most", dials.remembered),
        (waking, "CROWD", dials.crowd),
        (tail, "BATCH_BYTES", dials.batch_bytes),
        (tail, "ROWS", dials.rows),
        (group, "channel_layer", lambda: None if dials.layer == "none" else world.layer),
        (group, "REJOIN", 3.0),
        (hints, "send", lambda log, head: world.hint()),
        (frames, "MAX_UNACKNOWLEDGED", dials.unacknowledged),
        (clocks, "TOO_SLOW_AFTER", PATIENCE),
        (access, "RECHECK", 3.0),
        (eventsource, "MAX_BYTES", 2_000),
        (eventsource, "release_thread", no_thread),
        (memory, "new_epoch", world.new_epoch),
        (memory_ledger, "new_epoch", world.new_epoch),
    ]


async def no_thread():
    """There is none to give back."""


@contextmanager
def substituted(world):
    """The world in its place, until the block ends; the watch over it."""
    watch, before = Watch(world), random.getstate()
    with ExitStack() as stack:
        stack.enter_context(override_settings(EVENTS={"default": log_settings(world)}))
        for owner, name, value in substitutes(world, watch):
            stack.enter_context(patch.object(owner, name, value, create=name == "set"))
        # A store that fails is no news here.
        stack.enter_context(patch.object(logging.getLogger("events"), "disabled", True))
        random.seed(world.seed)
        try:
            yield watch
        finally:
            random.setstate(before)
