"""The filters beside a list. They only show what can be chosen; the list's keyset reads it."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...types import Status
from .pages import log_query
from .scope import log_names, scope_of
from .words import UNOPENED, status_name


class ChoiceFilter(SimpleListFilter):
    parameter_name: str
    options: Sequence[tuple[str, Any]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return self.options

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        names, chosen = self.expected_parameters(), self.value()
        yield choice(chosen is None, changelist.without(*names), _("All"))
        for value, title in self.lookup_choices:
            query = changelist.without(*names, **{self.parameter_name: value})
            yield choice(str(value) == chosen, query, title)


class StatusFilter(ChoiceFilter):
    title = _("status")
    parameter_name = "status"
    statuses: Sequence[Status | None] = list(Status)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(status or UNOPENED), status_name(status)) for status in self.statuses]


class LogFilter(ChoiceFilter):
    title = _("log")
    parameter_name = "log"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = log_names()
        return [(name, name) for name in names] if len(names) > 1 else []

    def value(self) -> str | None:
        """One is always chosen, so that none is an active filter; nor is it cleared with them."""
        return None

    def expected_parameters(self) -> list[str | None]:
        return []

    def choices(self, changelist: Any) -> Iterator[Any]:
        """There is no "All": a page is of one log; and what was chosen in another means nothing."""
        scope = scope_of(self.request)
        for name, title in self.lookup_choices:
            yield choice(name == (scope.given or scope.name), log_query(name), title)


def choice(selected: bool, query_string: str, display: Any) -> dict[str, Any]:
    """As Django's template of a filter wants it."""
    return {"selected": selected, "query_string": query_string, "display": display}
