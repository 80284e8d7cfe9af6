"""A long log for the admin, with all that its pages filter by, and those pages."""

from __future__ import annotations

from django.db import connections

from benchmarks.filling import NUMBERS
from events.log import EventLog

PAGES = {
    "first": "",
    "middle": "before={middle}",
    "oldest": "after=0",
    "kind": "kind=job.failed",
    "kind prefix": "kind=job.*",
    "kind that is not there": "kind=none.such",
    "kind in a stream": "kind=turn.*&stream=run-42",
    "stream": "stream=run-42",
    "stream that is not there": "stream=none",
    "status": "status=failed",
    "status and kind": "status=failed&kind=job.failed",
    "last hour": "time=hour",
    "from and to": "from=2023-11-14T22:13:25&to=2023-11-14T22:13:45",
    "all at once": "from=2023-11-14&to=2099-01-01&kind=turn.*&status=running&before={middle}",
    "search: stream": "q=run-42",
    "search: key": "q=key:key-{middle}",
    "search: bare key": "q=key-{middle}",
    "search: position": "q=%23{middle}",
    "search: kind": "q=kind:turn.*",
    "search: actor that is not there": "q=actor:none",
    "search: nonsense": "q=none+such",
}

# A stream for every residue of a thousand, each fiftieth of them failed; a kind in a thousand is
# rare; each tenth event has a key.
EVENTS = """
INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload, idempotency_key)
SELECT {log}, n, CASE WHEN n % 1000 = 7 THEN 'job.failed' ELSE 'turn.started' END,
       'run-' || (n % 1000), n / 1000 + 1, 1700000000000000 + n * 1000,
       '{{"n":' || n || ',"text":"a short sentence","tags":["a","b"],"ok":true}}',
       CASE WHEN n % 10 = 0 THEN 'key-' || n END FROM ({numbers}) AS numbers
"""
STREAMS = """
INSERT INTO events_stream (log_id, name, status, seq, first_position, last_position, last_event_at)
SELECT {log}, 'run-' || n, CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'running' END, {count} / 1000,
       n + 1, {count} - 1000 + n + 1, 1700000000000000 FROM ({numbers}) AS numbers
"""


def fill(log: EventLog, count: int) -> None:
    """Rows made by the database itself, and then its statistics."""
    alias = str(log.settings.options.get("using", "default"))
    log.read()
    numbers = NUMBERS[connections[alias].vendor]
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT id FROM events_log WHERE name = %s", [log.name])
        pk = cursor.fetchone()[0]
        cursor.execute(EVENTS.format(log=pk, numbers=numbers.format(first=1, last=count)))
        streams = numbers.format(first=0, last=min(999, count))
        cursor.execute(STREAMS.format(log=pk, numbers=streams, count=count))
        cursor.execute(
            "UPDATE events_log SET head = %s, latest = %s WHERE id = %s",
            [count, 1_700_000_000_000_000 + count * 1000, pk],
        )
        cursor.execute("ANALYZE")
