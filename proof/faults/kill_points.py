"""Where an emitter can be killed: each step between BEGIN and the hint, by name.

FAULTS_KILL=save:3 in the environment of a process has it kill itself, with SIGKILL, when it comes
by the point `save` for the third time. The code of the app knows nothing of this: the functions
are wrapped from outside, in the process that is to die.
"""

import os
import signal
from functools import wraps
from importlib import import_module

VARIABLE = "FAULTS_KILL"

DATABASE = "events.backends.database."
DIALECT = DATABASE + "dialects.PostgreSQL"
LEDGER = DATABASE + "ledger.Ledger"
THREAD = DATABASE + "sequencer.Sequencer"

# (owner, function, die before it or after it)
POINTS = {
    # An append in several statements
    "begun": (DIALECT, "begin", "after"),
    "locked": (LEDGER, "__init__", "after"),
    "gathered": (LEDGER, "_gather", "after"),
    "streams": (DIALECT, "save_streams", "after"),
    "entries": (DIALECT, "insert_events", "after"),
    "save": (LEDGER, "save", "after"),
    # An append in one statement
    "statement": (DATABASE + "postgres", "append", "before"),
    "appended": (DATABASE + "postgres", "append", "after"),
    "step": (DATABASE + "postgres", "step", "after"),
    # An emit in a transaction
    "outbox": (DATABASE + "outbox", "put", "after"),
    "hook": (DATABASE + "hook.Hook", "__call__", "before"),
    # The thread
    "ring": (THREAD, "ring", "after"),
    "turn": (THREAD, "_serve", "before"),
    "looked": (DATABASE + "outbox", "standing", "after"),
    "taken": (LEDGER, "_sequence_at_once", "after"),
    "served": (THREAD, "_serve", "after"),
    # Row by row, where it cannot be done at once
    "pending": (DATABASE + "outbox", "pending", "after"),
    "sequenced": (LEDGER, "_sequence", "after"),
    # After the commit
    "hint": ("events.hints", "send", "before"),
    "hinted": ("events.hints", "send", "after"),
}

# The same where PostgreSQL carries the hints.
NOTICES = {
    "notice": (DATABASE + "notices.Sender", "send", "before"),
    "noticed": (DATABASE + "notices.Sender", "send", "after"),
}

# An emit to a log on Redis, and the relay of what was committed.
REDIS = "events.backends.redis."
RELAY = REDIS + "relay.Relay"
RELAYING = {
    **{name: POINTS[name] for name in ("outbox", "hook", "ring", "turn", "looked", "served")},
    "append": (REDIS + "ledger.Ledger", "append", "before"),
    "stored": (REDIS + "ledger.Ledger", "append", "after"),
    "token": (RELAY, "_lock", "after"),
    "placing": (REDIS + "ledger.Ledger", "relay", "before"),
    "placed": (REDIS + "ledger.Ledger", "relay", "after"),
    "deleted": (DIALECT, "delete", "after"),
    "relayed": (RELAY, "_forget", "before"),
    "forgotten": (RELAY, "_forget", "after"),
}

# The same for a process that runs handlers: before, in and after the function, and the commit.
CALLS = "proof.faults.handling.handlers"
HANDLING = {
    "shard": ("events.handlers.locks", "lock", "after"),
    "leased": ("events.handlers.leases", "claim", "after"),
    "called": (CALLS, "note", "before"),
    "noted": (CALLS, "note", "after"),
    "moved": ("events.handlers.locks", "move", "after"),
    "committed": ("events.handlers.fresh.Fresh", "done", "before"),
    "failing": ("events.handlers.shard.ShardWork", "failed", "before"),
    "failed": ("events.handlers.fresh.Fresh", "fail", "after"),
    "retried": ("events.handlers.due.Due", "write", "after"),
}

# And for one that delivers to endpoints of webhooks.
COURIER = "events.webhooks.courier.Courier"
LINE = "events.webhooks.line.Line"
DELIVERING = {
    "looked-for": (COURIER, "look", "after"),
    "chosen": (LINE, "step", "after"),
    "unposted": (COURIER, "post", "before"),
    "posted": (COURIER, "post", "after"),
    "sending": ("events.webhooks.sending", "post", "before"),
    "answered": (COURIER, "settle", "before"),
    "delivered": (LINE, "note", "after"),
    "refused": (LINE, "hold", "after"),
    "books": ("events.webhooks.line.Books", "write", "after"),
    "settled": (COURIER, "transact", "after"),
    "passed-by": (COURIER, "pass_by", "after"),
}


def arm(setting):
    name, _, times = setting.partition(":")
    path, attribute, when = {**POINTS, **NOTICES, **RELAYING, **HANDLING, **DELIVERING}[name]
    owner = found(path)
    setattr(owner, attribute, deadly(getattr(owner, attribute), when, int(times or 1)))


def deadly(function, when, times):
    left = [times]

    def pass_by():
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    @wraps(function)
    def wrapped(*arguments, **options):
        if when == "before":
            pass_by()
        result = function(*arguments, **options)
        if when == "after":
            pass_by()
        return result

    return wrapped


def found(path):
    """A module, or a class in one."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)


def arm_from_environment():
    if setting := os.environ.get(VARIABLE):
        arm(setting)
