"""Long tables in seconds: rows made by the database itself, and then its statistics."""

from __future__ import annotations

from django.db import connections

from benchmarks import harness

# Every thousandth entry is of the rare kind, and a thousand streams take turns.
COLUMNS = "log_id, position, kind, stream, seq, timestamp, payload"
ROW = """
SELECT {log}, n, CASE WHEN n % 1000 = 0 THEN 'job.failed' ELSE 'turn.started' END,
       'run-' || (n % 1000), n / 1000 + 1, {start} + n * 1000, {payload} FROM ({numbers}) AS numbers
"""
TEXT = """'{{"n":' || n || ',"user":"ada","text":"a short sentence","tags":["a","b"],"ok":true}}'"""
NUMBERS = {
    "postgresql": "SELECT generate_series({first}::bigint, {last}) AS n",
    "sqlite": (
        "WITH RECURSIVE some(n) AS (VALUES ({first}) UNION ALL SELECT n + 1 FROM some "
        "WHERE n < {last}) SELECT n FROM some"
    ),
}


def fill_log(alias: str, count: int, start: int = 1_700_000_000_000_000) -> None:
    """Let a log, which must be empty, have `count` entries, one a millisecond from `start`."""
    from events import logs

    logs[alias].read()  # makes the log's row
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT id FROM events_log WHERE name = %s", [alias])
        insert(alias, "events_event", cursor.fetchone()[0], count, start)
        cursor.execute(
            "UPDATE events_log SET head = %s, latest = %s WHERE name = %s",
            [count, start + count * 1000, alias],
        )
    harness.analyze(alias)


def fill_rival(alias: str, count: int) -> None:
    """The same rows for the rival with a JSONField."""
    from benchmarks.rival import LOG

    insert(alias, "benchmarks_rival", LOG, count, 1_700_000_000_000_000)
    harness.analyze(alias)


def insert(alias: str, table: str, log: int, count: int, start: int) -> None:
    vendor = connections[alias].vendor
    cast = "::jsonb" if vendor == "postgresql" and table == "benchmarks_rival" else ""
    payload = f"({TEXT.format()}){cast}"
    numbers = NUMBERS[vendor].format(first=1, last=count)
    row = ROW.format(log=log, start=start, payload=payload, numbers=numbers)
    with connections[alias].cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({COLUMNS}) {row}")
