"""Figures of a log for the admin and for monitors, at a cost that does not grow with it."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from django.db import connections

from ...conf import LogSettings
from ...types import Row, Status, from_micros
from ..clock import SKEW
from ..database.counting import scaled
from ..database.outbox import Backlog, backlog
from ..figures import BOUND, GRACE, Figures, Moment, Stretch
from .pages import Reader
from .rows import to_row
from .scripts import call

# The newest entries, up to so many, are counted one by one; of older ones so many of each stretch.
EXACT, SAMPLE = 20_000, 50


def figures(reader: Reader, settings: LogSettings, now: int, alias: str | None) -> Figures:
    keys, client = reader.keys, reader.client
    state = reader.state()
    waiting = Backlog() if alias is None else _backlog(alias, settings.name)
    overdue = now - GRACE * 1_000_000
    stored, floor, latest, first, oldest, newest, running, asleep, idle, deletions = call(
        client,
        ("XLEN", keys.entries),
        ("HGET", keys.log, "floor"),
        ("HGET", keys.log, "latest"),
        ("XRANGE", keys.entries, "-", "+", "COUNT", 1),
        ("XRANGE", keys.entries, f"({state.floor}-0", "+", "COUNT", 1),
        ("XREVRANGE", keys.entries, "+", f"({state.floor}-0", "COUNT", 1),
        ("ZCARD", keys.by_status[Status.RUNNING]),
        ("ZCARD", keys.by_status[Status.WAITING]),
        ("ZCOUNT", keys.deadlines, "-inf", f"({overdue}"),
        ("SCARD", keys.deletions),
    )
    expired = max(0, state.floor - int(floor or 0))
    count = max(0, stored - expired)
    most = settings.max_entries
    ahead = int(latest or 0)
    return Figures(
        now=now,
        head=state.head,
        floor=state.floor,
        expired=expired,
        count=count,
        beyond=0 if most is None else max(0, count - most),
        has_holes=stored < state.head - int(floor or 0),
        oldest=_moment(oldest),
        newest=_moment(newest),
        oldest_age=max(0, now - to_row(first[0]).micros) / 1_000_000 if first else 0,
        pending=waiting.pending,
        first_pending=waiting.first,
        pending_age=max(0, now - (waiting.since or now)) / 1_000_000,
        refused=waiting.refused,
        set_aside=waiting.set_aside,
        running=min(running, BOUND + 1),
        waiting=min(asleep, BOUND + 1),
        idle=min(idle, BOUND + 1),
        deletions=deletions,
        ahead=ahead if ahead - now > SKEW else 0,
    )


def _backlog(alias: str, log: str) -> Backlog:
    with connections[alias].cursor() as cursor:
        return backlog(cursor, log)


def _moment(found: Sequence[Sequence[bytes]]) -> Moment | None:
    row = to_row(found[0]) if found else None
    return Moment(row.position, from_micros(row.micros)) if row else None


def stretches(reader: Reader, edges: Sequence[int], stream: str | None) -> list[Stretch]:
    """What came between each two moments. Of a stretch with many entries a sample is looked at."""
    floor = reader.state().floor
    places = [max(floor, position) for position in reader.positions_at(edges)]
    made = []
    for (start, end), (after, upto) in zip(pairwise(edges), pairwise(places), strict=True):
        is_exact = places[-1] - after <= EXACT or upto - after <= SAMPLE
        rows = _all(reader, after, upto) if is_exact else _some(reader, after, upto)
        seen = Counter(row.kind for row in rows if stream is None or row.stream == stream)
        if is_exact:
            made.append(Stretch(start, end, seen.total(), seen))
        else:
            total = (upto - after) * seen.total() // max(1, len(rows))
            made.append(Stretch(start, end, total, scaled(seen, total, stream is not None), True))
    return made


def _all(reader: Reader, after: int, upto: int) -> list[Row]:
    rows: list[Row] = []
    while after < upto:
        [found] = call(
            reader.client,
            ("XRANGE", reader.keys.entries, f"({after}-0", f"{upto}-0", "COUNT", 1000),
        )
        rows += map(to_row, found)
        after = rows[-1].position if len(found) == 1000 else upto
    return rows


def _some(reader: Reader, after: int, upto: int) -> list[Row]:
    """One of each so many."""
    chosen = range(after + 1, upto + 1, (upto - after) // SAMPLE)
    asked = (("XRANGE", reader.keys.entries, f"{n}-0", f"{n}-0") for n in chosen)
    return [to_row(one) for found in call(reader.client, *asked) for one in found]
