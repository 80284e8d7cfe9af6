"""The example site's one page."""

import json

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from events import logs

NEWEST = 50


def home(request: HttpRequest) -> HttpResponse:
    """Show the newest entries of the default log, newest first.

    Anybody gets the page, but only who may read events sees any: the page must not be a way around
    the permission that the API asks for.
    """
    may_read = request.user.has_perm("events.view_event")
    return render(request, "home.html", {"may_read": may_read, **(newest() if may_read else {})})


def newest() -> dict[str, object]:
    log = logs["default"]
    info = log.info()
    # Not below the floor, which would ask for pruned entries and be answered with a gap.
    page = log.read(since=max(info.floor, info.head - NEWEST), limit=NEWEST)
    rows = [(entry, json.dumps(entry.payload, ensure_ascii=False)) for entry in page.entries]
    return {"info": info, "rows": rows[::-1], "newest": NEWEST}
