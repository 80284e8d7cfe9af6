"""The streams of a log, the page of each, and what may be done to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..conf import DEFAULT_LOG
from ..models import Stream
from ..types import TERMINAL, Status, wire_time
from . import links, steps
from .filters import ChoiceFilter, LogFilter
from .keyset import Keyset, KeysetAdmin, KeysetChangeList, log_query
from .logs import non_atomic
from .lookups import BOUND
from .scope import Scope, is_stream, opens, scope_of
from .streampage import page
from .words import date_and_time, duration_of, number, status_name

# Of a status filter: streams that were only emitted to.
UNOPENED = "none"


STYLES = ("charts", "kinds", "streams")


class StatusFilter(ChoiceFilter):
    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        choices: list[Status | None] = [*Status, None]
        return [(str(status or UNOPENED), status_name(status)) for status in choices]


class StreamChangeList(KeysetChangeList):
    def url_for_result(self, result: Any) -> str:
        site, log = self.model_admin.admin_site.name, self.params.get("log") or DEFAULT_LOG
        return links.within(site, "stream_timeline", result.pk, log=log)


@admin.register(Stream)
class StreamAdmin(KeysetAdmin):
    list_display = (
        "name",
        "badge",
        "events",
        "duration",
        "last_activity",
    )
    list_filter = (LogFilter, StatusFilter)
    # Half of Django's: a row of ten values takes longer to draw than to find.
    list_per_page = 50
    # The address of a stream is the same wherever one comes from.
    preserve_filters = False
    search_fields = ("name",)
    search_help_text = gettext_lazy("A stream's name, or how it begins.")
    actions = ("stop_selected", "fail_selected", "delete_selected")

    class Media:
        css = {"all": [f"events/admin/{name}.css" for name in STYLES]}

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
        asked = asked_for(request)
        if not scope.everything or not asked:
            return scope.streams(asked or None)  # type: ignore[no-any-return]
        found = scope.streams()
        # "~" comes after every character of a name. By the unique index on log and name.
        begin = found.filter(name__gte=asked, name__lt=f"{asked}~").order_by("name")
        return found.filter(pk__in=list(begin.values_list("pk", flat=True)[:BOUND]))  # type: ignore[no-any-return]

    def notes(self, request: HttpRequest, cl: KeysetChangeList) -> list[str]:
        said = super().notes(request, cl)
        if asked_for(request) and not said:
            said.append(
                _("Names that begin with %(name)s; of very many, the first %(bound)s by name.")
                % {"name": asked_for(request), "bound": number(BOUND)}
            )
        return said

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return StreamChangeList

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

    # One stream

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """What a stock view finds: a stream that this user may see."""
        found = self.found(request, object_id)
        return found and found[1]

    def found(self, request: HttpRequest, object_id: str) -> tuple[Scope, Stream] | None:
        """A stream and the scope of its log; missing and forbidden look the same.

        Without `?log=` (the links in Django's history have none) it may be in any of the logs of
        that database.
        """
        scope = scope_of(request)
        if scope.problem or not object_id.isdecimal() or int(object_id) >= 2**63:
            return None
        rows = Stream.objects.using(scope.alias).select_related("log").filter(pk=int(object_id))
        stream = rows.first()
        if stream is not None and stream.log.name != scope.name and not scope.given:
            scope = Scope(stream.log.name, request.user)
        if stream is None or stream.log.name != scope.name or not scope.may_see(stream.name):
            return None
        return scope, stream

    def missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What Django answers for any object that is not there."""
        said = _("There is no stream with the ID “%(id)s”. Perhaps it was deleted?")
        messages.warning(request, said % {"id": unquote(object_id)[:100]})
        return HttpResponseRedirect(reverse("admin:index", current_app=self.admin_site.name))

    def timeline_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        found = self.found(request, unquote(object_id))
        if found is None:
            return self.missing(request, object_id)
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        scope, stream = found
        context = {
            **self.context(request, scope, stream),
            **page(scope, stream, request.GET.get("before", "")),
            "title": stream.name,
        }
        return self.render(request, "timeline", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """There is nothing to edit in a stream: its page is its timeline."""
        return self.timeline_view(request, object_id)

    def context(self, request: HttpRequest, scope: Scope, stream: Stream) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "object": stream,
            "original": stream,
            "stream": stream,
            "log_query": log_query(scope.name),
            "badge": badge(stream.status),
            "may_end": self.has_change_permission(request) and stream.status not in TERMINAL,
            "may_delete": self.has_delete_permission(request),
        }

    def address(self, name: str, *arguments: object, log: str) -> str:
        return links.within(self.admin_site.name, name, *arguments, log=log)

    def render(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/events/stream/{name}.html", context)

    # Stop, fail and delete one

    @non_atomic
    def stop_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.end_view(request, object_id, "stop")

    @non_atomic
    def fail_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.end_view(request, object_id, "fail")

    def end_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Ask for the reason, and then do it."""
        found = self.found(request, unquote(object_id))
        if found is None:
            return self.missing(request, object_id)
        if not self.has_change_permission(request):
            raise PermissionDenied
        scope, stream = found
        back = self.address("stream_timeline", stream.pk, log=scope.name)
        if request.method == "POST":
            end = {"stop": steps.stop, "fail": steps.fail}[verb]
            end(self, request, scope.log, [stream], request.POST.get("reason", ""))
            return HttpResponseRedirect(back)
        context = {**self.context(request, scope, stream), **asking(verb, [stream], back)}
        return self.render(request, "reason", context)

    @non_atomic
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """As Django's, but not in a transaction: every emit would wait for its end."""
        found = self.found(request, unquote(object_id))
        if found is None:
            return self.missing(request, object_id)
        if not self.has_delete_permission(request):
            raise PermissionDenied
        scope, stream = found
        if request.method == "POST":
            steps.delete(self, request, scope.log, [stream])
            return HttpResponseRedirect(self.address("stream_changelist", log=scope.name))
        context = {**self.context(request, scope, stream), **doomed([stream])}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/delete_confirmation.html", context)

    # The same for those selected

    @admin.action(description=gettext_lazy("Stop selected streams"), permissions=["change"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Stream]) -> None:
        steps.stop(self, request, scope_of(request).log, chosen(queryset), "")

    @admin.action(description=gettext_lazy("Fail selected streams…"), permissions=["change"])
    def fail_selected(
        self, request: HttpRequest, queryset: QuerySet[Stream]
    ) -> HttpResponse | None:
        scope, some = scope_of(request), chosen(queryset)
        if request.POST.get("post"):
            steps.fail(self, request, scope.log, some, request.POST.get("reason", ""))
            return None
        back = self.address("stream_changelist", log=scope.name)
        context = {
            **self.context(request, scope, some[0] if some else Stream()),
            **asking("fail", some, back),
            "action": "fail_selected",
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        }
        return self.render(request, "reason", context)

    @admin.action(description=gettext_lazy("Delete selected streams…"), permissions=["delete"])
    def delete_selected(
        self, request: HttpRequest, queryset: QuerySet[Stream]
    ) -> HttpResponse | None:
        scope, some = scope_of(request), chosen(queryset)
        if request.POST.get("post"):
            steps.delete(self, request, scope.log, some)
            return None
        context = {
            **self.context(request, scope, some[0] if some else Stream()),
            **doomed(some),
            "queryset": some,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/delete_selected_confirmation.html", context)

    # Who may what

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # One that was found may be seen: see `found`.
        return obj is not None or opens(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.change_stream")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.delete_stream")

    def get_urls(self) -> list[Any]:
        views = {
            "timeline": self.timeline_view,
            "stop": self.stop_view,
            "fail": self.fail_view,
        }
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"events_stream_{name}",
            )
            for name, view in views.items()
        ]
        return own + super().get_urls()


def asked_for(request: HttpRequest) -> str:
    """The beginning of a name that a request searches for, or the name that it filters by."""
    for name in ("stream", "q"):
        text = request.GET.get(name, "").strip().removeprefix("stream:")
        if text:
            # What cannot be a name finds what is called so: nothing.
            return text if is_stream(text) else "~"
    return ""


def chosen(queryset: QuerySet[Stream]) -> list[Stream]:
    """Bounded, since a forged request may ask for all there are."""
    return list(queryset.order_by("-last_position")[:BOUND])


def badge(status: str | None) -> str:
    return format_html(
        '<span class="events-badge events-badge-{}">{}</span>',
        status or UNOPENED,
        status_name(status),
    )


def asking(verb: str, some: Iterable[Stream], back: str) -> dict[str, Any]:
    some = list(some)
    titles = {
        "stop": ngettext("Stop a stream", "Stop streams", len(some)),
        "fail": ngettext("Fail a stream", "Fail streams", len(some)),
    }
    return {"title": titles[verb], "verb": verb, "streams": some, "back": back}


def doomed(some: Iterable[Stream]) -> dict[str, Any]:
    """What Django's pages say before they delete."""
    lines, opts = list(lines_of(some)), Stream._meta
    plural = opts.verbose_name if len(lines) == 1 else opts.verbose_name_plural
    return {
        "title": _("Are you sure?"),
        "subtitle": None,
        "object_name": opts.verbose_name,
        "objects_name": plural,
        "deletable_objects": [lines],
        "deleted_objects": lines,
        "model_count": {plural: len(lines)}.items(),
        "perms_lacking": [],
        "protected": [],
        "is_popup": False,
        "to_field": None,
        "preserved_filters": "",
    }


def lines_of(some: Iterable[Stream]) -> Iterator[str]:
    for stream in some:
        events = ngettext("%(number)s event", "%(number)s events", stream.seq)
        yield f"{stream.name}: {events % {'number': number(stream.seq)}}"
