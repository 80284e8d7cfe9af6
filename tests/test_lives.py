"""Two hundred streams, opened, written to, closed, abandoned and reaped by several processes at
once: each ends once, and nothing is sequenced after its end."""

import json
import subprocess
import sys
from collections import defaultdict

import pytest

from .support.servers import ROOT
from .support.sites import scratch_site

WORKER = """
import json, random, sys, time
from django.db import transaction
from events import logs
from events.exceptions import InvalidTransition, StreamClosed
log = logs["default"]
number, streams = int(sys.argv[-2]), int(sys.argv[-1])
rng = random.Random(number)
acknowledged = []

def attempt(step):
    try:
        entry = step()
    except (InvalidTransition, StreamClosed):
        return
    if entry is not None and entry.position is not None:
        acknowledged.append(entry.position)

mine = [log.stream(f"run-{n}") for n in range(streams)]
rng.shuffle(mine)
for run in mine:
    attempt(lambda: run.open(idle_timeout=0.2))
    for _ in range(rng.randrange(4)):
        attempt(lambda: run.emit("n", {"by": number}))
    if rng.random() < 0.3:
        with transaction.atomic():
            attempt(lambda: run.emit("in.transaction", {"by": number}))
    if rng.random() < 0.2:
        attempt(run.wait)
        attempt(run.resume)
    end = rng.choice([run.complete, run.fail, run.stop, None, None])
    if end is not None:
        attempt(end)
    if rng.random() < 0.2:
        log.reconcile()
print(json.dumps(acknowledged))
"""

REST = """
import json, time
from events import logs
log = logs["default"]
deadline = time.time() + 30
while time.time() < deadline:
    log.reconcile()
    alive = [one for one in log.backend.streams(1000) if one.status in ("running", "waiting")]
    for one in alive:
        if one.status == "waiting":
            log.stream(one.stream).resume()
    if not alive:
        break
    time.sleep(0.05)
found = [e.to_dict() for page in log.backend.pages(log.query(0, 1000)) for e in
         map(__import__("events.types", fromlist=["Entry"]).Entry.from_row, page.rows)]
print(json.dumps(found))
"""
ENDS = ("stream.completed", "stream.failed", "stream.stopped")
STREAMS, WORKERS = 200, 4


def shell(site, code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{code}", *map(str, arguments)],
        cwd=ROOT,
        env=site.environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_hundred_lives(database, tmp_path):
    """B53, B54, B55, B56, B57"""
    with scratch_site(database, tmp_path) as site:
        workers = [shell(site, WORKER, n, STREAMS) for n in range(WORKERS)]
        acknowledged = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * WORKERS
        entries = json.loads(shell(site, REST).communicate(timeout=60)[0])
    assert [entry["position"] for entry in entries] == list(range(1, len(entries) + 1))
    positions = [position for some in acknowledged for position in some]
    assert len(set(positions)) == len(positions)
    assert set(positions) <= {entry["position"] for entry in entries}
    streams = defaultdict(list)
    for entry in entries:
        streams[entry["stream"]].append(entry)
    assert len(streams) == STREAMS
    for events in streams.values():
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        kinds = [event["kind"] for event in events]
        assert sum(kind in ENDS for kind in kinds) == 1
        assert kinds.count("stream.opened") == 1
        ended = next(n for n, kind in enumerate(kinds) if kind in ENDS)
        # What a transaction had emitted before the end, and committed after it, is not lost.
        assert set(kinds[ended + 1 :]) <= {"in.transaction"}
