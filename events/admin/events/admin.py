"""The events of a log: browsed, searched, exported and pruned, and never changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.forms import Script
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...models import Event
from ...types import wire_time
from ..shared import links
from ..shared.filters import LogFilter
from ..shared.keyset import Keyset, KeysetChangeList
from ..shared.kinds import chip
from ..shared.payloads import excerpt, light
from ..shared.scope import scope_of
from ..shared.visible import visible
from .filters import KindFilter, StatusFilter, StreamFilter, TimeFilter
from .page import EventPage
from .views import EventViews
from .wanted import Wanted, wanted_of


class EventChangeList(KeysetChangeList):
    """With what the rows need to know besides themselves, looked up once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        self.scope, self.wanted = scope_of(request), wanted_of(request)
        super().get_results(request)
        threads = self.threads()
        for row in self.page.rows:
            row.is_wanted = row.position == self.wanted.position
            row.thread_url = self.thread_url(row.stream, threads.get(row.stream))

    def threads(self) -> dict[str, int]:
        """The primary keys of the streams on this page."""
        if self.wanted.thread is not None:
            return {self.wanted.thread.name: self.wanted.thread.pk}
        names = {row.stream for row in self.page.rows if row.stream}
        if not names:
            return {}
        return dict(self.scope.streams().filter(name__in=names).values_list("name", "pk"))

    def thread_url(self, name: str, pk: int | None) -> str:
        return links.timeline(self.site, self.scope.name, name, pk) if name else ""

    @property
    def site(self) -> str:
        return self.model_admin.admin_site.name

    # For the head of the page

    def exports(self) -> list[tuple[str, str]]:
        address = links.within(self.site, "event_export")
        return [
            (title, address + self.without(format=name))
            for name, title in (("ndjson", "NDJSON"), ("csv", "CSV"))
        ]

    def prune_url(self) -> str:
        return links.within(self.site, "event_prune", log=self.scope.name)

    @cached_property
    def can_follow(self) -> bool:
        """Is an API mounted, and may this user read there what the page shows?"""
        scope, stream = self.scope, self.wanted.stream
        if links.api() is None or scope.problem:
            return False
        return scope.everything or bool(stream and scope.may_see(stream))

    @cached_property
    def refusal(self) -> str:
        """Why the live switch cannot be used here."""
        if self.can_follow and not self.wanted.can_be_followed:
            return _(
                "A status, an end of the time, a key or a position cannot be followed live: "
                "remove that filter first."
            )
        newest = self.is_newest or not self.can_follow
        return "" if newest else _("Only the first page can be followed live.")

    def following(self) -> dict[str, Any]:
        """What the live switch's script has to know; nothing where there is nothing to follow."""
        if self.refusal or not self.can_follow:
            return {}
        return {
            "api": links.api(),
            "log": self.scope.name,
            "since": self.scope.info.head,
            "epoch": self.scope.info.epoch,
            "kind": self.wanted.kind or "",
            "stream": self.wanted.stream or "",
            "heartbeat": self.scope.log.settings.heartbeat_interval,
        }


