"""The pages of one stream, and what may be done to it: stop, fail, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...backends.figures import BOUND
from ...models import Stream
from ...non_atomic import non_atomic
from ...types import TERMINAL
from ..shared import links
from ..shared.keyset import KeysetAdmin
from ..shared.scope import Scope, scope_of
from . import steps
from .page import badge, page

TIMELINE, REASON = "admin/events/stream/timeline.html", "admin/events/stream/reason.html"


class StreamViews(KeysetAdmin):
    """The half of the admin that is about single streams."""

    # One

    @non_atomic
    def stream_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Its timeline; or a page that asks before the step is taken, and then that is done."""
        found = self.found(request, unquote(object_id))
        if found is None:
            # What Django answers for any object that is not there.
            said = _("There is no stream with the ID “%(id)s”. Perhaps it was deleted?")
            messages.warning(request, said % {"id": unquote(object_id)[:100]})
            index = reverse("admin:index", current_app=self.admin_site.name)
            return HttpResponseRedirect(index)
        scope, stream = found
        asks, posted = verb != "timeline", request.method not in ("GET", "HEAD")
        may = self.has_delete_permission if verb == "delete" else self.has_change_permission
        if not may(request) if asks else posted:
            raise PermissionDenied
        if posted:
            reason = request.POST.get("reason", "")
            steps.take(self, request, scope.log, verb, [stream], reason)
            return HttpResponseRedirect(self.after(scope, verb, stream))
        if asks:
            template = "admin/delete_confirmation.html" if verb == "delete" else REASON
            back = self.after(scope, "", stream)
            return self.shown(
                request, template, scope, [stream], back=back, **steps.asking(verb, [stream])
            )
        content = page(scope, stream, request.GET.get("before", ""))
        return self.shown(request, TIMELINE, scope, [stream], title=stream.name, **content)

    def after(self, scope: Scope, verb: str, stream: Stream) -> str:
        if verb == "delete":
            return links.within(self.admin_site.name, "stream_changelist", log=scope.name)
        return links.within(self.admin_site.name, "stream_timeline", stream.pk, log=scope.name)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """There is nothing to edit in a stream: its page is its timeline."""
        return self.stream_view(request, object_id, "timeline")

    @non_atomic
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """As Django's, but not in a transaction: every emit would wait for its end."""
        return self.stream_view(request, object_id, "delete")

    def shown(
        self, request: HttpRequest, template: str, scope: Scope, some: Sequence[Stream], **more: Any
    ) -> HttpResponse:
        stream = some[0] if some else Stream()
        context = {
            "object": stream,
            "original": stream,
            "stream": stream,
            "back_to": self.after(scope, "delete", stream),
            "log_query": links.log_query(scope.name),
            "badge": badge(stream.status),
            "may_end": self.has_change_permission(request) and stream.status not in TERMINAL,
            "may_delete": self.has_delete_permission(request),
        }
        return self.render(request, template, **{**context, **more})

    # Those selected

    @admin.action(description=gettext_lazy("Stop selected streams"), permissions=["change"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Stream]) -> None:
        steps.take(self, request, scope_of(request).log, "stop", chosen(queryset))

    @admin.action(description=gettext_lazy("Fail selected streams…"), permissions=["change"])
    def fail_selected(
        self, request: HttpRequest, queryset: QuerySet[Stream]
    ) -> HttpResponse | None:
        return self.asked(request, queryset, "fail", REASON)

    @admin.action(description=gettext_lazy("Delete selected streams…"), permissions=["delete"])
    def delete_selected(
        self, request: HttpRequest, queryset: QuerySet[Stream]
    ) -> HttpResponse | None:
        return self.asked(request, queryset, "delete", "admin/delete_selected_confirmation.html")

    def asked(
        self, request: HttpRequest, queryset: QuerySet[Stream], verb: str, template: str
    ) -> HttpResponse | None:
        """The page that asks, or None once that is answered and done."""
        scope, some = scope_of(request), chosen(queryset)
        if request.POST.get("post"):
            steps.take(self, request, scope.log, verb, some)
            return None
        return self.shown(
            request,
            template,
            scope,
            some,
            back=links.within(self.admin_site.name, "stream_changelist", log=scope.name),
            queryset=some,
            action=f"{verb}_selected",
            action_checkbox_name=helpers.ACTION_CHECKBOX_NAME,
            **steps.asking(verb, some),
        )

    # Who may what

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.change_stream")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.delete_stream")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.stream_view)
        own = [
            path(f"<path:object_id>/{verb}/", view, {"verb": verb}, name=f"events_stream_{verb}")
            for verb in ("timeline", "stop", "fail")
        ]
        return own + super().get_urls()


def chosen(queryset: QuerySet[Stream]) -> list[Stream]:
    """Bounded, since a forged request may ask for all there are."""
    return list(queryset.order_by("-last_position")[:BOUND])
