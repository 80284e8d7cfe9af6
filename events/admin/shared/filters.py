"""The filters beside a list. They only show what can be chosen; the list's keyset reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .links import log_query
from .scope import log_names, scope_of


class ChoiceFilter(SimpleListFilter):
    parameter_name: str

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        names, chosen = self.expected_parameters(), self.value()
        yield choice(chosen is None, changelist.without(*names), _("All"))
        for value, title in self.lookup_choices:
            query = changelist.without(*names, **{self.parameter_name: value})
            yield choice(str(value) == chosen, query, title)


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
        chosen = scope_of(self.request)
        for name, title in self.lookup_choices:
            yield choice(name == chosen.name and not chosen.unknown, log_query(name), title)


def choice(selected: bool, query_string: str, display: Any) -> dict[str, Any]:
    """As Django's template of a filter wants it."""
    return {"selected": selected, "query_string": query_string, "display": display}
