"""The pages of one stream, and what may be done to it: stop, fail, delete."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...backends.figures import BOUND
from ...models import Stream
from ...non_atomic import non_atomic
from ...types import TERMINAL
from ..shared import links
from ..shared.keyset import KeysetAdmin, whole
from ..shared.links import log_query
from ..shared.scope import Scope, opens, scope_of
from . import steps
from .confirm import asking, doomed
from .page import badge, page


class StreamViews(KeysetAdmin):
    """The half of the admin that is about single streams."""

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
        pk = whole(object_id)
        if scope.problem or pk is None:
            return None
        stream = Stream.objects.using(scope.alias).select_related("log").filter(pk=pk).first()
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
        return self.render(request, "admin/events/stream/timeline.html", context)

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
        return TemplateResponse(request, name, context)

    # Stop, fail and delete one

    @non_atomic
    def end_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Ask for the reason, and then do it."""
        found = self.found(request, unquote(object_id))
        if found is None:
            return self.missing(request, object_id)
        if not self.has_change_permission(request):
            raise PermissionDenied
        scope, stream = found
        if request.method == "POST":
            end = {"stop": steps.stop, "fail": steps.fail}[verb]
            end(self, request, scope.log, [stream], request.POST.get("reason", ""))
            back = self.address("stream_timeline", stream.pk, log=scope.name)
            return HttpResponseRedirect(back)
        context = {**self.context(request, scope, stream), **asking(verb, [stream])}
        return self.render(request, "admin/events/stream/reason.html", context)

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
        return self.render(request, "admin/delete_confirmation.html", context)

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
            steps.fail(self, request, scope.log, some, "")
            return None
        context = {
            **self.context(request, scope, some[0] if some else Stream()),
            **asking("fail", some),
            "action": "fail_selected",
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        }
        return self.render(request, "admin/events/stream/reason.html", context)

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
        return self.render(request, "admin/delete_selected_confirmation.html", context)

    # Who may what

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # One that was found may be seen: see `found`.
        return obj is not None or opens(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.change_stream")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.delete_stream")

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        ends = [
            path(
                f"<path:object_id>/{verb}/",
                wrap(self.end_view),
                {"verb": verb},
                name=f"events_stream_{verb}",
            )
            for verb in ("stop", "fail")
        ]
        timeline = wrap(self.timeline_view)
        own = path("<path:object_id>/timeline/", timeline, name="events_stream_timeline")
        return [own, *ends, *super().get_urls()]


def chosen(queryset: QuerySet[Stream]) -> list[Stream]:
    """Bounded, since a forged request may ask for all there are."""
    return list(queryset.order_by("-last_position")[:BOUND])
