"""Addresses of the API, if it is mounted, and what an address of the admin ends with."""

from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from ...conf import DEFAULT_LOG


def log_query(name: str | None) -> str:
    """To stay in a log."""
    return "?" + urlencode({"log": name}) if name else ""


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
