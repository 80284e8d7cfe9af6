"""The page on which a log is pruned: say what is to go, see how much that is, and confirm."""

from datetime import timedelta
from typing import NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ...conf import parse_duration
from ...exceptions import LogBusy
from ...models import Event, Log
from ..shared.keyset import KeysetAdmin
from ..shared.scope import Scope, scope_of


class PruneForm(forms.Form):
    older_than = forms.CharField(
        label=_("Older than"),
        required=False,
        max_length=20,
        help_text=_("90 (seconds), 30s, 15m, 12h or 7d"),
    )
    max_entries = forms.IntegerField(
        label=_("Keep no more than the newest"),
        required=False,
        # As the command: nobody means to remove everything by a zero.
        min_value=1,
        max_value=2**53,
        help_text=_("a number of entries"),
    )

    def clean_older_than(self) -> timedelta | None:
        text = self.cleaned_data["older_than"]
        try:
            age = parse_duration(text) if text else None
        except ValueError:
            raise forms.ValidationError(_("Write 90, 30s, 15m, 12h or 7d.")) from None
        if age is not None and not age:
            raise forms.ValidationError(_("That would remove everything."))
        return age


class Preview(NamedTuple):
    """How many of a log's `total` entries pruning would remove, up to the `last` of them."""

    log: Log
    removed: int
    total: int
    last: Event | None


def preview(scope: Scope, ttl: timedelta | None, max_entries: int | None) -> Preview:
    """Counted by the log itself; expired entries are among them, since they are still there."""
    log = Log.objects.using(scope.alias).filter(name=scope.name).first() or Log()
    count = scope.log.prune(ttl, max_entries, dry_run=True)
    target = scope.log.backend.last_to_go(ttl.total_seconds() if ttl else None, max_entries)
    there = Event.objects.using(scope.alias).filter(log_id=log.pk, position__lte=target)
    last = there.order_by("-position").first() if count else None
    return Preview(log, count, max(log.head - log.floor - log.removed, count), last)


def prune_view(admin: KeysetAdmin, request: HttpRequest) -> HttpResponse:
    """First a form, then a look at what would go, then a POST that does it."""
    scope = scope_of(request)
    may = request.user.has_perm("events.delete_event") and scope.everything
    if scope.problem or not may:
        raise PermissionDenied
    asked, settings = request.POST or request.GET, scope.log.settings
    bounds = {name: asked.get(name, "").strip() for name in ("older_than", "max_entries")}
    initial = {
        "older_than": settings.ttl and f"{max(1, round(settings.ttl))}s",
        "max_entries": settings.max_entries,
    }
    form = PruneForm(bounds if any(bounds.values()) else None, initial=initial)
    back, found = admin.address("event_changelist", log=scope.name), None
    if form.is_valid():
        ttl, most = form.cleaned_data["older_than"], form.cleaned_data["max_entries"]
        try:
            found = preview(scope, ttl, most)
            if request.method == "POST":
                note(admin, request, scope.log.prune(ttl, most), found, bounds)
                return HttpResponseRedirect(back)
        except (LogBusy, TransactionManagementError) as error:
            messages.error(request, str(error))
    return admin.render(
        request,
        "admin/events/event/prune.html",
        title=_("Prune the log"),
        subtitle=scope.name,
        log=scope.log,
        info=scope.info,
        back_to=back,
        form=form,
        preview=found,
        bounds=bounds,
    )


def note(
    admin: KeysetAdmin, request: HttpRequest, count: int, found: Preview, bounds: dict[str, str]
) -> None:
    """In the admin's history, where it is read years later, in English and in full."""
    text = ngettext("%(count)s entry was removed.", "%(count)s entries were removed.", count)
    messages.success(request, text % {"count": count})
    if not count:
        return
    by, upto = ", ".join(f"{name} {value}" for name, value in bounds.items() if value), ""
    if (last := found.last) is not None:
        upto = f", up to position {last.position} of {last.timestamp:%Y-%m-%d %H:%M:%S} UTC"
    admin.log_change(request, found.log, f"Pruned {count:,} entries{upto} ({by}).")
