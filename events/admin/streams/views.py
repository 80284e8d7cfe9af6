"""The pages of one stream, and what may be done to it: stop, fail, delete."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import actions, helpers
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...backends.figures import BOUND
from ...exceptions import EventsError
from ...log import EventLog
from ...models import Stream
from ...non_atomic import non_atomic
from ...streams import as_reason
from ...types import TERMINAL
from ..shared.keyset import KeysetAdmin
from ..shared.pages import log_query
from ..shared.scope import Scope, scope_of
from ..shared.words import number
from .page import badge, page


class StreamViews(KeysetAdmin):
    """The half of the admin that is about single streams."""

    # One

    @non_atomic
    def stream_view(self, request: HttpRequest, object_id: str, verb: str = "") -> HttpResponse:
        """Its timeline; or a page that asks before the step is taken, and then that is done."""
        found = self.found(request, unquote(object_id))
        if found is None:
            # What Django answers for any object that is not there.
            return super().change_view(request, object_id)
        scope, stream = found
        here = self.timeline(scope.name, stream.name, stream.pk)
        above = self.address("stream_changelist", log=scope.name)
        posted = request.method not in ("GET", "HEAD")
        may = self.has_delete_permission if verb == "delete" else self.has_change_permission
        if not may(request) if verb else posted:
            raise PermissionDenied
        if posted:
            reason = request.POST.get("reason", "")
            take(self, request, scope.log, verb, [stream], reason)
            return HttpResponseRedirect(above if verb == "delete" else here)
        if verb:
            return self.asked(request, scope, verb, [stream], original=stream, back=here)
        return self.render(
            request,
            "admin/events/stream/timeline.html",
            title=stream.name,
            original=stream,
            stream=stream,
            back_to=above,
            log_query=log_query(scope.name),
            badge=badge(stream),
            may_end=self.has_change_permission(request) and stream.status not in TERMINAL,
            may_delete=self.has_delete_permission(request),
            **page(scope, stream, request.GET.get("before", "")),
        )

    def asked(
        self, request: HttpRequest, scope: Scope, verb: str, some: Sequence[Stream], **more: Any
    ) -> HttpResponse:
        """The page that asks before a life is ended."""
        titles = {
            "stop": ngettext("Stop a stream", "Stop streams", len(some)),
            "fail": ngettext("Fail a stream", "Fail streams", len(some)),
        }
        above = self.address("stream_changelist", log=scope.name)
        more = {"verb": verb, "streams": some, "back_to": above, "back": above, **more}
        template = "admin/events/stream/reason.html"
        return self.render(request, template, title=titles[verb], **more)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """There is nothing to edit in a stream: its page is its timeline."""
        return self.stream_view(request, object_id)

    @non_atomic
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Django's page asks; the step is in no transaction, whose end emits would await."""
        if request.method == "POST":
            return self.stream_view(request, object_id, "delete")
        return super().delete_view(request, object_id, extra_context)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """For Django's pages that ask: the streams, each with its events."""
        lines = []
        for stream in objs:
            events = ngettext("%(number)s event", "%(number)s events", stream.seq)
            lines.append(f"{stream.name}: {events % {'number': number(stream.seq)}}")
        names = self.opts.verbose_name if len(lines) == 1 else self.opts.verbose_name_plural
        return lines, {names: len(lines)}, set(), []

    # Those selected

    @admin.action(description=gettext_lazy("Stop selected streams"), permissions=["change"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Stream]) -> None:
        take(self, request, scope_of(request).log, "stop", chosen(queryset))

    @admin.action(description=gettext_lazy("Fail selected streams…"), permissions=["change"])
    def fail_selected(self, request: HttpRequest, queryset: QuerySet[Stream]) -> Any:
        scope, some = scope_of(request), chosen(queryset)
        if request.POST.get("post"):
            return take(self, request, scope.log, "fail", some)
        more = {"action": "fail_selected", "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME}
        return self.asked(request, scope, "fail", list(some), **more)

    @admin.action(description=gettext_lazy("Delete selected streams…"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Stream]) -> Any:
        if request.POST.get("post"):
            return take(self, request, scope_of(request).log, "delete", chosen(queryset))
        return actions.delete_selected(self, request, chosen(queryset))

    # Who may what

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.change_stream")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("events.delete_stream")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.stream_view)
        own = [
            path(f"<path:object_id>/{name}/", view, {"verb": verb}, name=f"events_stream_{name}")
            for name, verb in (("timeline", ""), ("stop", "stop"), ("fail", "fail"))
        ]
        return own + super().get_urls()


def chosen(queryset: QuerySet[Stream]) -> QuerySet[Stream]:
    """Bounded, since a forged request may ask for all there are."""
    return queryset.order_by("-last_position")[:BOUND]


def take(
    admin: KeysetAdmin,
    request: HttpRequest,
    log: EventLog,
    verb: str,
    some: Iterable[Stream],
    reason: str = "",
) -> None:
    """Take the step with each of them. What one refuses is no reason to stop at it."""
    done = 0
    for stream in some:
        try:
            if take_one(admin, request, log, verb, stream, reason):
                done += 1
            else:
                already = _("The stream %(name)s is there already; nothing was changed.")
                messages.info(request, already % {"name": stream.name})
        except EventsError as error:
            messages.error(request, _("Not possible: %(error)s.") % {"error": error})
    said = {
        "stop": ngettext("%(number)s stream stopped.", "%(number)s streams stopped.", done),
        "fail": ngettext("%(number)s stream failed.", "%(number)s streams failed.", done),
        "delete": ngettext("%(number)s stream deleted.", "%(number)s streams deleted.", done),
    }
    if done:
        messages.success(request, said[verb] % {"number": number(done)})


def take_one(
    admin: KeysetAdmin, request: HttpRequest, log: EventLog, verb: str, stream: Stream, reason: str
) -> bool:
    """False if the stream is there already."""
    handle = log.stream(stream.name)
    if verb == "delete":
        handle.delete()
        admin.log_deletions(request, [stream])  # type: ignore[arg-type]
        return True
    step, past, noted = {
        "stop": (handle.stop, "stopped", _("Stopped: %(reason)s")),
        "fail": (handle.fail, "failed", _("Failed: %(reason)s")),
    }[verb]
    # Not translated: it goes into the log.
    given = as_reason(reason.strip()) or f"{past} in the admin by {request.user}"
    if step(given) is None:
        return False
    admin.log_change(request, stream, noted % {"reason": given})
    return True
