"""The admin's pages of events on a long log, against the same pages on a thousand events.

    python benchmarks/admin.py [--quick] [--json FILE] [--postgres URL]

Each page is what Django's view makes of a request, rendered; what a project adds around it
(sessions, the user) is the same for both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.harness import DISPLAY, Report, Result

SHORT = 1_000

SETTINGS = {
    "apps": [
        "django.contrib.admin",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    "STATIC_URL": "/static/",
    "SILENCED_SYSTEM_CHECKS": ["admin"],
    "events": {
        f"{alias}-{name}": {"OPTIONS": {"using": alias}, "POLICY": "benchmarks.rival.Anybody"}
        for alias in DISPLAY
        for name in ("short", "long")
    },
}


def measure(report: Report, quick: bool) -> None:
    from django.test import override_settings

    from benchmarks.long_log import PAGES, fill
    from events import logs

    long = 50_000 if quick else 1_000_000
    versus = f", of {long:,} vs of {SHORT:,}"
    for alias in harness.aliases():
        counts = {f"{alias}-short": SHORT, f"{alias}-long": long}
        for name, count in counts.items():
            fill(logs[name], count)
        with override_settings(ROOT_URLCONF="benchmarks.admin_urls"):
            for title, query in PAGES.items():
                pages = [page(name, query, count) for name, count in reversed(counts.items())]
                compare(report, f"{DISPLAY[alias]}: {title}{versus}", pages, 11 if quick else 41)
            pages = [event(name, count) for name, count in reversed(counts.items())]
            compare(report, f"{DISPLAY[alias]}: the page of an event{versus}", pages, 41)


def compare(report: Report, name: str, pages: list[Callable[[], object]], rounds: int) -> None:
    """The ratio is of time, so less is better."""
    ours, short = harness.alternate(pages, rounds)
    typical = [harness.milliseconds(median(some)) for some in (ours, short)]
    ratio = 1 / harness.times_as_fast(ours, short)
    report.add(Result(name, *typical, ratio, 5.0, at_most=True))


def page(log: str, query: str, count: int) -> Callable[[], object]:
    from events.models import Event

    address = f"/admin/events/event/?log={log}&{query.format(middle=count // 2)}"
    return lambda: admin_of(Event).changelist_view(request(address)).render().content


def event(log: str, count: int) -> Callable[[], object]:
    from django.contrib.contenttypes.models import ContentType

    from events import logs
    from events.models import Event

    alias = logs[log].settings.options["using"]
    # There is no default database here, where Django would look it up once in a process.
    found = ContentType(pk=1, app_label="events", model="event")
    ContentType.objects._add_to_cache("default", found)
    pk = Event.objects.using(alias).get(log__name=log, position=count // 2).pk
    address = f"/admin/events/event/{pk}/change/?log={log}"
    return lambda: admin_of(Event).change_view(request(address), str(pk)).render().content


def admin_of(model: object) -> object:
    from django.contrib import admin

    return admin.site.get_model_admin(model)


def request(address: str) -> object:
    """As a superuser's, whom no query has to find."""
    from django.contrib.auth.models import User
    from django.test import RequestFactory

    made = RequestFactory().get(address)
    made.user = User(pk=1, username="root", is_superuser=True, is_staff=True)
    made.session = {}
    return made


if __name__ == "__main__":
    harness.main("The admin on a long log, against a short one.", measure, **SETTINGS)
