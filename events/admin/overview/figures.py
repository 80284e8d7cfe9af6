"""Where the logs of one database stand: the numbers of the overview.

Three statements for all the logs of an alias together, each a set of look-ups: their heads; the
positions at moments, and how much of this and that there is up to a bound; and the rows that the
first two point at. Nothing is sequenced here: a page that drained the outbox by looking at it
would never show that it is not drained.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from django.db import connections

from ...backends.clock import SKEW
from ...exceptions import EventsError
from ...log import EventLog
from ...models import Log, Outbox
from ...types import Status, from_micros
from ..shared.lookups import BOUND, GRACE, Lookups
from . import activity
from .activity import DAY, HOUR, MINUTE, Stretch

NOT_REFUSED = "events_outbox WHERE log = %s AND refused = ''"
REFUSED = "events_outbox WHERE log = %s AND refused > ''"
SET_ASIDE = 10

# Parts of one UNION: SQLite takes 500, and with three values each an old one 333.
PARTS = 330


class Moment(NamedTuple):
    position: int
    time: datetime


class SetAside(NamedTuple):
    """An outbox row that could not become an entry, and why."""

    id: int
    kind: str
    stream: str
    reason: str


@dataclass
class Figures:
    """One log's numbers. What is `…_behind` is there still and ought not to be."""

    head: int = 0
    floor: int = 0
    count: int = 0
    per_minute: int = 0
    per_hour: int = 0
    oldest: Moment | None = None
    newest: Moment | None = None
    expired: int = 0
    beyond: int = 0
    # Streams were deleted, so arithmetic with positions counts their holes as well.
    has_holes: bool = False
    # How long the oldest entry has been there, expired or not; in seconds.
    oldest_age: float = 0
    pending: int = 0
    undrained: bool = False
    refused: int = 0
    set_aside: list[SetAside] = field(default_factory=list)
    open_streams: dict[str, int] = field(default_factory=dict)
    idle: int = 0
    deletions: int = 0
    # The time of the newest event, in microseconds, if that is in the future.
    ahead: int = 0
    hour: list[Stretch] = field(default_factory=list)
    day: list[Stretch] = field(default_factory=list)

    @property
    def removable(self) -> int:
        return self.expired + self.beyond


def figures(alias: str, logs: Sequence[EventLog]) -> dict[str, Figures]:
    """By the names of the logs, which are all in this database."""
    rows = {
        row.name: row
        for row in Log.objects.using(alias).filter(name__in=[log.name for log in logs])
    }
    now = {log.name: now_of(log) for log in logs}
    asked = Lookups()
    for log in logs:
        ask_outbox(asked, log.name)
        if log.name in rows:
            ask(asked, log, rows[log.name].pk, now[log.name])
    found = asked.answers(alias)
    made = {log.name: Figures() for log in logs}
    for log in logs:
        if log.name in rows:
            made[log.name] = count(found, log, rows[log.name], now[log.name])
        made[log.name].pending = found[log.name, "pending"] or 0
        made[log.name].refused = found[log.name, "refused"] or 0
    add_rows(alias, found, [(made[name], row, now[name]) for name, row in rows.items()])
    add_set_aside(alias, made)
    add_undrained(alias, [first for name in made if (first := found[name, "first"])], made)
    return made


def now_of(log: EventLog) -> int:
    """By the log's clock, unless that cannot be right."""
    try:
        return log.backend.now()
    except EventsError:
        return round(time.time() * 1_000_000)


def ask_outbox(asked: Lookups, name: str) -> None:
    asked.count((name, "pending"), NOT_REFUSED, name)
    asked.count((name, "refused"), REFUSED, name)
    asked.ask((name, "first"), f"SELECT MIN(id) FROM {NOT_REFUSED}", name)  # nosec B608 # our own words


def ask(asked: Lookups, log: EventLog, pk: int, now: int) -> None:
    """What there is to know without knowing anything but the log's id."""
    for span in (HOUR, DAY):
        activity.ask(asked, pk, span, now)
    asked.ask((pk, "minute"), activity.AT, pk, now - MINUTE)
    asked.ask((pk, "60 minutes"), activity.AT, pk, now - 60 * MINUTE)
    cutoff = log.backend.hidden_before()
    if cutoff is not None:
        asked.ask((pk, "expired"), activity.AT, pk, cutoff)
    for column in ("position", "timestamp"):
        asked.ask(
            (pk, f"oldest {column}"),
            f"SELECT {column} FROM events_event WHERE log_id = %s ORDER BY position LIMIT 1",  # nosec B608 # our own columns
            pk,
        )
    for status in (Status.RUNNING, Status.WAITING):
        asked.count(
            (pk, status), "events_stream WHERE log_id = %s AND status = %s", pk, status.value
        )
    # Those that were silent for longest come first, so a bounded look finds the overdue ones.
    asked.ask(
        (pk, "idle"),
        "SELECT COALESCE(SUM(one), 0) FROM (SELECT 1 AS one, last_event_at, idle_timeout "
        "FROM events_stream WHERE log_id = %s AND status = %s "
        f"ORDER BY last_position LIMIT {BOUND + 1}) AS silent "
        "WHERE last_event_at + idle_timeout * 1000000 < %s",  # nosec B608 # a number
        pk,
        Status.RUNNING.value,
        now - GRACE * 1_000_000,
    )
    asked.count((pk, "deletions"), "events_deletion WHERE log_id = %s", pk)


