"""A durable, resumable event log for Django.

    from events import emit, logs

    emit("turn.started", {"n": 1}, stream="run-42")
    page = logs["default"].read(since=41)

This module is the door: everything that a project calls is named here. Read on in
`events.types` (what comes back), `events.log` (what a log can do) and
`events.exceptions` (what can go wrong).
"""

from .context import context
from .log import EventLog, aemit, aemit_many, emit, emit_many, logs
from .types import Entry, Gap, LogInfo, Page

__all__ = [
    "Entry",
    "EventLog",
    "Gap",
    "LogInfo",
    "Page",
    "aemit",
    "aemit_many",
    "context",
    "emit",
    "emit_many",
    "logs",
]
