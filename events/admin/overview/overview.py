"""What the overview says of each log: figures in words, what to worry about, and the charts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...backends.database import DatabaseBackend
from ...log import EventLog, logs
from ...types import to_micros
from ..shared.scope import is_stored
from ..shared.visible import visible
from ..shared.words import bounded, date_and_time, duration, number, rate
from .activity import DAY, HOUR
from .charts import Chart, chart, palette
from .figures import Figures, Moment, figures
from .worries import worries

logger = logging.getLogger("events")


@dataclass
class Section:
    """A log on the overview. `places` says which of its pages there are to be linked to."""

    name: str
    backend: str
    is_stored: bool
    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    set_aside: list[Any] = field(default_factory=list)
    error: str = ""


def overview(user: Any) -> list[Section]:
    """The logs that the user may read as a whole, as they are configured."""
    shown = [logs[name] for name in logs if logs[name].policy.can_read(user, None)]
    stored = sorted(filter(is_stored, shown), key=alias_of)
    sections = {log.name: section(log) for log in shown if not is_stored(log)}
    # All logs of a database together, so that the page costs the same however many there are.
    for alias, some in groupby(stored, key=alias_of):
        sections |= of_database(alias, list(some))
    return [sections[log.name] for log in shown]


def alias_of(log: EventLog) -> str:
    assert isinstance(log.backend, DatabaseBackend)  # nosec B101 # for the type checker
    return log.backend.alias


def section(log: EventLog) -> Section:
    """A log that knows no more of itself than `info` says."""
    info = log.info()
    facts = [
        (_("Head"), number(info.head)),
        (_("Floor"), number(info.floor)),
        (_("Entries"), number(info.count)),
        (_("Retention"), retention(log)),
    ]
    return Section(log.name, type(log.backend).__name__, False, facts)


def of_database(alias: str, some: Sequence[EventLog]) -> dict[str, Section]:
    """A database that is away, or not migrated, is no reason not to show the others."""
    try:
        found = figures(alias, some)
    except DatabaseError as error:
        logger.exception("The logs in %r could not be looked at.", alias)
        return {
            log.name: Section(log.name, type(log.backend).__name__, True, error=str(error))
            for log in some
        }
    return {log.name: stored_section(log, found[log.name]) for log in some}


def stored_section(log: EventLog, one: Figures) -> Section:
    colours = palette([*one.hour, *one.day])
    charts = [
        (_("Events per minute, the last hour"), HOUR, one.hour),
        (_("Events per half hour, the last day"), DAY, one.day),
    ]
    return Section(
        name=log.name,
        backend=type(log.backend).__name__,
        is_stored=True,
        facts=list(facts(log, one)),
        warnings=list(worries(log, one)),
        charts=[
            chart(f"{log.name}-{span.name}", title, span, found, colours)
            for title, span, found in charts
            if found
        ],
        set_aside=[row._replace(reason=visible(row.reason)) for row in one.set_aside],
    )


# In words


def facts(log: EventLog, one: Figures) -> Iterator[tuple[str, str]]:
    yield _("Head"), number(one.head)
    yield _("Floor"), number(one.floor)
    yield _("Entries"), number(one.count)
    yield _("Rate"), rates(one)
    yield _("Oldest entry"), moment(log, one.oldest)
    yield _("Newest entry"), moment(log, one.newest)
    yield _("Retention"), retention(log)
    yield _("Pruning now"), preview(one)
    yield _("Outbox"), outbox(one)
    yield _("Open streams"), open_streams(one)
    if one.deletions:
        yield _("Deletions under way"), bounded(one.deletions)


def rates(one: Figures) -> str:
    return _("%(minute)s events/s in the last minute, %(hour)s in the last hour") % {
        "minute": rate(one.per_minute / 60),
        "hour": rate(one.per_hour / 3600),
    }


def moment(log: EventLog, one: Moment | None) -> str:
    if one is None:
        return _("none")
    ago = max(0, log.backend.now() - to_micros(one.time)) / 1_000_000
    return _("%(position)s: %(time)s (%(ago)s ago)") % {
        "position": number(one.position),
        "time": date_and_time(one.time),
        "ago": duration(ago),
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
    count = one.removable
    if not count:
        return _("would remove nothing")
    # Translators: after "Pruning now"
    sentence = (
        ngettext(
            "would remove about %(number)s entry", "would remove about %(number)s entries", count
        )
        if one.has_holes
        else ngettext("would remove %(number)s entry", "would remove %(number)s entries", count)
    )
    return sentence % {"number": number(count)}


def outbox(one: Figures) -> str:
    if not one.pending and not one.refused:
        return _("empty")
    return _("%(pending)s pending, %(refused)s set aside") % {
        "pending": bounded(one.pending),
        "refused": bounded(one.refused),
    }


def open_streams(one: Figures) -> str:
    counts = {status: bounded(count) for status, count in one.open_streams.items()}
    if not counts:
        return _("none")
    return _("%(running)s running, %(waiting)s waiting") % counts
