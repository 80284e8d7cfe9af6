"""A stream's page: how it stands, the picture of its life, and its newest events."""

import time
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...backends.figures import GRACE
from ...models import Stream
from ...types import Status, from_micros
from ..shared.keyset import Keyset, page_of, whole
from ..shared.kinds import chip
from ..shared.payloads import excerpt, light
from ..shared.scope import Scope
from ..shared.words import (
    UNOPENED,
    date_and_time,
    duration,
    number,
    status_name,
    to_the_millisecond,
)
from .picture import picture

EVENTS = 100


def page(scope: Scope, stream: Stream, before: str) -> dict[str, Any]:
    info = scope.info
    events = Keyset(light(scope.rows(stream.name)), "position", info.floor, info.head)
    shown = page_of(events, EVENTS, whole(before), None)
    for event in shown.rows:
        event.chip, event.excerpt = chip(event.kind), excerpt(event.start)
        event.when = to_the_millisecond(event.timestamp)
    now = scope.log.backend.now()
    return {
        "facts": facts(stream, from_micros(now)),
        "picture": picture(scope, stream, now),
        "events": shown.rows,
        "older": shown.older,
        "newer": shown.newer,
    }


def facts(stream: Stream, now: datetime) -> list[tuple[str, str]]:
    found = [
        (_("Opened"), moment(stream.opened_at)),
        (_("Closed"), moment(stream.closed_at)),
        (_("Last event"), moment(stream.last_event_at)),
        (_("Duration"), duration_of(stream, now)),
        (_("Events"), number(stream.seq)),
        (_("Positions"), f"{number(stream.first_position)}–{number(stream.last_position)}"),
    ]
    if stream.opened_at is not None:
        timeout = stream.idle_timeout
        found.append((_("Idle timeout"), _("never") if timeout is None else duration(timeout)))
        if stream.status == Status.RUNNING and timeout is not None:
            found.append((_("Deadline"), deadline(stream.last_event_at, timeout, now)))
    return found


def moment(when: datetime | None) -> str:
    return date_and_time(when) if when else "–"


def duration_of(stream: Stream, now: datetime | None = None) -> str:
    """From its opening to its end, or until now; of one that has no life, nothing."""
    if stream.opened_at is None:
        return "–"
    until = stream.closed_at or now or from_micros(round(time.time() * 1_000_000))
    return duration((until - stream.opened_at).total_seconds())


def deadline(since: datetime, timeout: float, now: datetime) -> str:
    """When it fails, unless an event comes."""
    try:
        due = since + timedelta(seconds=timeout)
    except OverflowError:
        return _("never")
    left = (due - now).total_seconds()
    said = _("in %(duration)s") if left >= 0 else _("%(duration)s ago")
    if left < -GRACE:
        said = _("%(duration)s ago, and nothing reconciles")
    return f"{date_and_time(due)} ({said % {'duration': duration(abs(left))}})"


@admin.display(description=gettext_lazy("status"))
def badge(stream: Stream) -> str:
    return format_html(
        '<span class="events-badge events-badge-{}">{}</span>',
        stream.status or UNOPENED,
        status_name(stream.status),
    )
