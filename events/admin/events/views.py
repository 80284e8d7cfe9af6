"""The views of events that Django's admin does not have."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...exceptions import LogBusy
from ...models import Log
from ...non_atomic import non_atomic
from ...wire import encode
from ..shared import links
from ..shared.keyset import KeysetAdmin
from ..shared.scope import Scope, scope_of
from . import export, pruning
from .wanted import wanted_of


class EventViews(KeysetAdmin):
    """The half of the admin that is not Django's."""

    def get_urls(self) -> list[URLPattern]:
        """Ours first: Django's own take any path for a primary key."""
        own: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "export": ("export/", self.export_view),
            "prune": ("prune/", self.prune_view),
            "json": ("<str:object_id>/json/", self.json_view),
        }
        wrap = self.admin_site.admin_view
        return [
            path(address, non_atomic(wrap(view)), name=f"events_event_{name}")
            for name, (address, view) in own.items()
        ] + super().get_urls()

    def json_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """One event as the API has it, byte for byte."""
        found = self.found(request, object_id)
        if not self.has_view_permission(request, found and found[1]):
            raise PermissionDenied
        if found is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        scope, event = found
        query = scope.log.query(event.position - 1, 1, stream=event.stream)
        body = b"".join(map(encode, scope.log.backend.read(query).rows))
        headers = {"X-Content-Type-Options": "nosniff"}
        return HttpResponse(body, content_type="application/json", headers=headers)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """All that the list shows, on all of its pages."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = wanted_of(request)
        format = request.GET.get("format", "ndjson")
        if wanted.problems or format not in export.FORMATS:
            # The list says what is wrong.
            query = request.GET.copy()
            query.pop("format", None)
            back = links.within(self.admin_site.name, "event_changelist")
            return HttpResponseRedirect(f"{back}?{query.urlencode()}")
        return export.response(request, wanted, format)

    def prune_view(self, request: HttpRequest) -> HttpResponseBase:
        """First a form, then a look at what would go, then a POST that does it."""
        scope, site = scope_of(request), self.admin_site
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
                    self.pruned(request, scope, scope.log.prune(ttl, most), found, bounds)
                    return HttpResponseRedirect(links.events(site.name, scope.name))
            except (LogBusy, TransactionManagementError) as error:
                messages.error(request, str(error))
        return self.render(
            request,
            "admin/events/event/prune.html",
            title=_("Prune the log"),
            subtitle=scope.name,
            log=scope.log,
            info=scope.info,
            back_to=links.events(site.name, scope.name),
            form=form or pruning.PruneForm(initial=pruning.settings_of(scope)),
            preview=found,
            bounds=bounds,
        )

    def pruned(
        self,
        request: HttpRequest,
        scope: Scope,
        count: int,
        found: pruning.Preview,
        bounds: dict[str, str],
    ) -> None:
        if count:
            log = Log.objects.using(scope.alias).get(pk=scope.pk)
            self.log_change(request, log, pruning.told(count, found.last, bounds))
        text = ngettext("%(count)s entry was removed.", "%(count)s entries were removed.", count)
        messages.success(request, text % {"count": count})
