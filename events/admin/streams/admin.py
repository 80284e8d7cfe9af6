"""The streams of a log, those that were active last first."""

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
from ..shared.filters import LogFilter, StatusFilter
from ..shared.keyset import Keyset
from ..shared.scope import Scope, is_stream, scope_of
from ..shared.words import UNOPENED, date_and_time, number
from .page import badge, duration_of
from .views import StreamViews


class OwnStatusFilter(StatusFilter):
    """Also of those that were never opened."""

    statuses = (*Status, None)


@admin.register(Stream)
class StreamAdmin(StreamViews):
    list_display = ("name", badge, "events", "duration", "last_activity")
    list_filter = (LogFilter, OwnStatusFilter)
    # The address of a stream is the same wherever one comes from.
    preserve_filters = False
    search_fields = ("name",)
    search_help_text = gettext_lazy("A stream's name, or how it begins.")
    actions = ("stop_selected", "fail_selected", "delete_selected")

    # The list

    def keyset(self, request: HttpRequest) -> Keyset:
        """By the index on the last position, or with a status by that on both."""
        rows, note = self.searched(scope_of(request), request)
        status = request.GET.get("status", "")
        if status == UNOPENED:
            rows = rows.filter(status__isnull=True)
        elif status in list(Status):
            rows = rows.filter(status=status)
        return Keyset(rows, "last_position", note=note)

    def searched(self, scope: Scope, request: HttpRequest) -> tuple[QuerySet[Stream], str]:
        """What begins with the name asked for, up to a bound: of all of the log's, or of who
        may only see what they name, the stream that is called so. And a word on that bound."""
        named, begun = asked_for(request, "stream"), asked_for(request, "q")
        if named or not scope.everything or not begun:
            return scope.streams(named or begun or None), ""
        found = scope.streams()
        # "~" comes after every character of a name. By the unique index on log and name.
        begin = found.filter(name__gte=begun, name__lt=f"{begun}~").order_by("name")
        keys = list(begin.values_list("pk", flat=True)[: BOUND + 1])
        cut = _("More than %(bound)s names begin so; these are the first of them by name.")
        note = cut % {"bound": number(BOUND)} if len(keys) > BOUND else ""
        return found.filter(pk__in=keys[:BOUND]), note

    @non_atomic
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": _("Streams"), **(extra_context or {})}
        return super().changelist_view(request, context)

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
