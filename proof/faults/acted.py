"""What handlers have done: `python -m proof.faults.acted FOLDER`, once they have come to the head.

Or once they have been waited for in vain: that is for the checker to complain of.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path

import django

from .record import Handled, Recorder
from .runners import CATCHING_UP

# Seconds in which nothing more may happen.
QUIET = 2.0


def main(folder):
    from events.handlers import handlers

    from .handling.handlers import HANDLERS

    chosen = {options["name"]: handlers[options["name"]] for options in HANDLERS}
    wait_until_quiet(chosen.values(), lambda: effects().count())
    recorder = Recorder(Path(folder) / "acted.jsonl")
    for name, handler in chosen.items():
        status = handler.status()
        recorder.write(
            Handled(
                name,
                handler.spec.atomic,
                status.state,
                status.cursor,
                status.head,
                effects=[list(one) for one in effects(handler=name)],
                held=[
                    {**asdict(one), "next_attempt_at": str(one.next_attempt_at)}
                    for one in handler.held()
                ],
            )
        )


def effects(**wanted):
    """In the order in which they were written."""
    from tests.support.acting.models import Effect

    rows = Effect.objects.filter(**wanted).order_by("pk")
    return rows.values_list("position", "stream")


def wait_until_quiet(chosen, done):
    """Until nothing waits, and neither the heads nor what is `done` change any more."""
    deadline = time.monotonic() + CATCHING_UP
    last, since = None, time.monotonic()
    while time.monotonic() < deadline:
        found = [handler.status() for handler in chosen]
        at_rest = all(not status.lag and not status.held for status in found)
        seen = [done(), [status.head for status in found], at_rest]
        if seen != last or not at_rest:
            last, since = seen, time.monotonic()
        elif time.monotonic() - since > QUIET:
            return
        time.sleep(0.2)


if __name__ == "__main__":
    django.setup()
    main(*sys.argv[1:])