def count(found: Mapping[Hashable, Any], log: EventLog, row: Log, now: int) -> Figures:
    """The arithmetic of positions."""
    pk = row.pk
    expired = found.get((pk, "expired")) or 0
    floor = max(row.floor, expired)
    # What a pruning that was cut short has left below the floor goes as well.
    first = found[pk, "oldest position"] or row.head + 1
    resident = max(0, row.head - floor - row.removed)
    most = log.settings.max_entries
    return Figures(
        head=row.head,
        ahead=row.latest if row.latest - now > SKEW else 0,
        floor=floor,
        count=resident,
        per_minute=row.head - max(floor, found[pk, "minute"] or 0),
        per_hour=row.head - max(floor, found[pk, "60 minutes"] or 0),
        expired=max(0, floor - first + 1),
        beyond=0 if most is None else max(0, resident - most),
        has_holes=row.removed > 0,
        oldest_age=max(0, now - (found[pk, "oldest timestamp"] or now)) / 1_000_000,
        open_streams={
            status.value: found[pk, status] for status in (Status.RUNNING, Status.WAITING)
        },
        idle=found[pk, "idle"],
        deletions=found[pk, "deletions"],
    )


def add_rows(
    alias: str, found: Mapping[Hashable, Any], known: Sequence[tuple[Figures, Log, int]]
) -> None:
    """The charts, and the oldest and the newest entry: one statement for all of the logs."""
    places: list[list[list[int]]] = []
    parts: list[tuple[str, Sequence[str | int]]] = []
    for one, row, now in known:
        charts = [activity.positions(found, row.pk, span, now, one.floor) for span in (HOUR, DAY)]
        places.append(charts)
        parts += rows_wanted(row.pk, one.floor, charts)
    read = list(union(alias, parts))
    for (one, row, now), (hour, day) in zip(known, places, strict=True):
        mine = sorted({line[1:] for line in read if line[0] == row.pk})
        readable = [line for line in mine if line[0] > one.floor]
        if readable:
            one.oldest, one.newest = (
                Moment(position, from_micros(micros))
                for position, micros, _ in (readable[0], readable[-1])
            )
        kinds = {position: kind for position, _, kind in mine}
        one.hour = activity.stretches(HOUR, now, hour, kinds)
        one.day = activity.stretches(DAY, now, day, kinds)


def rows_wanted(
    pk: int, floor: int, charts: Sequence[Sequence[int]]
) -> Iterator[tuple[str, Sequence[str | int]]]:
    select = "SELECT log_id, position, timestamp, kind FROM events_event WHERE log_id = %s"
    # Limits need a subquery each: SQLite has none in a part of a union.
    for order in ("", " DESC"):
        yield (
            f"SELECT * FROM ({select} AND position > %s ORDER BY position{order} LIMIT 1) AS ends",  # nosec B608 # our own words
            [pk, floor],
        )
    # Each stretch for itself: of a list of thousands, PostgreSQL may think that reading the whole
    # table is as good.
    for after, upto in {pair for edges in charts for pair in pairwise(edges)}:
        wanted = activity.sample(after, upto)
        if upto - after > len(wanted):
            yield f"{select} AND position IN ({', '.join(map(str, wanted))})", [pk]
        elif wanted:
            yield f"{select} AND position > %s AND position <= %s", [pk, after, upto]


def union(
    alias: str, parts: Sequence[tuple[str, Sequence[str | int]]]
) -> Iterator[tuple[Any, ...]]:
    """The rows of many small queries; one statement, or a few for very many logs."""
    with connections[alias].cursor() as cursor:
        for start in range(0, len(parts), PARTS):
            some = parts[start : start + PARTS]
            cursor.execute(
                " UNION ALL ".join(sql for sql, _ in some),
                [value for _, values in some for value in values],
            )
            yield from cursor.fetchall()


def add_set_aside(alias: str, made: Mapping[str, Figures]) -> None:
    newest = (
        "SELECT * FROM (SELECT log, id, kind, stream, refused FROM events_outbox "
        f"WHERE log = %s AND refused > '' ORDER BY id DESC LIMIT {SET_ASIDE}) AS newest"  # nosec B608 # a number
    )
    for row in union(alias, [(newest, [name]) for name, one in made.items() if one.refused]):
        made[row[0]].set_aside.append(SetAside(*row[1:]))
    for one in made.values():
        one.set_aside.sort(reverse=True)


def add_undrained(alias: str, first: Sequence[int], made: Mapping[str, Figures]) -> None:
    """Which outboxes hold a row that was there already when this page began? A commit is
    followed by its sequencing within milliseconds, and a row in between is no reason to warn."""
    if first:
        rows = Outbox.objects.using(alias).filter(id__in=first, refused="")
        for name in rows.values_list("log", flat=True):
            made[name].undrained = True
