"""The life of a stream: which step leads from where to where.

               open              wait
    (none) ──────────> running ────────> waiting
       │                  │    <────────    │
       │                  │     resume      │
       └───────────────── ┴ ────────────────┘
             complete, fail, stop: at once and for good

A stream that was only emitted to has no status. Each step is told by an event, in the same append
as the change. Repeating a step changes nothing and emits nothing.
"""

from typing import NamedTuple

from .exceptions import InvalidTransition
from .types import TERMINAL, Status


class Step(NamedTuple):
    """A verb, the status that it leads to, and those that it may lead from."""

    verb: str
    to: Status
    sources: tuple[Status | None, ...]


ALIVE = (None, Status.RUNNING, Status.WAITING)

# By the kind of the event that tells of it.
STEPS = {
    "stream.opened": Step("open", Status.RUNNING, (None,)),
    "stream.waiting": Step("wait", Status.WAITING, (Status.RUNNING,)),
    "stream.resumed": Step("resume", Status.RUNNING, (Status.WAITING,)),
    "stream.completed": Step("complete", Status.COMPLETED, ALIVE),
    "stream.failed": Step("fail", Status.FAILED, ALIVE),
    "stream.stopped": Step("stop", Status.STOPPED, ALIVE),
}
KINDS = {step.verb: kind for kind, step in STEPS.items()}

# What a stream says that its watchdog has ended.
FAILED_IDLE = "idle_timeout"


def next_status(kind: str, stream: str, status: str | None) -> Status | None:
    """Where the step leads from `status`; None if the stream is there already."""
    step = STEPS[kind]
    if status == step.to:
        return None
    if status not in step.sources:
        stands = f"has {status}" if status in TERMINAL else f"is {status or 'not open'}"
        raise InvalidTransition(f"the stream {stream!r} cannot {step.verb}: it {stands}")
    return step.to