@admin.register(Event)
class EventAdmin(EventViews):
    list_display = ("position", "when", "what", "thread", "number", "excerpt")
    list_filter = (LogFilter, TimeFilter, StreamFilter, KindFilter, StatusFilter)
    search_help_text = gettext_lazy(
        "A stream, a key, a position (123 or #123), kind:turn.*, actor:7, request:…, trace:…, or "
        "stream:run-42 and key:abc to be exact."
    )
    fields = (
        "position", "exactly", "what", "where", "number", "shown_key", "why", "beside", "payload_",
    )  # fmt: skip
    readonly_fields = fields

    class Media:
        js = [Script("events/admin/page.js", type="module")]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return EventChangeList

    def keyset(self, request: HttpRequest) -> Keyset:
        keyset = wanted_of(request).keyset
        return replace(keyset, rows=light(keyset.rows))

    def notes(self, request: HttpRequest, cl: KeysetChangeList) -> list[str]:
        wanted = wanted_of(request)
        if wanted.problems:
            return wanted.problems
        if not scope_of(request).everything and cl.page.rows:
            return []
        return super().notes(request, cl) + remarks(wanted, cl)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None:
            # One that was found may be seen.
            return True
        return super().has_view_permission(request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        if found := self.found(request, object_id):
            scope, event = found
            event.page = EventPage(event, scope, self.admin_site.name)
            return event
        return None

    # The columns

    @admin.display(description=gettext_lazy("time"))
    def when(self, event: Any) -> SafeString:
        return moment(event, "milliseconds")

    @admin.display(description=gettext_lazy("time"))
    def exactly(self, event: Any) -> SafeString:
        zone = localtime(event.timestamp).tzname()
        return format_html("{} {} · {}", moment(event, "microseconds"), zone, ago(event))

    @admin.display(description=gettext_lazy("kind"))
    def what(self, event: Event) -> SafeString:
        return chip(event.kind)

    @admin.display(description=gettext_lazy("stream"), empty_value="–")
    def thread(self, event: Any) -> SafeString | None:
        if not event.stream:
            return None
        return format_html('<a href="{}">{}</a>', event.thread_url, event.stream)

    @admin.display(description=gettext_lazy("seq"), empty_value="–")
    def number(self, event: Event) -> int | None:
        return event.seq or None

    @admin.display(description=gettext_lazy("payload"))
    def excerpt(self, event: Any) -> SafeString:
        return excerpt(event.start)

    @admin.display(description=gettext_lazy("stream"))
    def where(self, event: Any) -> SafeString:
        return event.page.stream()  # type: ignore[no-any-return]

    @admin.display(description=gettext_lazy("key"))
    def shown_key(self, event: Event) -> str:
        return visible(event.key) if event.key else "–"

    @admin.display(description=gettext_lazy("context"), empty_value="–")
    def why(self, event: Any) -> SafeString | None:
        return event.page.context()  # type: ignore[no-any-return]

    @admin.display(description=gettext_lazy("neighbours"))
    def beside(self, event: Any) -> SafeString:
        return event.page.neighbours()  # type: ignore[no-any-return]

    @admin.display(description=gettext_lazy("payload"))
    def payload_(self, event: Any) -> SafeString:
        return event.page.payload()  # type: ignore[no-any-return]


def remarks(wanted: Wanted, cl: KeysetChangeList) -> list[str]:
    """What is not to be seen from the rows."""
    if cl.page.stopped is not None:
        return [looked(wanted, cl.page.stopped)]
    if wanted.position is None or any(row.position == wanted.position for row in cl.page.rows):
        return []
    return [_("There is no event at position %(position)s here.") % {"position": wanted.position}]


def looked(wanted: Wanted, stopped: int) -> str:
    """Why a page is not full although there are older events."""
    near = wanted.scope.events(wanted.stream, above=stopped - 1).order_by("position")
    times: Any = near.values_list("timestamp", flat=True)[:1]
    time = next(iter(times), None)
    return _(
        "This page looked at %(count)s positions, down to %(position)s (%(time)s). Look further "
        "back for older events."
    ) % {
        "count": wanted.keyset.span,
        "position": stopped,
        "time": f"{localtime(time):%Y-%m-%d %H:%M:%S}" if time else "–",
    }


def moment(event: Any, precision: str) -> SafeString:
    """To be read, with how long ago that was when one points at it."""
    local = localtime(event.timestamp).replace(tzinfo=None)
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        wire_time(event.timestamp),
        ago(event),
        SafeString(' class="events-here"') if getattr(event, "is_wanted", False) else "",
        local.isoformat(" ", precision),
    )


def ago(event: Any) -> str:
    passed = datetime.now(UTC) - event.timestamp
    if passed < timedelta(minutes=1):
        return _("less than a minute ago")
    return _("%(time)s ago") % {"time": timesince(event.timestamp)}
