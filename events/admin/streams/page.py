"""A stream's page: how it stands, the picture of its life, and its newest events."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

from ...backends.figures import GRACE
from ...models import Stream
from ...types import Status, from_micros
from ..shared.keyset import Keyset, page_of, whole
from ..shared.kinds import chip
from ..shared.payloads import excerpt, light
from ..shared.scope import Scope
from ..shared.words import date_and_time, duration, number, status_name, to_the_millisecond
from .picture import picture

EVENTS = 100

# As a status: a stream that was only emitted to.
UNOPENED = "none"


def page(scope: Scope, stream: Stream, before: str) -> dict[str, Any]:
    floor = scope.info.floor
    events = Keyset(light(scope.events(stream.name)), "position", floor, scope.info.head)
    shown = page_of(events, EVENTS, whole(before), None)
    now = scope.log.backend.now()
    return {
        "facts": facts(stream, from_micros(now)),
        "picture": picture(scope, stream, now),
        "events": [line(event) for event in shown.rows],
        "older": shown.older,
        "newer": shown.newer,
    }


def line(event: Any) -> dict[str, Any]:
    return {
        "pk": event.pk,
        "position": event.position,
        "seq": event.seq,
        "kind": chip(event.kind),
        "when": to_the_millisecond(event.timestamp),
        "excerpt": excerpt(event.start),
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
        found.append((_("Idle timeout"), timeout(stream)))
    if stream.status == Status.RUNNING and stream.idle_timeout is not None:
        found.append((_("Deadline"), deadline(stream, now)))
    return found


def moment(when: datetime | None) -> str:
    return date_and_time(when) if when else "–"


def duration_of(stream: Stream, now: datetime | None = None) -> str:
    """From its opening to its end, or until now; of one that has no life, nothing."""
    if stream.opened_at is None:
        return "–"
    until = stream.closed_at or now or from_micros(round(time.time() * 1_000_000))
    return duration((until - stream.opened_at).total_seconds())


def timeout(stream: Stream) -> str:
    return _("never") if stream.idle_timeout is None else duration(stream.idle_timeout)


def deadline(stream: Stream, now: datetime) -> str:
    """When it fails, unless an event comes."""
    try:
        due = stream.last_event_at + timedelta(seconds=stream.idle_timeout or 0)
    except OverflowError:
        return _("never")
    left = (due - now).total_seconds()
    said = _("in %(duration)s") if left >= 0 else _("%(duration)s ago")
    if left < -GRACE:
        said = _("%(duration)s ago, and nothing reconciles")
    return f"{date_and_time(due)} ({said % {'duration': duration(abs(left))}})"


def badge(status: str | None) -> str:
    return format_html(
        '<span class="events-badge events-badge-{}">{}</span>',
        status or UNOPENED,
        status_name(status),
    )
