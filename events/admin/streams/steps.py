"""Stop, fail and delete streams for somebody: what is asked before, and through their life what is
done, noted in the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def asking(verb: str, some: Sequence[Stream]) -> dict[str, Any]:
    """For the page that asks; to delete, it is Django's own."""
    if verb == "delete":
        return doomed(some)
    titles = {
        "stop": ngettext("Stop a stream", "Stop streams", len(some)),
        "fail": ngettext("Fail a stream", "Fail streams", len(some)),
    }
    return {"title": titles[verb], "verb": verb, "streams": some}


def doomed(some: Sequence[Stream]) -> dict[str, Any]:
    lines, opts = [], Stream._meta
    for stream in some:
        events = ngettext("%(number)s event", "%(number)s events", stream.seq)
        lines.append(f"{stream.name}: {events % {'number': number(stream.seq)}}")
    names = opts.verbose_name if len(lines) == 1 else opts.verbose_name_plural
    return {
        "title": _("Are you sure?"),
        "object_name": opts.verbose_name,
        "objects_name": names,
        "deletable_objects": [lines],
        "deleted_objects": lines,
        "model_count": {names: len(lines)}.items(),
        # All of them: no more than a page of streams can be chosen.
        "delete_confirmation_max_display": None,
    }


def take(
    admin: KeysetAdmin,
    request: HttpRequest,
    log: EventLog,
    verb: str,
    some: Sequence[Stream],
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
    # As a payload may hold it. Not translated: it goes into the log.
    given = reason.replace("\0", "").encode(errors="replace").decode().strip()[:MAX_REASON]
    past = {"stop": "stopped", "fail": "failed"}[verb]
    given = given or f"{past} in the admin by {request.user}"
    if (handle.stop if verb == "stop" else handle.fail)(given) is None:
        return False
    noted = {"stop": _("Stopped: %(reason)s"), "fail": _("Failed: %(reason)s")}
    admin.log_change(request, stream, noted[verb] % {"reason": given})
    return True
