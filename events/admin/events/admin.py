"""The events of a log: browsed, searched, exported and pruned, and never changed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.contrib import admin
from django.forms import Script
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...models import Event
from ...non_atomic import non_atomic
from ..shared.filters import LogFilter
from ..shared.keyset import Keyset, KeysetChangeList
from ..shared.pages import api
from ..shared.payloads import excerpt
from ..shared.scope import scope_of
from ..shared.words import date_and_time
from .export import FORMATS, export_view
from .filters import KindFilter, StreamFilter, StreamStatusFilter, TimeFilter
from .page import EventPage, moment
from .pruning import prune_view
from .wanted import Wanted, wanted_of


class EventChangeList(KeysetChangeList):
    """With what the rows need to know besides themselves, looked up once for all of them."""

    # Of the live switch: what its script has to know, or why it cannot be used here.
    following: Mapping[str, Any] = {}
    refusal = ""

    def get_results(self, request: HttpRequest) -> None:
        self.scope, self.wanted = scope_of(request), wanted_of(request)
        super().get_results(request)
        names = {row.stream for row in self.page.rows if row.stream}
        rows = self.scope.streams(self.wanted.stream).filter(name__in=names) if names else ()
        threads = {row.name: row.pk for row in rows}
        for row in self.page.rows:
            row.is_wanted = row.position == self.wanted.position
            pk = threads.get(row.stream)
            row.thread_url = self.model_admin.timeline(self.scope.name, row.stream, pk)
        # Is an API mounted, and may this user read there what the page shows?
        if api() and self.scope.shows(self.wanted.stream):
            self.follow()

    def follow(self) -> None:
        wanted, log, info = self.wanted, self.scope.log, self.scope.info
        if not wanted.can_be_followed:
            self.refusal = _(
                "A status, an end of the time, a key or a position cannot be followed live: "
                "remove that filter first."
            )
        elif self.newer_url:
            self.refusal = _("Only the first page can be followed live.")
        else:
            self.following = {
                "api": api(),
                "log": log.name,
                "since": info.head,
                "epoch": info.epoch,
                "kind": wanted.kind or "",
                "stream": wanted.stream or "",
                "heartbeat": log.settings.heartbeat_interval,
            }

    def exports(self) -> list[tuple[str, str]]:
        address = self.model_admin.address("event_export")
        return [(name.upper(), address + self.without(format=name)) for name in FORMATS]


@admin.register(Event)
class EventAdmin(EventPage):
    list_display = ("position", "when", "what", "thread", "number", "excerpt")
    list_filter = (LogFilter, TimeFilter, StreamFilter, KindFilter, StreamStatusFilter)
    search_help_text = gettext_lazy(
        "A stream, a key, a position (123 or #123), kind:turn.*, actor:7, request:…, trace:…, or "
        "stream:run-42 and key:abc to be exact."
    )

    class Media:
        js = [Script("events/admin/page.js", type="module")]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return EventChangeList

    def keyset(self, request: HttpRequest) -> Keyset:
        return wanted_of(request).keyset

    def get_urls(self) -> list[URLPattern]:
        """Ours first: Django's own take any path for a primary key."""
        own: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "export": ("export/", partial(export_view, self)),
            "prune": ("prune/", partial(prune_view, self)),
            "json": ("<str:object_id>/json/", self.json_view),
        }
        wrap = self.admin_site.admin_view
        return [
            path(address, non_atomic(wrap(view)), name=f"events_event_{name}")
            for name, (address, view) in own.items()
        ] + super().get_urls()

    def notes(self, request: HttpRequest, cl: KeysetChangeList) -> list[str]:
        wanted = wanted_of(request)
        if wanted.problems:
            return wanted.problems
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
