"""What `events_status` says of a log's handlers. The core knows nothing of them but that hook."""

from __future__ import annotations

from typing import Any

from .. import status
from . import samples, store
from .control import Handler
from .registry import handlers

SHOWN = ("name", "state", "lag", "held", "parked")


def start() -> None:
    status.parts["handlers"] = of_log


def of_log(log: str) -> list[dict[str, Any]]:
    """Of each handler where it stands, and whether a process is there that runs it."""
    found = []
    for spec in handlers.specs().values():
        if spec.log == log:
            known = Handler(spec).status()
            row = {name: getattr(known, name) for name in SHOWN}
            found.append({**row, "runner": has_runner(Handler(spec))})
    return found


def has_runner(handler: Handler) -> bool:
    found = store.subscription(handler.alias, handler.name)
    return found is not None and bool(samples.running(handler.alias, [found.pk]))
