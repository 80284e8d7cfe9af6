"""The filters beside the list of events. They only show what can be chosen; `wanted` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...types import Status
from ..shared.filters import ChoiceFilter
from ..shared.kinds import family
from ..shared.words import status_name
from .wanted import wanted_of

# More choices are no help; the search box finds any kind.
MOST_KINDS = 40


class KindFilter(ChoiceFilter):
    """The kinds that are there, each family of more than one with its prefix."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        kinds = set(wanted_of(request).kinds)
        chosen = self.value()
        families: dict[str, list[str]] = {}
        for kind in sorted(kinds):
            families.setdefault(family(kind), []).append(kind)
        found = []
        for name, members in families.items():
            found += [f"{name}.*"] * (len(members) > 1) + members
        found = found[:MOST_KINDS]
        if chosen and chosen not in found:
            found.append(chosen)
        return [(kind, kind) for kind in found]


class StatusFilter(ChoiceFilter):
    title = _("status of the stream")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(status.value, status_name(status)) for status in Status]


class FormFilter(ChoiceFilter):
    """A filter with a form, of fields by their names, titles and types."""

    template = "admin/events/filter_form.html"
    inputs: tuple[tuple[str, Any, str], ...] = ()

    def choices(self, changelist: Any) -> Iterator[Any]:
        if self.lookup_choices[0][0]:
            yield from super().choices(changelist)
        own, names = changelist.params, self.expected_parameters()
        yield {
            "fields": [(*field, own.get(field[0], "")) for field in self.inputs],
            "hidden": [(name, value) for name, value in own.items() if name not in names],
        }

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter_name, *(name for name, _title, _type in self.inputs)]


class TimeFilter(FormFilter):
    title = _("time")
    parameter_name = "time"
    inputs = (("from", _("From"), "datetime-local"), ("to", _("To"), "datetime-local"))

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("hour", _("Last hour")), ("day", _("Last day")), ("week", _("Last 7 days"))]

    def value(self) -> str | None:
        """Something is chosen in the form as well."""
        custom = any(self.request.GET.get(name) for name, _title, _type in self.inputs)
        return super().value() or ("custom" if custom else None)


class StreamFilter(FormFilter):
    title = _("stream")
    parameter_name = "stream"
    inputs = (("stream", _("Exactly"), "text"),)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("", "")]
