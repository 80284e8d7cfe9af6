"""One process of a run: `python -m proof.faults.worker ROLE '{"name": "writer-1", …}'`.

It says `ready`, begins when it is told `go`, and ends at `stop` if it does not end by itself.
Clients are told `stop 1234`: where the log ends.
When nobody is left to tell it anything, it is gone at once.
"""

import json
import os
import queue
import random
import sys
import threading
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


class Job:
    """What a role is given: a name, a die, a log, somewhere to write, and somebody to listen to."""

    def __init__(self, options):
        from django.conf import settings

        from .record import Recorder

        self.options = options
        self.name = options["name"]
        self.log_name = settings.LOG
        self.rng = random.Random(f"{options['seed']}-{self.name}")
        self.write = Recorder(Path(options["folder"]) / f"{self.name}.jsonl").write
        self.goal = 0
        self.words = queue.SimpleQueue()
        self.go, self.stop = threading.Event(), threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "kill":
                self.words.put(rest)
                continue
            self.goal = int(rest or 0)
            getattr(self, word).set()
            if word == "stop":
                self.words.put(None)
        os._exit(1)

    def next_word(self):
        """What it is told to do next; None when that is to stop."""
        return self.words.get()

    def say(self, word):
        print(word, flush=True)

    def wait_for_go(self):
        """With a connection at hand, so that all begin at the same moment."""
        from django.db import DatabaseError, connection

        # The database may be one of those that are killed just now.
        with suppress(DatabaseError):
            connection.ensure_connection()
        self.say("ready")
        self.go.wait()


def main(role, options):
    import django

    django.setup()
    from .kill_points import arm_from_environment

    arm_from_environment()
    # No other: a writer needs neither an HTTP client nor a WebSocket.
    name = role if find_spec(f".{role}", __package__) else "crashes"
    module = import_module(f".{name}", __package__)
    run = module.run if name == role else getattr(module, role)
    run(Job(json.loads(options)))


if __name__ == "__main__":
    main(*sys.argv[1:])
