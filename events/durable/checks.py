"""What `manage.py check` says about durable streams.

events_durable.E001   durable streams are served from a log that is in no database
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.urls import URLPattern, URLResolver, get_resolver

from ..conf import DEFAULT_LOG
from ..log import logs


@register("events")
def check_logs(**kwargs: Any) -> list[CheckMessage]:
    try:
        names = set(served(get_resolver().url_patterns))
    except Exception:
        # Of addresses that cannot be read, Django's own checks complain.
        return []
    return [
        Error(
            f"Durable streams are served from the log {name!r}, which is in no database: their "
            "state could not be committed with an append.",
            hint='Name another log: path("v1/stream/", include("events.durable.urls"), {"log": …}).',
            id="events_durable.E001",
        )
        for name in sorted(names)
        if not in_database(name)
    ]


def in_database(name: str) -> bool:
    return name in logs and logs[name].backend.in_database


def served(
    patterns: Iterable[URLPattern | URLResolver], keywords: dict[str, Any] | None = None
) -> Iterator[str]:
    """The logs that the project's addresses serve durable streams from."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            known = {**(keywords or {}), **pattern.default_kwargs}
            yield from served(pattern.url_patterns, known)
        elif getattr(pattern.callback, "serves_durable_streams", False):
            yield {**(keywords or {}), **pattern.default_args}.get("log", DEFAULT_LOG)
