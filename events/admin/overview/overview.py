"""What the overview says of each log: figures in words, what to worry about, and the charts."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...backends.base import DELETE_BATCH
from ...backends.figures import BOUND, Figures, Moment, Stretch
from ...log import EventLog, logs
from ...types import from_micros, to_micros
from ...visible import visible
from ..shared.charts import Chart, bars, sum_of
from ..shared.words import bounded, date_and_time, duration, number, rate

logger = logging.getLogger("events")

MINUTE, HOUR = 60_000_000, 3_600_000_000


@dataclass
class Section:
    """A log on the overview."""

    name: str
    backend: str
    in_database: bool
    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    set_aside: list[Any] = field(default_factory=list)
    error: str = ""


def overview(user: Any) -> list[Section]:
    """The logs that the user may read as a whole, as they are configured."""
    return [section(logs[name]) for name in logs if logs[name].policy.can_read(user, None)]


def section(log: EventLog) -> Section:
    """A database that is away, or not migrated, is no reason not to show the others."""
    found = Section(log.name, type(log.backend).__name__, log.backend.in_database)
    try:
        fill(found, log, log.backend.figures())
    except DatabaseError as error:
        logger.exception("The log %r could not be looked at.", log.name)
        found.error = str(error)
    return found


def fill(found: Section, log: EventLog, one: Figures | None) -> None:
    if one is None:
        found.facts = list(facts(log, None, ()))
        return
    now = one.now
    hour, day = edges(now, MINUTE, 60), edges(now, 30 * MINUTE, 48)
    asked = sorted({*hour, *day, now - MINUTE, now - HOUR})
    # One statement for all, so that no event is counted here and not there.
    parts = (log.backend.stretches(asked) if one.head else None) or []
    found.facts = list(facts(log, one, parts))
    # A commit is followed by its sequencing within milliseconds: what waits then is no reason to warn.
    again = log.backend.figures() if one.pending else None
    undrained = again is not None and again.first_pending == one.first_pending
    found.warnings = list(worries(log, one, undrained))
    found.set_aside = [row._replace(reason=visible(row.reason)) for row in one.set_aside]
    titles = {
        "hour": (_("Events per minute, the last hour"), hour),
        "day": (_("Events per half hour, the last day"), day),
    }
    found.charts = [
        bars(f"{log.name}-{name}", title, joined(parts, some), has_holes=one.has_holes)
        for name, (title, some) in titles.items()
        if parts
    ]


def edges(now: int, width: int, count: int) -> list[int]:
    """So many stretches of equal length, the last of which is still going on."""
    last = now - now % width + width
    return [last - width * back for back in range(count, -1, -1)]


def joined(parts: Sequence[Stretch], edges: Sequence[int]) -> list[Stretch]:
    """The stretches between these edges, of smaller ones."""
    made = []
    for start, end in pairwise(edges):
        some = [part for part in parts if start <= part.start and part.end <= end]
        total, is_estimate = sum(part.total for part in some), any(part.estimated for part in some)
        made.append(Stretch(start, end, total, sum_of(some), is_estimate))
    return made


# In words


def facts(
    log: EventLog, one: Figures | None, parts: Sequence[Stretch]
) -> Iterator[tuple[str, str]]:
    """Of a log that does not count, no more than `info` says."""
    info = one or log.info()
    yield _("Head"), number(info.head)
    yield _("Floor"), number(info.floor)
    yield _("Entries"), number(info.count)
    if one is None:
        yield _("Retention"), retention(log)
        yield _("Charts"), _("this backend does not count what came when")
        return
    yield _("Rate"), rates(one, parts)
    yield _("Oldest entry"), moment(one.oldest, one.now)
    yield _("Newest entry"), moment(one.newest, one.now)
    yield _("Retention"), retention(log)
    yield _("Pruning now"), preview(one)
    waiting = _("%(pending)s pending, %(refused)s set aside") % counts(one, "pending", "refused")
    yield _("Outbox"), waiting if one.pending or one.refused else _("empty")
    running = _("%(running)s running, %(waiting)s waiting") % counts(one, "running", "waiting")
    yield _("Open streams"), running
    if one.deletions:
        yield _("Deletions under way"), bounded(one.deletions)


def counts(one: Figures, *names: str) -> dict[str, str]:
    return {name: bounded(getattr(one, name)) for name in names}


def rates(one: Figures, parts: Sequence[Stretch]) -> str:
    said = {}
    for name, span in (("minute", MINUTE), ("hour", HOUR)):
        some = [part for part in parts if part.start >= one.now - span]
        is_estimate = one.has_holes and any(part.estimated for part in some)
        per_second = rate(sum(part.total for part in some) / (span / 1_000_000))
        said[name] = "≈ " * is_estimate + per_second
    return _("%(minute)s events/s in the last minute, %(hour)s in the last hour") % said


def moment(one: Moment | None, now: int) -> str:
    if one is None:
        return _("none")
    return _("%(position)s: %(time)s (%(ago)s ago)") % {
        "position": number(one.position),
        "time": date_and_time(one.time),
        "ago": duration(max(0, now - to_micros(one.time)) / 1_000_000),
    }


def retention(log: EventLog) -> str:
    ttl, most = log.settings.ttl, log.settings.max_entries
    kept = []
    if ttl is not None:
        kept.append(_("for %(duration)s") % {"duration": duration(ttl)})
    if most is not None:
        entries = ngettext("%(number)s entry", "%(number)s entries", most)
        kept.append(_("at most %(entries)s") % {"entries": entries % {"number": number(most)}})
    return ", ".join(kept) or _("everything is kept")


def preview(one: Figures) -> str:
    """By the arithmetic of positions: a dry run counts the rows, and there may be millions."""
    count = one.expired + one.beyond
    if not count:
        return _("would remove nothing")
    # Translators: after "Pruning now"
    exactly = ngettext("would remove %(number)s entry", "would remove %(number)s entries", count)
    about = ngettext(
        "would remove about %(number)s entry", "would remove about %(number)s entries", count
    )
    return (about if one.has_holes else exactly) % {"number": number(count)}


def worries(log: EventLog, one: Figures, undrained: bool) -> Iterator[str]:
    if undrained:
        yield ngettext(
            "The outbox is not drained: %(number)s committed event waits for its position. "
            "The next emit or manage.py reconcile_streams gives it one.",
            "The outbox is not drained: %(number)s committed events wait for their positions. "
            "The next emit or manage.py reconcile_streams gives them theirs.",
            one.pending,
        ) % {"number": bounded(one.pending)}
    if one.ahead:
        yield _(
            "The newest event is from the future: until %(time)s every event gets that time. "
            "If it came of a wrong clock, run manage.py renew_epoch --reset-clock."
        ) % {"time": date_and_time(from_micros(one.ahead))}
    if one.refused:
        yield ngettext(
            "%(number)s event was set aside, since it cannot become an entry: see below.",
            "%(number)s events were set aside, since they cannot become entries: see below.",
            one.refused,
        ) % {"number": bounded(one.refused)}
    yield from overdue(log, one)
    if one.idle:
        yield ngettext(
            "%(number)s running stream is past its idle timeout, and nothing reconciles: "
            "keep manage.py reconcile_streams --loop 10 running.",
            "%(number)s running streams are past their idle timeouts, and nothing reconciles: "
            "keep manage.py reconcile_streams --loop 10 running.",
            min(one.idle, BOUND),
        ) % {"number": bounded(one.idle)}


def overdue(log: EventLog, one: Figures) -> Iterator[str]:
    """What should have been pruned by now."""
    # More than one batch, or for longer than the entries were to be kept in the first place.
    late = log.settings.ttl is not None and one.oldest_age > 2 * log.settings.ttl
    if one.expired > DELETE_BATCH or (one.expired and late):
        yield ngettext(
            "Pruning is behind: %(number)s entry has expired and is still stored. "
            "Run manage.py prune_events regularly.",
            "Pruning is behind: %(number)s entries have expired and are still stored. "
            "Run manage.py prune_events regularly.",
            one.expired,
        ) % {"number": number(one.expired)}
    # More than one batch, or in a small log more than a tenth of it.
    if one.beyond > min(DELETE_BATCH, (log.settings.max_entries or 0) // 10):
        yield ngettext(
            "Pruning is behind: the log has %(number)s entry more than MAX_ENTRIES. "
            "Run manage.py prune_events regularly.",
            "Pruning is behind: the log has %(number)s entries more than MAX_ENTRIES. "
            "Run manage.py prune_events regularly.",
            one.beyond,
        ) % {"number": number(one.beyond)}
