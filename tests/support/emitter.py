"""Another process of the site that does what it is told, a line of Python at a time."""

import json
import subprocess
import sys
from contextlib import contextmanager

from .servers import ROOT

LOOP = """
import json, sys
from events import emit, emit_many, logs
from events.models import Stream
log = logs["default"]
for line in sys.stdin:
    result = eval(line)
    print(json.dumps(result, default=lambda entry: entry.to_dict()), flush=True)
"""


class Emitter:
    def __init__(self, process):
        self.process = process

    def do(self, code):
        """Have it evaluate an expression; what that gave, as JSON has it."""
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def emit(self, kind="n", payload=None, **options):
        """Emit there; the position."""
        return self.do(f"emit({kind!r}, {payload!r}, **{options!r})")["position"]

    def emit_many(self, count, size=10, **options):
        item = {"kind": "n", "payload": {"text": "x" * size}, **options}
        return self.do(f"[e.position for e in emit_many([{item!r}] * {count})]")

    def end_stream(self, name, status="completed"):
        self.do(f"Stream.objects.filter(name={name!r}).update(status={status!r})")


@contextmanager
def emitter(site):
    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v0", "-c", LOOP],
        cwd=ROOT,
        env=site.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Emitter(process)
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
