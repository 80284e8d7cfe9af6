"""Pages by key: Django's change list without a COUNT and without an OFFSET.

A page is a range of keys, newest first: `?before=<key>` is the page below it, `?after=<key>` the
one above. So a page in the middle of ten million rows costs what the first one costs, and rows
that arrive meanwhile shift nothing.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from .pages import PagesAdmin, log_query
from .scope import MAX_BIGINT, Scope, log_names, opens, scope_of

# Rows above the one that is jumped to: enough to see what came next, and it stays in sight.
NEWER = 5

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Keyset:
    """What is paged: `rows`, filtered and in no order, whose `key` is above `low` and up to `high`.

    `span` is how many keys one page may look at, for filters that no index serves. `around` is a
    key that the first page is to show, below a few newer ones. Paging drops the parameters in `drop`.
    `note` is a sentence for the head of the list.
    """

    rows: QuerySet[Any]
    key: str
    low: int = 0
    high: int = MAX_BIGINT
    span: int | None = None
    around: int | None = None
    drop: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Page:
    """Some of its rows. `newer` and `older` are what to ask for next, None at that end; `stopped` is
    the key at which the page gave up before it was full."""

    rows: list[Any]
    newer: int | None
    older: int | None
    stopped: int | None = None


def page_of(keyset: Keyset, size: int, before: int | None, after: int | None) -> Page:
    """The newest rows below `before`, or the oldest above `after`; newest first in both."""
    up = before is None and after is not None
    if before is None and not up and keyset.around is not None:
        before = keyset.around + NEWER + 1
    low = max(keyset.low, after or 0) if up else keyset.low
    high = keyset.high if before is None else min(keyset.high, before - 1)
    if keyset.span is not None and up:
        high = min(high, low + keyset.span)
    elif keyset.span is not None:
        low = max(low, high - keyset.span)
    # Both bounds are in the query, so that no plan can look at more.
    key = keyset.key
    within = keyset.rows.filter(**{f"{key}__gt": low, f"{key}__lte": max(high, low)})
    rows = list(within.order_by(key if up else f"-{key}")[: size + 1])
    more, rows = len(rows) > size, rows[:size][:: -1 if up else 1]
    newer = older = None
    if high < keyset.high or (up and more):
        newer = getattr(rows[0], key) if rows and (more or not up) else max(high, 0)
    if low > keyset.low or (more and not up):
        older = getattr(rows[-1], key) if rows and (more or up) else low + 1
    if up and newer is None:
        # The page that reaches the newest row is the first page, and that one is full.
        return page_of(replace(keyset, around=None), size, None, None)
    return Page(rows, newer, older, None if more else newer if up else older)


class KeysetChangeList(ChangeList):
    """Django's change list, with rows, filters and links of its own."""

    model_admin: "KeysetAdmin"

    def get_filters(self, request: HttpRequest) -> Any:
        """The filters only show choices: what they mean is in the keyset, since a filter has to
        become a range of keys, and not one condition more."""
        specs: list[Any] = [
            one(request, self.get_filters_params(), self.model, self.model_admin)  # type: ignore[operator]
            for one in self.list_filter
        ]
        specs = [spec for spec in specs if spec.has_output()]
        return specs, bool(specs), {}, False, any(spec.value() is not None for spec in specs)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        # A link to another filter begins at the newest row again.
        for name in (BEFORE, AFTER):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        specs, self.has_filters, *_rest, self.has_active_filters = self.get_filters(request)
        self.filter_specs = specs
        names = [name for spec in specs for name in spec.expected_parameters()]
        self.clear_all_filters_qs = self.without(*names)
        self.keyset = self.model_admin.keyset(request)
        return self.keyset.rows

    def get_results(self, request: HttpRequest) -> None:
        before, after = (whole(request.GET.get(name, "")) for name in (BEFORE, AFTER))
        self.page = page = page_of(self.keyset, self.list_per_page, before, after)
        self.result_list = page.rows
        self.result_count = self.full_result_count = len(page.rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(page.rows)
        # Nothing is counted by it; templates of other looks ask it for its name.
        self.paginator = Paginator(page.rows, self.list_per_page)
        self.notes = self.model_admin.notes(request, self)
        drop = self.keyset.drop
        self.newer_url = page.newer is not None and self.without(*drop, after=page.newer)
        self.older_url = page.older is not None and self.without(*drop, before=page.older)
        self.first_url, self.oldest_url = self.without(*drop), self.without(*drop, after=0)
        self.clear_search_url = self.without(SEARCH_VAR)

    def without(self, *names: str, **params: Any) -> str:
        """The page's address with some parameters and without others. Not `remove=`: that takes
        beginnings of names for names."""
        return self.get_query_string({**dict.fromkeys(names), **params})

    def url_for_result(self, result: Model) -> str:
        """With the log that it is in, since rows of two databases may share a primary key."""
        url: str = super().url_for_result(result)
        return url + log_query(self.params.get("log"))


class KeysetAdmin(PagesAdmin):
    """A stock ModelAdmin that pages by key, over one log, and changes nothing."""

    actions: Any = None
    sortable_by = ()
    # Half of Django's hundred: rendering a row costs more than finding it.
    list_per_page = 50
    show_full_result_count = False
    # Facets are a COUNT for every choice.
    show_facets = admin.ShowFacets.NEVER
    # Django shows the search box if there are any; `keyset` reads what is in it.
    search_fields = ("pk",)

    def keyset(self, request: HttpRequest) -> Keyset:
        """What this request's list is a page of."""
        raise NotImplementedError

    def notes(self, request: HttpRequest, cl: KeysetChangeList) -> list[str]:
        """Sentences for the head of the list."""
        scope = scope_of(request)
        if scope.problem:
            return [scope.problem]
        if scope.everything or cl.page.rows:
            return [cl.keyset.note] if cl.keyset.note else []
        return [_("You may not see this log as a whole. Ask for a stream by its name.")]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Nothing: the rows are the keyset's, and a stock view that asks here gets none."""
        none: QuerySet[Any] = self.model._default_manager.none()
        return none

    def found(self, request: HttpRequest, object_id: str) -> tuple[Scope, Any] | None:
        """A row and the scope of its log; what is forbidden looks missing.

        Without `?log=` (the links in Django's history have none) it may be of any log in that
        database.
        """
        scope, pk = scope_of(request), whole(object_id)
        if scope.problem or pk is None:
            return None
        rows = self.model._default_manager.using(scope.alias).select_related("log")
        row: Any = rows.filter(pk=pk).first()
        if row is None:
            return None
        if row.log.name != scope.name and not scope.given and row.log.name in log_names():
            scope = scope_of(request, row.log.name)
        if row.log.name != scope.name or not scope.serves(row):
            return None
        # It need not be looked up.
        scope.pk = row.log_id
        return scope, row

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """By primary key, whatever `_to_field` says."""
        found = self.found(request, object_id)
        return found and found[1]

    # Who may what

    def has_module_permission(self, request: HttpRequest) -> bool:
        return opens(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # One that was found may be seen.
        return obj is not None or opens(request)


def whole(text: str) -> int | None:
    """A key of a query string; None for what is none. ASCII digits, as the API has it."""
    return min(int(text), MAX_BIGINT) if re.fullmatch(r"[0-9]{1,30}", text) else None
