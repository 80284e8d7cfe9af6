"""What a list of events is asked for, as a range of positions.

Time runs along positions and both are dense, so every filter becomes such a range first, at the
cost of a look-up in an index; what no index serves (kind, the stream's status, the context) then
looks at a bounded part of it. An index on kind would make every append dearer, for this page's sake.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan
from django.http import HttpRequest
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import get_current_timezone, make_aware
from django.utils.translation import gettext as _

from ...cursors import Query
from ...models import Stream
from ...types import Row, Status, to_micros
from ...validation import shown, valid_key, valid_stream
from ..shared.keyset import Keyset, whole
from ..shared.payloads import light
from ..shared.scope import Scope, is_stream, scope_of
from .search import FIELDS, Nonsense, parse, spellings

# How many positions a page looks at for a kind, say. With 50,000 a page without a match took three
# times as long as one of a short log, on SQLite (`python -m benchmarks.admin`).
SPAN = 20_000
# Which kinds are there: those of so many newest events.
RECENT = 2_000

ATTRIBUTE = "_events_wanted"

AGES = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}


class Wanted:
    """A request's filters and search, read. `problems` are what could not be understood; then
    nothing is shown, because less than was asked for would be taken for all of it."""

    def __init__(self, scope: Scope, params: Mapping[str, str]) -> None:
        self.scope = scope
        self.problems: list[str] = [scope.problem] if scope.problem else []
        self.asked = {name: text for name in params if (text := params[name].strip())}
        try:
            self.asked |= self._named(parse(self.asked.get("q", "")))
        except Nonsense as error:
            self.problems.append(str(error))
        self.stream = self._read("stream", _("stream"), valid_stream)
        self.key = self._read("key", _("key"), valid_key)
        self.status = self._read("status", _("status"), Status)
        self.kind = self._read("kind", _("kind"), self._a_kind)
        self.fields = {
            name: text for name in FIELDS if (text := self._read(name, name, str)) is not None
        }
        self.position = whole(self.asked.get("position", ""))
        age = self._read("time", _("time"), AGES.__getitem__)
        since = age and scope.log.backend.now() - age // timedelta(microseconds=1)
        start = self._read("from", _("time"), moment)
        self.start = max((one for one in (since, start) if one is not None), default=None)
        self.end = self._read("to", _("time"), moment)

    def _read(self, name: str, title: str, read: Callable[[str], Any]) -> Any:
        text = self.asked.get(name)
        if text is None:
            return None
        # A NUL is in no column of PostgreSQL's.
        with suppress(ValueError, KeyError, OverflowError):
            if "\0" not in text:
                return read(text)
        said = _("%(text)s cannot be a %(name)s.") % {"text": shown(text), "name": title}
        self.problems.append(said)
        return None

    def _a_kind(self, text: str) -> str:
        self.scope.log.query(kind=text)
        return text

    def _named(self, found: dict[str, str]) -> dict[str, str]:
        """With what a bare word names: a stream, a key, a kind, or the first parts of one."""
        word = found.get("")
        if word is None or self.problems:
            return found
        if word.endswith("*"):
            return {"kind": word}
        if not self.scope.everything:
            # Whether such a stream is there is nothing to be told here.
            if is_stream(word):
                return {"stream": word}
            raise Nonsense(word)
        if is_stream(word) and self.scope.streams(word).exists():
            return {"stream": word}
        if self.scope.events().filter(key=word).exists():
            return {"key": word}
        if word in self.kinds:
            return {"kind": word}
        if any(kind.startswith(f"{word}.") for kind in self.kinds):
            return {"kind": f"{word}.*"}
        said = _("No stream, no key and no recent kind is called %(word)s.")
        self.problems.append(said % {"word": shown(word)})
        return {}

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
        return not self.problems and not self.fields and all(one is None for one in others)

    # As rows

    @cached_property
    def keyset(self) -> Keyset:
        low, high = self.scope.info.floor, self.scope.info.head
        gone = self.stream is not None and self.thread is None
        if self.problems or gone or not self.scope.shows(self.stream):
            # An empty range: an export asks the log for it, and not for these rows.
            return Keyset(self.scope.rows(self.stream).none(), "position", low, low)
        rows: QuerySet[Any] = self.scope.rows(self.stream)
        for least, most in self._ranges(rows):
            low, high = max(low, least), min(high, most)
        looks = self.query().span or self.fields or (self.status and self.thread is None)
        span = self._span() if looks else None
        drop = () if self.position is None else ("q",)
        rows, high = self._narrowed(rows), max(low, high)
        return Keyset(light(rows), "position", low, high, span, self.position, drop)

    def _ranges(self, rows: QuerySet[Any]) -> Iterator[tuple[int, int]]:
        find, head = self.scope.log.backend.position_at, self.scope.info.head
        if self.start is not None:
            yield find(self.start), head
        if self.end is not None:
            yield 0, find(self.end)
        if self.key is not None:
            found = rows.filter(key=self.key).values_list("position", flat=True)
            position = next(iter(found), 0)
            yield position - 1, position
        if self.thread is not None:
            fits = self.status in (None, self.thread.status)
            yield self.thread.first_position - 1, self.thread.last_position if fits else 0

    def _narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """By what no index serves."""
        query = self.query()
        kinds = Q(kind__in=query.exact) if query.exact else Q()
        for prefix in query.prefixes:
            # "/" is the character after ".", and kinds are compared byte by byte.
            kinds |= Q(kind__gte=prefix, kind__lt=prefix[:-1] + "/")
        rows = rows.filter(kinds)
        for field in self.fields.items():
            written = Q()
            for text in spellings(*field):
                # Not `contains`: on SQLite that takes a letter for its capital.
                written |= Q(GreaterThan(StrIndex(F("context"), Value(text)), 0))
            rows = rows.filter(written)
        if self.status is not None and self.thread is None:
            streams = Stream.objects.filter(
                log_id=self.scope.pk, name=OuterRef("stream"), status=self.status
            )
            rows = rows.filter(Exists(streams))
        return rows

    def _span(self) -> int:
        """Of one stream a page looks at as many events, which are the farther apart the more
        streams there are."""
        if self.thread is None or not self.thread.seq:
            return SPAN
        length = self.thread.last_position - self.thread.first_position + 1
        return max(SPAN, SPAN * length // self.thread.seq)

    # As the API reads them

    def query(self, since: int = 0) -> Query:
        log = self.scope.log
        return log.query(since, log.settings.max_page_size, stream=self.stream, kind=self.kind)

    def among(self, rows: Sequence[Row]) -> list[Row]:
        """Those of the API's rows that fit what it cannot be asked for."""
        found = list(rows)
        for field in self.fields.items():
            some = spellings(*field)
            found = [row for row in found if any(text in (row.context or "") for text in some)]
        if self.status is not None:
            names = {row.stream for row in found if row.stream}
            known = self.scope.log.backend.find_streams(list(names))
            fits = {name for name, stream in known.items() if stream.status == self.status}
            found = [row for row in found if row.stream in fits]
        return found


def wanted_of(request: HttpRequest) -> Wanted:
    """What a request's list is of; read once."""
    if not hasattr(request, ATTRIBUTE):
        setattr(request, ATTRIBUTE, Wanted(scope_of(request), request.GET))
    found: Wanted = getattr(request, ATTRIBUTE)
    return found


def moment(text: str) -> int:
    """`2026-11-20T10:00`, in the time zone of the page unless it names another, or a day."""
    found = parse_datetime(text)
    if found is None and (day := parse_date(text)):
        found = datetime(day.year, day.month, day.day)
    if found is None:
        raise ValueError(text)
    return to_micros(found if found.tzinfo else make_aware(found, get_current_timezone()))
