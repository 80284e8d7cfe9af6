"""The filters beside the list of events. They only show what can be chosen; `wanted` reads it."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..shared.filters import ChoiceFilter, StatusFilter
from ..shared.kinds import family
from .wanted import wanted_of

# More choices are no help; the search box finds any kind.
MOST_KINDS = 40


class KindFilter(ChoiceFilter):
    """The kinds that are there, each family of more than one with its prefix."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        found, chosen = [], self.value()
        for name, some in groupby(wanted_of(request).kinds, family):
            members = list(some)
            found += [f"{name}.*"] * (len(members) > 1) + members
        found = found[:MOST_KINDS]
        if chosen and chosen not in found:
            found.append(chosen)
        return [(kind, kind) for kind in found]


class FormFilter(ChoiceFilter):
    """A filter with a form, of fields by their names, titles and types."""

    template = "admin/events/filter_form.html"
    inputs: tuple[tuple[str, Any, str], ...]

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        if self.lookup_choices:
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
    options = (("hour", _("Last hour")), ("day", _("Last day")), ("week", _("Last 7 days")))
    inputs = (("from", _("From"), "datetime-local"), ("to", _("To"), "datetime-local"))

    def value(self) -> str | None:
        """Something is chosen in the form as well."""
        custom = any(self.request.GET.get(name) for name, _title, _type in self.inputs)
        return super().value() or ("custom" if custom else None)


class StreamFilter(FormFilter):
    title = _("stream")
    parameter_name = "stream"
    inputs = (("stream", _("Exactly"), "text"),)


class StreamStatusFilter(StatusFilter):
    title = _("status of the stream")
