"""What the list's live switch needs to know, or why it cannot be used."""

from __future__ import annotations

from typing import Any

from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext as _

from ..shared import links
from ..shared.kinds import TONES
from ..shared.scope import Scope
from .wanted import Wanted

# Rows in a list that has grown for a while.
MOST_ROWS = 200


def options(scope: Scope, wanted: Wanted, site: str, is_newest: bool) -> dict[str, Any] | None:
    """None where there is nothing to follow: no API is mounted, or this user may not read it."""
    if links.api() is None or scope.problem or not scope.is_stored:
        return None
    if not (scope.everything or (wanted.stream and scope.may_see(wanted.stream))):
        return None
    if refusal := why_not(wanted, is_newest):
        return {"refusal": refusal}
    return {"data": data(scope, wanted, site)}


def why_not(wanted: Wanted, is_newest: bool) -> str:
    if not wanted.can_be_followed:
        return _(
            "A status, an end of the time, a key or a position cannot be followed live: "
            "remove that filter first."
        )
    return "" if is_newest else _("Only the first page can be followed live.")


def data(scope: Scope, wanted: Wanted, site: str) -> dict[str, Any]:
    """Attributes of the element that the script finds; it has no texts of its own."""
    return {
        "api": links.api(),
        "log": scope.name,
        "since": scope.info.head,
        "epoch": scope.info.epoch,
        "kind": wanted.kind or "",
        "stream": wanted.stream or "",
        "event-url": links.within(site, "event_at", 0, log=scope.name),
        "thread-url": links.within(site, "event_thread", "0", log=scope.name),
        "zone": get_current_timezone_name(),
        "tones": TONES,
        "most": MOST_ROWS,
        "heartbeat": scope.log.settings.heartbeat_interval,
        "says-connecting": _("Connecting"),
        "says-catching-up": _("Catching up"),
        "says-live": _("Following"),
        "says-offline": _("Offline; trying again"),
        "says-closed": _("Closed"),
        "says-paused": _("Paused while you read"),
        "says-one": _("1 new event"),
        "says-many": _("%(count)s new events"),
        "says-gap": _("Events were removed before they could be shown: reload the page."),
        "says-error": _("The log cannot be followed."),
        "says-end": _("This stream has ended."),
    }
