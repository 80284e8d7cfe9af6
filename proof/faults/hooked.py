"""The endpoints of a round with webhooks, and what became of them.

python -m proof.faults.hooked make ADDRESS
python -m proof.faults.hooked note FOLDER     once they have come to the head, or in vain
"""

import json
import sys
from pathlib import Path

import django

from .acted import wait_until_quiet
from .checks.webhooks import GONE, SILENT
from .record import Endpoint, Recorder

# What each does stands in its path: see `tests/support/receiver.py`.
ENDPOINTS = {
    "steady": ("/ok", {"parallel": 3}),
    "slow": ("/slow/0.02", {"kinds": ["note.added"]}),
    "hangs now and then": ("/every/71/hang", {"parallel": 4}),
    "breaks off": ("/every/23/early", {"parallel": 2}),
    "refuses": ("/every/13/status/422", {"parallel": 2}),
    "fails": ("/every/23/status/500", {"parallel": 2}),
    "switched off": ("/ok", {}),
    SILENT: ("/hang", {"parallel": 2}),
    GONE: ("/status/410", {}),
}


def make(address):
    from events import webhooks

    for name, (path, options) in ENDPOINTS.items():
        url = f"{address}{path}?{name.replace(' ', '-')}"
        webhooks.add(url, description=name, since="earliest", **options)


def note(folder):
    from events.handlers import handlers
    from events.webhooks.models import Endpoint as Row

    rows = {one.description: one for one in Row.objects.all()}
    judged = [one for name, one in rows.items() if name not in (SILENT, GONE) and one.active]
    wait_until_quiet([handlers[one.handler_name] for one in judged], lambda: None)
    recorder = Recorder(Path(folder) / "hooked.jsonl")
    notes = [json.loads(line) for line in (Path(folder) / "notes").read_text().splitlines()]
    for name, row in rows.items():
        known = handlers[row.handler_name].status() if row.active else None
        recorder.write(
            Endpoint(
                name,
                next(iter(row.kinds), None),
                row.parallel,
                row.active,
                known.cursor if known else 0,
                known.head if known else 0,
                known.held + known.parked if known else 0,
                [
                    arrived(one)
                    for one in notes
                    if one["path"].endswith(f"?{name.replace(' ', '-')}")
                ],
            )
        )


def arrived(one):
    """What came, and whether it was answered well."""
    verb, *rest = one["path"].partition("?")[0].strip("/").split("/")
    well = verb in ("ok", "slow") or (verb == "every" and one["nth"] % int(rest[0]) > 0)
    data = json.loads(one["body"])["data"]
    return [data["position"], data["stream"], one["at"], well]


if __name__ == "__main__":
    django.setup()
    {"make": make, "note": note}[sys.argv[1]](sys.argv[2])
