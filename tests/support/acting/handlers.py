"""Handlers as the environment wants them: ACTING is a JSON list of options of `@handler`."""

import json
import os
import random
import time

from django.db import connections

from events import emit
from events.handlers import handler


def act(entry, name):
    """Note the entry; then do what its payload says."""
    from .models import Effect

    Effect.objects.create(
        handler=name,
        position=entry.position,
        stream=entry.stream,
        seq=entry.seq or 0,
        process=os.getpid(),
    )
    time.sleep(entry.payload.get("sleep", 0))
    if random.random() < entry.payload.get("fail", 0):
        raise ValueError("told to fail")
    if entry.payload.get("emit"):
        emit("emitted", {"of": entry.position})
    if entry.payload.get("drop_connection"):
        connections["default"].connection.close()


def register(options):
    def function(given):
        for entry in given if isinstance(given, list) else [given]:
            act(entry, options["name"])

    handler(options.pop("kind", "n"), **options)(function)


for options in json.loads(os.environ.get("ACTING", "[]")):
    register({"since": "earliest", **options})
