"""The overview: where each log stands. It takes the place of the list of logs."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from ...log import logs
from ...models import Log
from ...non_atomic import non_atomic
from ..shared.pages import PagesAdmin
from .overview import overview


@admin.register(Log)
class LogAdmin(PagesAdmin):
    """A page to look at; its rows are the logs' own business."""

    @non_atomic
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.render(
            request,
            "admin/events/log/change_list.html",
            title=_("Overview"),
            sections=overview(request.user),
            # As the page itself asks; the policy is asked for each section.
            may_prune=request.user.has_perm("events.delete_event"),
            **(extra_context or {}),
        )

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A log has no page of its own."""
        return HttpResponseRedirect(self.address("log_changelist"))

    history_view = change_view

    # Who may what

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Log | None = None) -> bool:
        """For whom the pages of the admin open; what is on it, each log's policy says."""
        user = request.user
        return user.has_perm("events.view_event") or any(
            logs[name].policy.can_read(user, None) for name in logs
        )
