"""What a list of events is asked for, as a range of positions.

Time runs along positions and both are dense, so every filter becomes such a range first, at the
cost of a look-up in an index; what no index serves (kind, the stream's status) then looks at a
bounded part of it. An index on kind would make every append dearer, for the sake of this page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import get_current_timezone, make_aware
from django.utils.translation import gettext as _

from ...cursors import Query
from ...models import Stream
from ...types import Status, to_micros
from ...validation import MAX_KEY, shown
from ..shared.keyset import Keyset
from ..shared.scope import Scope, is_stream, scope_of
from .search import Search, nonsense, parse

# How many positions a page looks at for a kind or a status. With 50,000 a page without a match took
# three times as long as one of a short log, on SQLite (`python -m benchmarks.admin`).
SPAN = 20_000
# Which kinds are there: those of so many newest events.
RECENT = 2_000

ATTRIBUTE = "_events_wanted"

AGES = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}


def wanted_of(request: HttpRequest) -> Wanted:
    """What a request's list is of; read once."""
    known = getattr(request, ATTRIBUTE, None)
    if known is None:
        known = Wanted(scope_of(request), request.GET)
        setattr(request, ATTRIBUTE, known)
    return known


class Wanted:
    """A request's filters and search, read. `problems` are what could not be understood; then
    nothing is shown, because less than was asked for would be taken for all of it."""

    def __init__(self, scope: Scope, params: Mapping[str, str]) -> None:
        self.scope = scope
        self.params = params
        self.problems: list[str] = [scope.problem] if scope.problem else []
        search = self._resolved(parse(self._text("q")))
        if search.problem:
            self.problems.append(search.problem)
        self.position = search.position
        self.key = search.key
        self.stream = search.stream or self._text("stream") or None
        self.kind = search.kind or self._text("kind") or None
        self.status = self._status()
        self.start, self.end = self._times()
        self._check_names()

    def _text(self, name: str) -> str:
        return self.params.get(name, "").strip()

    # Reading

    def _resolved(self, search: Search) -> Search:
        """What a bare word names: a stream, a key, a kind, or the first parts of one."""
        word = search.bare
        if word is None or self.problems:
            return search
        if not self.scope.everything:
            # Whether such a stream is there is nothing to be told here.
            return Search(stream=word) if is_stream(word) else Search(problem=nonsense(word))
        if is_stream(word) and self.scope.streams(word).exists():
            return Search(stream=word)
        if is_key(word) and self.scope.events().filter(key=word).exists():
            return Search(key=word)
        if word in self.kinds:
            return Search(kind=word)
        if any(kind.startswith(f"{word}.") for kind in self.kinds):
            return Search(kind=f"{word}.*")
        return Search(
            problem=_("No stream, no key and no recent kind is called %(word)s.")
            % {"word": shown(word)}
        )

    def _status(self) -> Status | None:
        text = self._text("status")
        if text and text not in list(Status):
            self._refuse(_("status"), text)
            return None
        return Status(text) if text else None

    def _times(self) -> tuple[int | None, int | None]:
        starts = [self._moment("from")]
        if age := self._text("time"):
            if age in AGES:
                starts.append(self.scope.log.backend.now() - AGES[age] // timedelta(microseconds=1))
            else:
                self._refuse(_("time"), age)
        return max((one for one in starts if one is not None), default=None), self._moment("to")

    def _moment(self, name: str) -> int | None:
        text = self._text(name)
        if not text:
            return None
        try:
            return to_micros(moment(text))
        except (ValueError, OverflowError):
            self._refuse(_("time"), text)
            return None

    def _check_names(self) -> None:
        if self.stream is not None and not is_stream(self.stream):
            self._refuse(_("stream"), self.stream)
        if self.key is not None and not is_key(self.key):
            self._refuse(_("key"), self.key)
        try:
            self.query: Query = self.scope.log.query(kind=self.kind)
        except ValueError:
            self._refuse(_("kind"), self.kind or "")

    def _refuse(self, name: str, text: str) -> None:
        self.problems.append(
            _("%(text)s cannot be a %(name)s.") % {"text": shown(text), "name": name}
        )

    # What there is

    @cached_property
    def thread(self) -> Stream | None:
        """The row of the stream that is asked for."""
        if self.stream is None or self.problems:
            return None
        found: Stream | None = next(iter(self.scope.streams(self.stream)), None)
        return found

    @cached_property
    def kinds(self) -> list[str]:
        """The kinds of the newest events that this user may see."""
        stream = None if self.scope.everything else self.stream
        recent = self.scope.events(stream, above=self.scope.info.head - RECENT)
        return sorted(recent.values_list("kind", flat=True).distinct())

    @property
    def can_be_followed(self) -> bool:
        """Can the live API be asked for the same?"""
        others = (self.status, self.end, self.key, self.position)
        return not self.problems and all(one is None for one in others)

    # As rows

    @cached_property
    def keyset(self) -> Keyset:
        info = self.scope.info
        keyset = Keyset(self.scope.nothing, "position", info.floor, info.head)
        if self.problems or (self.stream is not None and self.thread is None):
            return keyset
        keyset = replace(keyset, rows=self.scope.rows(self.stream))
        for narrow in (
            self._by_time,
            self._by_key,
            self._by_stream,
            self._by_kind,
            self._by_status,
        ):
            keyset = narrow(keyset)
        if self.position is not None:
            return replace(keyset, around=self.position, drop=("q",))
        return keyset

    def _by_time(self, keyset: Keyset) -> Keyset:
        if self.start is None and self.end is None:
            return keyset
        find = self.scope.log.backend.position_at
        low = keyset.low if self.start is None else find(self.start)
        high = keyset.high if self.end is None else find(self.end)
        return within(keyset, low, high)

    def _by_key(self, keyset: Keyset) -> Keyset:
        if self.key is None:
            return keyset
        found = keyset.rows.filter(key=self.key).values_list("position", flat=True)
        position = next(iter(found), 0)
        return within(keyset, position - 1, position)

    def _by_stream(self, keyset: Keyset) -> Keyset:
        if self.thread is None:
            return keyset
        return within(keyset, self.thread.first_position - 1, self.thread.last_position)

    def _by_kind(self, keyset: Keyset) -> Keyset:
        wanted = Q(kind__in=self.query.exact) if self.query.exact else Q()
        for prefix in self.query.prefixes:
            # "/" is the character after ".", and kinds are compared byte by byte.
            wanted |= Q(kind__gte=prefix, kind__lt=prefix[:-1] + "/")
        if not wanted:
            return keyset
        return replace(keyset, rows=keyset.rows.filter(wanted), span=self._span())

    def _span(self) -> int:
        """Of one stream a page looks at as many events, which are the farther apart the more
        streams there are."""
        if self.thread is None or not self.thread.seq:
            return SPAN
        length = self.thread.last_position - self.thread.first_position + 1
        return max(SPAN, SPAN * length // self.thread.seq)

    def _by_status(self, keyset: Keyset) -> Keyset:
        if self.status is None:
            return keyset
        if self.thread is not None:
            fits = self.thread.status == self.status
            return keyset if fits else within(keyset, 0, 0)
        streams = Stream.objects.filter(
            log_id=self.scope.pk, name=OuterRef("stream"), status=self.status
        )
        rows: QuerySet[Any] = keyset.rows.filter(Exists(streams))
        return replace(keyset, rows=rows, span=SPAN)


def within(keyset: Keyset, low: int, high: int) -> Keyset:
    low, high = max(keyset.low, low), min(keyset.high, high)
    return replace(keyset, low=low, high=max(low, high))


def is_key(text: str) -> bool:
    return len(text) <= MAX_KEY and "\0" not in text


def moment(text: str) -> datetime:
    """`2026-11-20T10:00`, in the time zone of the page unless it names another, or a day."""
    found = parse_datetime(text)
    if found is None and (day := parse_date(text)):
        found = datetime(day.year, day.month, day.day)
    if found is None:
        raise ValueError(text)
    return found if found.tzinfo else make_aware(found, get_current_timezone())
