"""What `manage.py run_handlers` runs in a round that has runners.

Each handler writes a row for every entry. What it writes, and how often an entry fails, is drawn
anew in each process; `poisoned` alone fails for the same entries each time.
"""

import os
import random
import time

from events import emit
from events.handlers import handler
from tests.support.acting.models import Effect

from ..kill_points import arm_from_environment
from ..record import HANDLING, SHARDS, echo_of, is_poison

# So often that nothing is parked that will go well one day.
PATIENT = [0.2] * 1000

COUNT = int(os.environ.get(SHARDS, 2))
HANDLERS = (
    {"name": "single", "shards": COUNT},
    {"name": "batch", "shards": 3, "batch": 20},
    {"name": "free", "atomic": False},
    {"name": "free-batch", "atomic": False, "shards": COUNT, "batch": 20},
    {"name": "poisoned", "batch": 5, "retry": [0.1, 0.2]},
)


def note(name, entry):
    Effect.objects.create(
        handler=name, position=entry.position, stream=entry.stream, seq=entry.seq or 0, process=0
    )


def act(name, entry):
    note(name, entry)
    uid = entry.payload.get("uid")
    if name == "single" and entry.kind == "job.done":
        emit("echo.made", {"uid": echo_of(uid)}, stream="echoes")
    if name == "poisoned":
        if is_poison(entry.kind, uid):
            raise ValueError("this one fails each time")
        return
    dice = random.random()
    if dice < 0.02:
        raise ValueError("this one failed this time")
    if dice < 0.023:
        # As one that hangs for a while.
        time.sleep(1.5)


def register(options):
    name = options["name"]

    def function(given):
        for entry in given if isinstance(given, list) else [given]:
            act(name, entry)

    handler(**{"since": "earliest", "retry": PATIENT, **options})(function)


for options in HANDLERS if os.environ.get(HANDLING, "1") else ():
    register(options)
arm_from_environment()
