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
    """A filter with a form. `names` are its fields, which the hidden ones must leave out."""

    names: tuple[str, ...] = ()

    def form(self, changelist: Any) -> dict[str, Any]:
        own = changelist.params
        kept = [(name, value) for name, value in own.items() if name not in self.names]
        return {"fields": {name: own.get(name, "") for name in self.names}, "hidden": kept}

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)


class TimeFilter(FormFilter):
    title = _("time")
    parameter_name = "time"
    template = "admin/events/filter_time.html"
    names = ("time", "from", "to")

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.is_custom = bool(request.GET.get("from") or request.GET.get("to"))

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("hour", _("Last hour")), ("day", _("Last day")), ("week", _("Last 7 days"))]

    def value(self) -> str | None:
        return super().value() or ("custom" if self.is_custom else None)

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield from super().choices(changelist)
        yield self.form(changelist)


class StreamFilter(FormFilter):
    title = _("stream")
    parameter_name = "stream"
    template = "admin/events/filter_stream.html"
    names = ("stream",)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("", "")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield self.form(changelist)
