"""Stop, fail and delete streams for somebody: through their life, and noted in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...exceptions import EventsError
from ...log import EventLog
from ...models import Stream
from ...streams import MAX_REASON
from ..shared.keyset import KeysetAdmin
from ..shared.words import number


def stop(
    admin: KeysetAdmin, request: HttpRequest, log: EventLog, some: Iterable[Stream], reason: str
) -> None:
    def step(stream: Stream) -> bool:
        given = clean(reason) or f"stopped in the admin by {request.user}"
        if log.stream(stream.name).stop(given) is None:
            return False
        admin.log_change(request, stream, _("Stopped: %(reason)s") % {"reason": given})
        return True

    done = each(request, some, step)
    tell(request, ngettext("%(number)s stream stopped.", "%(number)s streams stopped.", done), done)


def fail(
    admin: KeysetAdmin, request: HttpRequest, log: EventLog, some: Iterable[Stream], reason: str
) -> None:
    def step(stream: Stream) -> bool:
        given = clean(reason) or f"failed in the admin by {request.user}"
        if log.stream(stream.name).fail(given) is None:
            return False
        admin.log_change(request, stream, _("Failed: %(reason)s") % {"reason": given})
        return True

    done = each(request, some, step)
    tell(request, ngettext("%(number)s stream failed.", "%(number)s streams failed.", done), done)


def delete(admin: KeysetAdmin, request: HttpRequest, log: EventLog, some: Iterable[Stream]) -> None:
    def step(stream: Stream) -> bool:
        log.stream(stream.name).delete()
        admin.log_deletions(request, [stream])  # type: ignore[arg-type]
        return True

    done = each(request, some, step)
    tell(request, ngettext("%(number)s stream deleted.", "%(number)s streams deleted.", done), done)


def each(request: HttpRequest, some: Iterable[Stream], step: Callable[[Stream], bool]) -> int:
    """How many took the step. What one stream refuses is no reason to stop at it."""
    done = 0
    for stream in some:
        try:
            if step(stream):
                done += 1
            else:
                already = _("The stream %(name)s is there already; nothing was changed.")
                messages.info(request, already % {"name": stream.name})
        except EventsError as error:
            messages.error(request, _("Not possible: %(error)s.") % {"error": error})
    return done


def tell(request: HttpRequest, sentence: str, done: int) -> None:
    if done:
        messages.success(request, sentence % {"number": number(done)})


def clean(reason: str) -> str:
    """As a payload may hold it."""
    return reason.replace("\0", "").encode(errors="replace").decode().strip()[:MAX_REASON]
