"""Stop, fail and delete streams for somebody, through their life, and note it in the history."""

from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...exceptions import EventsError
from ...log import EventLog
from ...models import Stream
from ...streams import as_reason
from ..shared.keyset import KeysetAdmin
from ..shared.words import number


def take(
    admin: KeysetAdmin,
    request: HttpRequest,
    log: EventLog,
    verb: str,
    some: Iterable[Stream],
    reason: str = "",
) -> None:
    """Take the step with each of them. What one refuses is no reason to stop at it."""
    done = 0
    for stream in some:
        try:
            if take_one(admin, request, log, verb, stream, reason):
                done += 1
            else:
                already = _("The stream %(name)s is there already; nothing was changed.")
                messages.info(request, already % {"name": stream.name})
        except EventsError as error:
            messages.error(request, _("Not possible: %(error)s.") % {"error": error})
    said = {
        "stop": ngettext("%(number)s stream stopped.", "%(number)s streams stopped.", done),
        "fail": ngettext("%(number)s stream failed.", "%(number)s streams failed.", done),
        "delete": ngettext("%(number)s stream deleted.", "%(number)s streams deleted.", done),
    }
    if done:
        messages.success(request, said[verb] % {"number": number(done)})


def take_one(
    admin: KeysetAdmin, request: HttpRequest, log: EventLog, verb: str, stream: Stream, reason: str
) -> bool:
    """False if the stream is there already."""
    handle = log.stream(stream.name)
    if verb == "delete":
        handle.delete()
        admin.log_deletions(request, [stream])  # type: ignore[arg-type]
        return True
    step, past, noted = {
        "stop": (handle.stop, "stopped", _("Stopped: %(reason)s")),
        "fail": (handle.fail, "failed", _("Failed: %(reason)s")),
    }[verb]
    # Not translated: it goes into the log.
    given = as_reason(reason.strip()) or f"{past} in the admin by {request.user}"
    if step(given) is None:
        return False
    admin.log_change(request, stream, noted % {"reason": given})
    return True
