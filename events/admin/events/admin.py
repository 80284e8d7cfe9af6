"""The events of a log: browsed, searched, exported and pruned, and never changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.forms import Script
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...models import Event
from ..shared import links
from ..shared.filters import LogFilter
from ..shared.keyset import Keyset, KeysetChangeList
from ..shared.payloads import excerpt, light
from ..shared.scope import scope_of
from ..shared.words import date_and_time
from .filters import KindFilter, StatusFilter, StreamFilter, TimeFilter
from .page import EventPage, moment
from .wanted import Wanted, wanted_of


class EventChangeList(KeysetChangeList):
    """With what the rows need to know besides themselves, looked up once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        self.scope, self.wanted = scope_of(request), wanted_of(request)
        super().get_results(request)
        names = {row.stream for row in self.page.rows if row.stream}
        rows = self.scope.streams().filter(name__in=names) if names else ()
        threads = {row.name: row.pk for row in rows}
        if thread := self.wanted.thread:
            threads[thread.name] = thread.pk
        for row in self.page.rows:
            row.is_wanted = row.position == self.wanted.position
            pk = threads.get(row.stream)
            row.thread_url = links.timeline(self.site, self.scope.name, row.stream, pk)

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
class EventAdmin(EventPage):
    list_display = ("position", "when", "what", "thread", "number", "excerpt")
    list_filter = (LogFilter, TimeFilter, StreamFilter, KindFilter, StatusFilter)
    search_help_text = gettext_lazy(
        "A stream, a key, a position (123 or #123), kind:turn.*, actor:7, request:…, trace:…, or "
        "stream:run-42 and key:abc to be exact."
    )

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

    # The columns

    @admin.display(description=gettext_lazy("time"))
    def when(self, event: Any) -> SafeString:
        return moment(event, "milliseconds")

    @admin.display(description=gettext_lazy("stream"), empty_value="–")
    def thread(self, event: Any) -> SafeString | None:
        if not event.stream:
            return None
        return format_html('<a href="{}">{}</a>', event.thread_url, event.stream)

    @admin.display(description=gettext_lazy("payload"))
    def excerpt(self, event: Any) -> SafeString:
        return excerpt(event.start)


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
    times = [date_and_time(event.timestamp) for event in near.only("timestamp")[:1]]
    return _(
        "This page looked at %(count)s positions, down to %(position)s (%(time)s). Look further "
        "back for older events."
    ) % {"count": wanted.keyset.span, "position": stopped, "time": times[0] if times else "–"}
