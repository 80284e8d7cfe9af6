"""Somebody with a client of the database, and good intentions."""

import time

import psycopg

from ..record import Broken
from . import Nemesis

# Kind, payload and, if not that of the newest event, time.
DAMAGE = (
    ("stream.deleted", "[]", None),
    ("note.added", '{"uid": ', None),
    ("note.added", "{uid: 1}", None),
    ("note.moved", '{"uid": "x"}', 1_830_000_000_000_000_000),  # in the year 60000
)

INSERT = """
WITH log AS (UPDATE events_log SET head = head + 1 WHERE name = 'default' RETURNING *)
INSERT INTO events_event (log_id, position, kind, stream, seq, timestamp, payload)
SELECT id, head, %s, '', 0, COALESCE(%s, latest), %s FROM log RETURNING position
"""


class BreakRow(Nemesis):
    """Rows that nobody can read, at the head of the log, as no verb of ours writes them."""

    lasts = (0.1, 0.5)

    def strike(self):
        with psycopg.connect(self.world.url, autocommit=True) as connection:
            for kind, payload, micros in self.rng.sample(DAMAGE, 3):
                [position] = connection.execute(INSERT, [kind, micros, payload]).fetchone()
                self.world.recorder.write(Broken(position))
                time.sleep(self.rng.choice([0, 0.2]))
