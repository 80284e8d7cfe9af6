"""What `manage.py check` says about webhooks.

events_webhooks.E001   the app events.handlers is missing
events_webhooks.E002   httpx is missing
events_webhooks.E003   a setting that cannot be used
events_webhooks.W001   endpoints may be in networks that are not public, or without TLS, and DEBUG is off
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from . import conf


def has_httpx() -> bool:
    return find_spec("httpx") is not None


def is_complete() -> bool:
    return has_httpx() and apps.is_installed("events.handlers")


@register("events")
def check_webhooks(**kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if not apps.is_installed("events.handlers"):
        messages.append(
            Error(
                "events.webhooks needs events.handlers.",
                hint='Put "events.handlers" before it in INSTALLED_APPS.',
                id="events_webhooks.E001",
            )
        )
    if not has_httpx():
        messages.append(
            Error(
                "events.webhooks needs httpx.",
                hint='Install the extra: pip install "django-durable-events[webhooks]".',
                id="events_webhooks.E002",
            )
        )
    messages += [
        Error(f"WEBHOOKS_{name} {problem}.", hint="See docs/reference/webhooks.md.", id="events_webhooks.E003")
        for name, problem in problems()
    ]  # fmt: skip
    if not settings.DEBUG and (conf.get("ALLOW_HTTP") or conf.get("ALLOWED_NETWORKS")):
        messages.append(
            Warning(
                "Webhooks may go to networks that are not public, or without TLS.",
                hint="Take WEBHOOKS_ALLOWED_NETWORKS and WEBHOOKS_ALLOW_HTTP out, unless only you make endpoints.",
                id="events_webhooks.W001",
            )
        )
    return messages


def problems() -> Iterator[tuple[str, str]]:
    for name in (
        "KEEP",
        "TIMEOUT",
        "CONNECT_TIMEOUT",
        "GIVE_UP",
        "OVERLAP",
        "CONCURRENCY",
        "PER_USER",
    ):
        try:
            if not conf.seconds(name) > 0:
                yield name, "must be more than 0"
        except (TypeError, ValueError):
            yield name, "must be a number, or a timedelta where it is a time"
    try:
        conf.allowed_networks()
    except (TypeError, ValueError) as error:
        yield "ALLOWED_NETWORKS", f"must be a list of networks ({error})"
    schedule = conf.get("RETRY")
    try:
        if not schedule or not all(0 <= float(one) < 10**9 for one in schedule):
            yield "RETRY", "must be a list of seconds, and not empty"
    except (TypeError, ValueError):
        yield "RETRY", "must be a list of seconds"
