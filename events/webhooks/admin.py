"""The admin's pages: endpoints, what may be done to them, and their deliveries."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..admin.shared.pages import ReadOnlyAdmin
from ..handlers.control import Handler, Status
from ..log import logs
from ..non_atomic import non_atomic
from . import endpoints
from .courier import spec_of
from .models import Delivery, Endpoint
from .pictures import pictures

# Deliveries that are shown with their endpoint, and that are sent again at once.
SHOWN, AGAIN = 20, 10


class WordsField(forms.CharField):
    """A list of words, with spaces or lines between them."""

    def prepare_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return (value or "").replace(",", " ").split()


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    kinds = WordsField(required=False, help_text="order.paid invoice.*", initial="")
    streams = WordsField(required=False, help_text="order-7 red:*", initial="")
    log = forms.ChoiceField(choices=lambda: [(one, one) for one in logs], initial="default")

    class Meta:
        model = Endpoint
        fields = ("url", "description", "kinds", "streams", "log", "owner", "parallel", "active")


def status_of(endpoint: Endpoint) -> Status | None:
    """None if its log is no longer there."""
    if endpoint.log not in logs:
        return None
    if not hasattr(endpoint, "_status"):
        endpoint._status = Handler(spec_of(endpoint)).status()  # type: ignore[attr-defined]
    return endpoint._status  # type: ignore[attr-defined, no-any-return]


# What the buttons do; each says what it has done.


def test(endpoint: Endpoint, posted: Any) -> str:
    return told(endpoints.send_test(endpoint))


def rotate(endpoint: Endpoint, posted: Any) -> str:
    return shown_once(endpoint.rotate())


def replay(endpoint: Endpoint, posted: Any) -> str:
    since = posted["since"].strip()
    number = since.isascii() and since.isdigit()
    Handler(spec_of(endpoint)).replay(int(since) if number else since)
    return _("Everything after that is sent again.")


def switch_on(endpoint: Endpoint, posted: Any) -> str:
    endpoint.switch_on()
    return _("It goes on where it was.")


VERBS: dict[str, Callable[[Endpoint, Any], str]] = {
    "test": test,
    "rotate": rotate,
    "replay": replay,
    "switch_on": switch_on,
}


def told(delivery: Delivery) -> str:
    answer = delivery.error or f"{delivery.status} {delivery.answer[:100]}"
    return f"{answer} ({delivery.milliseconds} ms), {delivery.webhook_id}"


def shown_once(secret: str) -> str:
    return _("The secret, which is shown only now: %(secret)s") % {"secret": secret}


@admin.register(Endpoint)
class EndpointAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = EndpointForm
    list_display = ("url", "description", "state", "lag", "held", "last_success_at", "last_error")
    list_filter = ("active",)
    search_fields = ("url", "description")
    list_per_page = 50
    autocomplete_fields = ()
    raw_id_fields = ("owner",)
    change_form_template = "admin/events_webhooks/endpoint/page.html"

    class Media:
        css = {"all": ["events/admin/admin.css"]}

    @admin.display(description=gettext_lazy("State"))
    def state(self, obj: Endpoint) -> str:
        status = status_of(obj)
        if not obj.active:
            return _("off: %(reason)s") % {"reason": obj.reason or "-"}
        if obj.failures:
            return _("silent until %(moment)s") % {"moment": f"{obj.next_attempt_at:%F %T}"}
        return "-" if status is None else f"{status.state} {status.reason}".strip()

    @admin.display(description=gettext_lazy("lag"))
    def lag(self, obj: Endpoint) -> object:
        status = status_of(obj)
        return "-" if status is None else status.lag

    @admin.display(description=gettext_lazy("held"))
    def held(self, obj: Endpoint) -> object:
        status = status_of(obj)
        return "-" if status is None else status.held + status.parked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Its position is one of that log."""
        return ("log",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        if not change:
            secret = obj.rotate()
            endpoints.create(obj)
            self.message_user(request, shown_once(secret), messages.WARNING)
            return
        # No other: how it does is written by workers meanwhile.
        obj.save(update_fields=[name for name in form.changed_data if name in form.Meta.fields])
        if obj.active and "active" in form.changed_data:
            obj.switch_on()

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.do)
        own = path("<path:object_id>/do/", view, name="events_webhooks_endpoint_do")
        return [own, *super().get_urls()]

    @non_atomic
    def do(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a button of the page asks for."""
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise Http404
        verb = request.POST.get("verb", "")
        if not self.has_change_permission(request, endpoint) or verb not in VERBS:
            raise PermissionDenied
        try:
            self.message_user(request, VERBS[verb](endpoint, request.POST))
            self.log_change(request, endpoint, verb)
        except (LookupError, ValueError) as error:
            self.message_user(request, str(error), messages.ERROR)
        name = "admin:events_webhooks_endpoint_change"
        return HttpResponseRedirect(
            reverse(name, args=[endpoint.pk], current_app=self.admin_site.name)
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        endpoint = self.get_object(request, object_id)
        extra = dict(extra_context or {})
        if endpoint is not None and self.has_view_or_change_permission(request, endpoint):
            rows = Delivery.objects.filter(endpoint=endpoint).order_by("-at")[:SHOWN]
            here = self.admin_site.name
            deliveries = reverse("admin:events_webhooks_delivery_changelist", current_app=here)
            extra |= {
                "endpoint": endpoint,
                "state": self.state(endpoint),
                "status": status_of(endpoint),
                "charts": pictures(endpoint) if endpoint.log in logs else [],
                "deliveries": rows,
                "all_deliveries": f"{deliveries}?{urlencode({'endpoint__id__exact': endpoint.pk})}",
                "may_change": self.has_change_permission(request, endpoint),
            }
        return super().change_view(request, object_id, form_url, extra)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "at",
        "endpoint",
        "position",
        "kind",
        "attempt",
        "status",
        "milliseconds",
        "error",
    )
    list_filter = ("status", ("endpoint", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("endpoint",)
    ordering = ("-at",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("send_again",)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events_webhooks.change_endpoint")

    @admin.action(description=gettext_lazy("Send again, now"), permissions=["send"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        for one in chosen[:AGAIN]:
            try:
                self.message_user(request, told(endpoints.send_again(one)))
            except LookupError as error:
                self.message_user(request, str(error), messages.ERROR)
