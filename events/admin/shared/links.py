"""Addresses within the admin, and of the API if it is mounted."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from ...conf import DEFAULT_LOG


def within(site: str, name: str, *arguments: object, log: str = DEFAULT_LOG) -> str:
    """A page of this app's in the admin site called `site`, and in a log."""
    path = reverse(f"admin:events_{name}", args=arguments, current_app=site)
    return path + ("" if log == DEFAULT_LOG else log_query(log))


def log_query(name: str | None) -> str:
    """What an address of the admin ends with, to stay in a log."""
    return "?" + urlencode({"log": name}) if name else ""


def events(site: str, log: str, **filters: str) -> str:
    if log != DEFAULT_LOG:
        filters["log"] = log
    return within(site, "event_changelist") + ("?" + urlencode(filters) if filters else "")


def timeline(site: str, log: str, name: str, pk: int | None) -> str:
    """The picture of a stream; its events, where there is no picture."""
    if pk is None:
        return events(site, log, stream=name)
    return within(site, "stream_timeline", pk, log=log)


def api() -> str | None:
    try:
        return reverse("events:events")
    except NoReverseMatch:
        return None


def api_of(position: int, log: str) -> str | None:
    """Where the API has one event: the one after the position before it."""
    query = {"since": str(position - 1), "limit": "1"}
    if log != DEFAULT_LOG:
        query["log"] = log
    address = api()
    return address and f"{address}?{urlencode(query)}"
