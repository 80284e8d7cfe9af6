"""What pruning must keep for handlers, where a log's KEEP_UNHANDLED says so."""

from collections.abc import Iterator

from .. import hooks
from . import holding, locks, store
from .models import State
from .registry import handlers
from .spec import Spec


def start() -> None:
    hooks.add(hooks.keepers, wanted)


def wanted(log: str) -> Iterator[tuple[str, int]]:
    """The handlers of the code that are not paused, and up to where each has done all."""
    for spec in handlers.specs().values():
        if spec.log == log:
            done = done_up_to(spec)
            if done is not None:
                yield spec.name, done


def done_up_to(spec: Spec) -> int | None:
    """Where it stands, or before what waits behind its held entries, whichever is first."""
    alias = store.backend_of(spec).alias
    found = store.subscription(alias, spec.name)
    if found is not None and found.state == State.PAUSED:
        return None
    cursors = [shard.cursor for shard in locks.shards_of(found)] if found else []
    if found is None or not cursors:
        # It has not begun, and what is there after its beginning is all to do.
        if isinstance(spec.since, int):
            return spec.since
        return 0 if spec.since == "earliest" else None
    waiting = holding.held(alias, found.pk).filter(failed=False).order_by("position")
    first = waiting.values_list("position", flat=True)[:1]
    return min([*cursors, *(position - 1 for position in first)])
