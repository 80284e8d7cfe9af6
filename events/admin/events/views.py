"""The views of events that Django's admin does not have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...exceptions import LogBusy
from ...models import Event, Log
from ...non_atomic import non_atomic
from ...wire import encode
from ..shared import links
from ..shared.keyset import KeysetAdmin
from ..shared.scope import Scope, scope_of
from . import export, pruning
from .wanted import wanted_of

View = Callable[..., HttpResponseBase]


def wrapped(model_admin: KeysetAdmin, view: View) -> View:
    """As the admin wraps its own: for staff only, and with protection against forgery."""

    @non_atomic
    def wrapper(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        inner = partial(view, model_admin)
        update_wrapper(inner, view)
        found: HttpResponseBase = model_admin.admin_site.admin_view(inner)(request, **kwargs)
        return found

    return wrapper


def as_json(model_admin: KeysetAdmin, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """One event as the API has it, byte for byte."""
    event = opened(model_admin, request, object_id)
    if event is None:
        return model_admin._get_obj_does_not_exist_redirect(request, model_admin.opts, object_id)  # type: ignore[attr-defined, no-any-return]
    scope = scope_of(request)
    query = scope.log.query(event.position - 1, 1, stream=event.stream)
    body = b"".join(map(encode, scope.log.backend.read(query).rows))
    headers = {"X-Content-Type-Options": "nosniff"}
    return HttpResponse(body, content_type="application/json", headers=headers)


def opened(model_admin: KeysetAdmin, request: HttpRequest, object_id: str) -> Event | None:
    event: Event | None = model_admin.get_object(request, object_id)
    if not model_admin.has_view_permission(request, event):
        raise PermissionDenied
    return event


def download(model_admin: KeysetAdmin, request: HttpRequest) -> HttpResponseBase:
    """All that the list shows, on all of its pages."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    wanted = wanted_of(request)
    format = request.GET.get("format", "ndjson")
    if wanted.problems or format not in export.FORMATS:
        # The list says what is wrong.
        query = request.GET.copy()
        query.pop("format", None)
        back = links.within(model_admin.admin_site.name, "event_changelist")
        return HttpResponseRedirect(f"{back}?{query.urlencode()}")
    return export.response(request, wanted, format)


def prune(model_admin: KeysetAdmin, request: HttpRequest) -> HttpResponseBase:
    """First a form, then a look at what would go, then a POST that does it."""
    scope = scope_of(request)
    allowed = request.user.has_perm("events.delete_event") and scope.everything
    if not allowed or scope.problem:
        raise PermissionDenied
    asked = request.POST or request.GET
    bounds = {name: asked.get(name, "") for name in ("older_than", "max_entries")}
    form = pruning.PruneForm(bounds) if any(bounds.values()) else None
    found = None
    if form is not None and form.is_valid():
        ttl, most = form.cleaned_data["older_than"], form.cleaned_data["max_entries"]
        try:
            found = pruning.preview(scope, ttl, most)
            if request.method == "POST":
                count = scope.log.prune(ttl, most)
                return done(model_admin, request, scope, count, found, bounds)
        except (LogBusy, TransactionManagementError) as error:
            messages.error(request, str(error))
    form = form or pruning.PruneForm(initial=pruning.settings_of(scope))
    return page(model_admin, request, scope, {"form": form, "preview": found, "bounds": bounds})


def done(
    model_admin: KeysetAdmin,
    request: HttpRequest,
    scope: Scope,
    count: int,
    found: pruning.Preview,
    bounds: dict[str, str],
) -> HttpResponseBase:
    log = Log.objects.using(scope.alias).get(pk=scope.pk)
    if count:
        model_admin.log_change(request, log, pruning.told(count, found.last, bounds))
    text = ngettext("%(count)s entry was removed.", "%(count)s entries were removed.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(links.events(model_admin.admin_site.name, scope.name))


def page(
    model_admin: KeysetAdmin, request: HttpRequest, scope: Scope, context: dict[str, Any]
) -> TemplateResponse:
    site = model_admin.admin_site
    base = {
        **site.each_context(request),
        "title": _("Prune the log"),
        "subtitle": scope.name,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "log": scope.log,
        "info": scope.info,
        "back": links.events(site.name, scope.name),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/events/event/prune.html", {**base, **context})


VIEWS: list[tuple[str, str, View]] = [
    ("export", "export/", download),
    ("prune", "prune/", prune),
    ("json", "<str:object_id>/json/", as_json),
]
