"""The page on which a log is pruned: say what is to go, see how much that is, and confirm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django import forms
from django.utils.translation import gettext_lazy as _

from ...conf import parse_duration
from ...models import Event, Log
from ..shared.scope import Scope


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
        if not text:
            return None
        try:
            age = parse_duration(text)
        except ValueError:
            raise forms.ValidationError(_("Write 90, 30s, 15m, 12h or 7d.")) from None
        if not age:
            raise forms.ValidationError(_("That would remove everything."))
        return age

    def clean(self) -> None:
        if not self.errors and not any(self.cleaned_data.values()):
            raise forms.ValidationError(_("Say what is to be removed."))


def settings_of(scope: Scope) -> dict[str, object]:
    """The log's own bounds, to begin with."""
    settings = scope.log.settings
    initial: dict[str, object] = {}
    if settings.ttl is not None:
        initial["older_than"] = f"{max(1, round(settings.ttl))}s"
    if settings.max_entries is not None:
        initial["max_entries"] = settings.max_entries
    return initial


@dataclass(frozen=True)
class Preview:
    """What pruning would remove: `count` of `total` entries, up to the `last` of them."""

    count: int
    total: int
    last: Event | None


def preview(scope: Scope, ttl: timedelta | None, max_entries: int | None) -> Preview:
    """Counted by the log itself; expired entries are among them, since they are still there."""
    log = Log.objects.using(scope.alias).get(pk=scope.pk)
    count = scope.log.prune(ttl, max_entries, dry_run=True)
    last = last_to_go(scope, ttl, max_entries) if count else None
    return Preview(count, max(log.head - log.floor - log.removed, count), last)


def last_to_go(scope: Scope, ttl: timedelta | None, max_entries: int | None) -> Event | None:
    target = scope.log.backend.last_to_go(ttl.total_seconds() if ttl else None, max_entries)
    there = Event.objects.using(scope.alias).filter(log_id=scope.pk, position__lte=target)
    return next(iter(there.order_by("-position")[:1]), None)


def told(count: int, last: Event | None, bounds: dict[str, str]) -> str:
    """For the admin's history, where it is read years later: in English, and in full."""
    upto = (
        f", up to position {last.position} of {last.timestamp:%Y-%m-%d %H:%M:%S} UTC"
        if last
        else ""
    )
    by = ", ".join(f"{name} {value}" for name, value in bounds.items() if value)
    return f"Pruned {count:,} entries{upto} ({by})."
