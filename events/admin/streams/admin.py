"""The streams of a log, those that were active last first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...backends.figures import BOUND
from ...models import Stream
from ...non_atomic import non_atomic
from ...types import Status, wire_time
from ..shared.filters import ChoiceFilter, LogFilter
from ..shared.keyset import Keyset, KeysetChangeList
from ..shared.scope import Scope, is_stream, scope_of
from ..shared.words import date_and_time, number, status_name
from .page import UNOPENED, badge, duration_of
from .views import StreamViews

# Did a search find more than it may look at? Said of the request, since an admin is everybody's.
CUT = "_events_search_is_cut"


class StatusFilter(ChoiceFilter):
    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        choices: list[Status | None] = [*Status, None]
        return [(str(status or UNOPENED), status_name(status)) for status in choices]


@admin.register(Stream)
class StreamAdmin(StreamViews):
    list_display = ("name", "badge", "events", "duration", "last_activity")
    list_filter = (LogFilter, StatusFilter)
    # The address of a stream is the same wherever one comes from.
    preserve_filters = False
    search_fields = ("name",)
    search_help_text = gettext_lazy("A stream's name, or how it begins.")
    actions = ("stop_selected", "fail_selected", "delete_selected")

    # The list

    def keyset(self, request: HttpRequest) -> Keyset:
        """By the index on the last position, or with a status by that on both."""
        scope = scope_of(request)
        rows = self.searched(scope, request)
        status = request.GET.get("status", "")
        if status == UNOPENED:
            rows = rows.filter(status__isnull=True)
        elif status in list(Status):
            rows = rows.filter(status=status)
        return Keyset(rows, "last_position")

    def searched(self, scope: Scope, request: HttpRequest) -> QuerySet[Stream]:
        """What begins with the name asked for, up to a bound: of all of the log's, or of who
        may only see what they name, the stream that is called so."""
        named, begun = asked_for(request, "stream"), asked_for(request, "q")
        if named or not scope.everything or not begun:
            return scope.streams(named or begun or None)  # type: ignore[no-any-return]
        found = scope.streams()
        # "~" comes after every character of a name. By the unique index on log and name.
        begin = found.filter(name__gte=begun, name__lt=f"{begun}~").order_by("name")
        keys = list(begin.values_list("pk", flat=True)[: BOUND + 1])
        setattr(request, CUT, len(keys) > BOUND)
        return found.filter(pk__in=keys[:BOUND])  # type: ignore[no-any-return]

    def notes(self, request: HttpRequest, cl: KeysetChangeList) -> list[str]:
        said = super().notes(request, cl)
        if getattr(request, CUT, False):
            cut = _("More than %(bound)s names begin so; these are the first of them by name.")
            said.append(cut % {"bound": number(BOUND)})
        return said

    @non_atomic
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": _("Streams"), **(extra_context or {})}
        return super().changelist_view(request, context)

    @admin.display(description=gettext_lazy("status"))
    def badge(self, stream: Stream) -> str:
        return badge(stream.status)

    @admin.display(description=gettext_lazy("events"))
    def events(self, stream: Stream) -> str:
        """How many, and from which position to which."""
        return format_html(
            '{} <small class="quiet">{}–{}</small>',
            number(stream.seq),
            str(stream.first_position),
            str(stream.last_position),
        )

    @admin.display(description=gettext_lazy("duration"))
    def duration(self, stream: Stream) -> str:
        return duration_of(stream)

    @admin.display(description=gettext_lazy("last activity"))
    def last_activity(self, stream: Stream) -> str:
        moment = stream.last_event_at
        return format_html(
            '<time datetime="{}">{}</time>', wire_time(moment), date_and_time(moment)
        )


def asked_for(request: HttpRequest, name: str) -> str:
    """The stream that a parameter names, or how its name begins."""
    text = request.GET.get(name, "").strip().removeprefix("stream:")
    # What cannot be a name finds what is called so: nothing.
    return text if not text or is_stream(text) else "~"
