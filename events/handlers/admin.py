"""The admin's pages about handlers: where they stand, what they hold, and what may be done."""

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..admin.shared.pages import log_query
from ..admin.shared.scope import log_names, scope_of
from . import samples
from .control import Handler, Status
from .models import Subscription
from .picture import picture
from .registry import handlers

# What has failed and is shown at once.
SHOWN = 100


def retry(handler: Handler, posted: Any) -> None:
    handler.retry(int(posted["position"]) if posted.get("position") else None)


def replay(handler: Handler, posted: Any) -> None:
    since = posted["since"].strip()
    handler.replay(int(since) if since.isascii() and since.isdigit() else since)


VERBS: dict[str, Callable[[Handler, Any], None]] = {
    "pause": lambda handler, posted: handler.pause(),
    "resume": lambda handler, posted: handler.resume(),
    "retry": retry,
    "drop": lambda handler, posted: handler.drop(int(posted["position"])),
    "replay": replay,
}


def column(name: str, title: Any) -> Callable[["SubscriptionAdmin", Subscription], object]:
    @admin.display(description=title)
    def shown(self: "SubscriptionAdmin", obj: Subscription) -> object:
        status = status_of(obj)
        return "-" if status is None else getattr(status, name)

    return shown


def status_of(obj: Subscription) -> Status | None:
    """Read once for a row; None for one that is no longer in the code."""
    if not hasattr(obj, "_status"):
        found = handlers[obj.name].status() if obj.name in handlers else None
        obj._status = found  # type: ignore[attr-defined]
    return obj._status  # type: ignore[attr-defined, no-any-return]


class LogFilter(admin.SimpleListFilter):
    """Without a choice, all handlers that are kept where the log `default` is."""

    title = gettext_lazy("log")
    parameter_name = "log"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = log_names()
        return [(name, name) for name in names] if len(names) > 1 else []

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Subscription]
    ) -> QuerySet[Subscription]:
        # What was chosen decides on the database as well.
        return queryset


@admin.register(Subscription)
class SubscriptionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "page", "log", "state", "cursor", "lag", "held", "parked", "reason", "last_error",
    )  # fmt: skip
    # The link is in `page`: it has to say which log, and so which database.
    list_display_links = None
    preserve_filters = False
    list_filter = (LogFilter, "state")
    search_fields = ("name",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("pause", "resume", "retry")

    cursor = column("cursor", gettext_lazy("cursor"))
    lag = column("lag", gettext_lazy("lag"))
    held = column("held", gettext_lazy("held"))
    parked = column("parked", gettext_lazy("parked"))

    class Media:
        css: ClassVar = {"all": ["events/admin/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        scope = scope_of(request)
        rows = Subscription.objects.using(scope.alias)
        if not scope.given:
            return rows.all()
        return rows.none() if scope.problem else rows.filter(log=scope.name)

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def page(self, obj: Subscription) -> str:
        query = log_query(obj.log) if obj.log in log_names() else ""
        return format_html('<a href="{}{}">{}</a>', self.address("change", obj.pk), query, obj.name)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=gettext_lazy("Pause"), permissions=["change"])
    def pause(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> None:
        self.do_to_all(request, chosen, "pause")

    @admin.action(description=gettext_lazy("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> None:
        self.do_to_all(request, chosen, "resume")

    @admin.action(description=gettext_lazy("Try again what has failed"), permissions=["change"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> None:
        self.do_to_all(request, chosen, "retry")

    def do_to_all(self, request: HttpRequest, chosen: QuerySet[Subscription], verb: str) -> None:
        for obj in chosen:
            self.do(request, obj, verb, {})

    def do(self, request: HttpRequest, obj: Subscription, verb: str, posted: Any) -> None:
        """Do it, and note it in the admin's history; or say why not."""
        if obj.name not in handlers:
            said = _("%(name)s is no longer in the code.")
            self.message_user(request, said % {"name": obj.name}, messages.ERROR)
            return
        try:
            VERBS[verb](handlers[obj.name], posted)
        except (LookupError, ValueError) as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        what = " ".join([verb, *(posted[key] for key in ("position", "since") if posted.get(key))])
        self.log_change(request, obj, what)
        self.message_user(request, f"{obj.name}: {what}")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            raise Http404
        if request.method == "POST":
            if (
                not self.has_change_permission(request, obj)
                or request.POST.get("verb") not in VERBS
            ):
                raise PermissionDenied
            self.do(request, obj, request.POST["verb"], request.POST)
            return HttpResponseRedirect(request.get_full_path())
        alias = obj._state.db or ""
        return TemplateResponse(
            request,
            "admin/events_handlers/subscription/page.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "title": obj.name,
                "original": obj,
                "status": status_of(obj),
                "entries": self.entries(obj),
                "has_runner": bool(samples.running(alias, [obj.pk])),
                "picture": picture(samples.last_hour(alias, obj.pk)),
                "may_change": self.has_change_permission(request, obj),
                "back_to": self.address("changelist"),
                "history": self.address("history", obj.pk),
                **(extra_context or {}),
            },
        )

    def entries(self, obj: Subscription) -> list[tuple[Any, str]]:
        """What has failed, each with a link to its event."""
        if obj.name not in handlers:
            return []
        events = reverse("admin:events_event_changelist", current_app=self.admin_site.name)
        return [
            (one, f"{events}?{urlencode({'q': f'#{one.position}', 'log': obj.log})}")
            for one in handlers[obj.name].held()[:SHOWN]
        ]

    def address(self, page: str, *arguments: object) -> str:
        name = f"admin:events_handlers_subscription_{page}"
        return reverse(name, args=arguments, current_app=self.admin_site.name)
