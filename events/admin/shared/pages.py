"""Admins that change nothing and have pages of their own, and addresses: of the admin, of the API."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from ...conf import DEFAULT_LOG


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PagesAdmin(ReadOnlyAdmin):
    """With pages of its own."""

    class Media:
        css = {"all": ["events/admin/admin.css"]}

    def render(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        request.current_app = self.admin_site.name
        base = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, template, {**base, **context})

    def address(self, name: str, *arguments: object, log: str = DEFAULT_LOG, **query: str) -> str:
        """A page of this app's in this admin site, and in a log."""
        path = reverse(f"admin:events_{name}", args=arguments, current_app=self.admin_site.name)
        if log != DEFAULT_LOG:
            query["log"] = log
        return path + ("?" + urlencode(query) if query else "")

    def timeline(self, log: str, name: str, pk: int | None) -> str:
        """The picture of a stream; its events, where there is no picture."""
        if pk is None:
            return self.address("event_changelist", log=log, stream=name)
        return self.address("stream_timeline", pk, log=log)


def log_query(name: str | None) -> str:
    """To stay in a log."""
    return "?" + urlencode({"log": name}) if name else ""


def api() -> str | None:
    try:
        return reverse("events:events")
    except NoReverseMatch:
        return None


def api_of(position: int, log: str) -> str | None:
    """Where the API has one event: the one after the position before it."""
    query = {"since": str(position - 1), "limit": "1"}
    if log != DEFAULT_LOG:
        query["log"] = log
    address = api()
    return address and f"{address}?{urlencode(query)}"
