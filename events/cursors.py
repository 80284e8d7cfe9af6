"""What a reader asks for, and where in the log that is. Pure: no store, no clock."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, takewhile
from typing import Literal, NamedTuple, Self, TypedDict

from .exceptions import InvalidEvent
from .types import Gap, Row
from .validation import KIND, MAX_KIND, shown, valid_stream, valid_text

Since = int | Literal["earliest", "latest"]
Kinds = str | Iterable[str] | None
Streams = str | Iterable[str] | None

# A filter by kind or by a set of streams looks at no more than this many pages' worth of positions
# at a time, so that a rare kind in a long log costs many short reads and not one that never returns.
SCAN_PAGES = 20
# Streams and prefixes of streams in one read.
MAX_STREAMS = 32


class Here(TypedDict, total=False):
    """What a reader wants of one stream; see `EventLog.read`."""

    kind: Kinds
    epoch: str | None
    last: int | None


class Wanted(Here, total=False):
    """What a reader wants of a log."""

    stream: Streams


class BadParameter(ValueError):
    """Something that is asked for breaks a rule; `name` is what the reader calls it."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name} {rule}")
        self.name = name
        self.rule = rule


def ended_terms(text: str) -> tuple[tuple[str, int], ...]:
    """The epochs of `<epoch>:<first position> …` but the last, each with its last position."""
    begun = [
        (epoch, int(start)) for epoch, _, start in (one.partition(":") for one in text.split())
    ]
    return tuple((epoch, start - 1) for (epoch, _), (_, start) in pairwise(begun))


class State(NamedTuple):
    """Where a log stands for its readers: what is at or below `floor` is not served.

    `terms` are the epochs before this one whose numbering it goes on with, each up to a position:
    what came after that was lost with the server that had it.
    """

    head: int
    floor: int
    epoch: str
    terms: tuple[tuple[str, int], ...] = ()

    def goes_on(self, epoch: str, since: int) -> bool:
        """Does a position of that epoch stand for the same event here?"""
        return epoch == self.epoch or any(
            epoch == term and since <= end for term, end in self.terms
        )

    def epoch_at(self, position: int) -> str:
        """The epoch in whose name a position was given."""
        return next((term for term, end in self.terms if position <= end), self.epoch)


@dataclass(frozen=True, slots=True)
class Query:
    """One read, checked. `exact` and `prefixes` are the kinds wanted; both empty means all.

    Either `stream` is the one stream that is wanted, or there is a set of them: `streams` by their
    names, and those whose names begin with one of `starts`. None and two empty tuples mean all.
    `span` is how many positions may be looked at; None sets no bound. `whole`: down to the floor,
    whatever the TTL hides (database backend). `careful`: every row is examined, and not only those
    that look damaged. With `last`, the read begins with the newest so many entries, instead of at
    the earliest.
    """

    since: Since = "earliest"
    limit: int = 100
    stream: str | None = None
    exact: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    epoch: str | None = None
    span: int | None = None
    streams: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    whole: bool = False
    careful: bool = False
    last: int | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        """The streams as they are asked for, prefixes with a `*`; none stand for the whole log."""
        if self.stream is not None:
            return (self.stream,)
        return (*self.streams, *(f"{start}*" for start in self.starts))

    def wants(self, row: Row) -> bool:
        if self.stream is not None:
            if row.stream != self.stream:
                return False
        elif (self.streams or self.starts) and not (
            row.stream in self.streams or row.stream.startswith(self.starts)
        ):
            return False
        if not self.exact and not self.prefixes:
            return True
        return row.kind in self.exact or row.kind.startswith(self.prefixes)

    def after(self, found: "Rows") -> Self:
        """The query for the page after one that was found."""
        return replace(self, since=found.cursor, last=None, epoch=found.state.epoch)


class Rows(NamedTuple):
    """What a backend answers to a query; its `state.floor` is the effective one.

    `partial`: more was committed before the query, and does not have its positions yet.
    `cut`: fewer than were asked for, because of their bytes or of a row that cannot be read.
    """

    rows: list[Row]
    cursor: int
    state: State
    gap: Gap | None
    partial: bool = False
    cut: bool = False

    @property
    def caught_up(self) -> bool:
        """Has a reader with this cursor had everything that was there when it asked?"""
        return self.cursor >= self.state.head and not self.partial


def make_query(
    since: object,
    limit: object,
    stream: Streams = None,
    kind: Kinds = None,
    epoch: str | None = None,
    last: object = None,
    *,
    page_size: int,
    max_page_size: int,
) -> Query:
    exact, prefixes = _kinds(kind)
    patterns = valid_streams(stream)
    one = only_stream(patterns)
    several = patterns if one is None else ()
    newest = None if last is None else _last(last, since, max_page_size)
    # Without a limit of their own, all that were asked for are on the page.
    wanted = max(page_size, newest or 0) if limit is None else checked_integer("limit", limit)
    return Query(
        since=_since(since),
        limit=min(wanted, max_page_size),
        stream=one,
        exact=exact,
        prefixes=prefixes,
        epoch=epoch,
        span=SCAN_PAGES * max_page_size if exact or prefixes or several else None,
        streams=tuple(name for name in several if not name.endswith("*")),
        starts=tuple(name[:-1] for name in several if name.endswith("*")),
        last=newest,
    )


def valid_streams(stream: Streams) -> tuple[str, ...]:
    """Names and prefixes (`red:*`), each once and sorted; none stand for the whole log. An empty name
    asks for what is in no stream. An empty list is refused: whoever has computed it does not mean
    everything."""
    if stream is None:
        return ()
    if isinstance(stream, str | bytes | Mapping) or not isinstance(stream, Iterable):
        stream = [stream]  # type: ignore[list-item]
    given = list(islice(stream, MAX_STREAMS + 1))
    if not given or len(given) > MAX_STREAMS:
        raise InvalidEvent("stream", f"must be 1 to {MAX_STREAMS} names or prefixes")
    patterns = sorted({*map(_pattern, given)})
    if len(patterns) > 1 and not patterns[0]:
        raise InvalidEvent("stream", "must not be empty beside others")
    return tuple(patterns)


def _pattern(stream: object) -> str:
    """One of these, checked: what a name may begin with may be a name as well."""
    text = valid_text("stream", stream)
    name = valid_stream(text.removesuffix("*"))
    if name == text:
        return name
    if not name:
        raise InvalidEvent("stream", "must have a character before the *")
    return f"{name}*"


def only_stream(patterns: Sequence[str]) -> str | None:
    """The stream that these ask for, if it is a single one by its name."""
    return patterns[0] if len(patterns) == 1 and not patterns[0].endswith("*") else None


def _since(since: object) -> Since:
    if since in ("earliest", "latest"):
        return since
    if isinstance(since, int) and not isinstance(since, bool) and since >= 0:
        return since
    rule = f"must be 'earliest', 'latest' or a position from 0, not {shown(since)}"
    raise BadParameter("since", rule)


def _last(last: object, since: object, most: int) -> int:
    if since != "earliest":
        raise BadParameter("last", "stands in place of since: give one of them")
    number = checked_integer("last", last, least=1)
    if number > most:
        raise BadParameter("last", f"must be at most MAX_PAGE_SIZE, {most}, not {shown(number)}")
    return number


def checked_integer(name: str, number: object, *, least: int = 0) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and number >= least:
        return number
    raise BadParameter(name, f"must be a whole number from {least}, not {shown(number)}")


def _kinds(kind: Kinds) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split `turn.started` from `turn.*`. An empty list, like None or `*`, asks for all."""
    if kind is None:
        return (), ()
    if isinstance(kind, str | bytes | Mapping) or not isinstance(kind, Iterable):
        kind = [kind]  # type: ignore[list-item]
    exact, prefixes, everything = [], [], False
    for pattern in kind:
        if pattern == "*":
            everything = True
            continue
        name = pattern.removesuffix(".*") if isinstance(pattern, str) else ""
        if len(name) > MAX_KIND or not KIND.fullmatch(name):
            rule = f"must be like 'turn.started' or 'turn.*', not {shown(pattern)}"
            raise BadParameter("kind", rule)
        if name == pattern:
            exact.append(name)
        else:
            prefixes.append(f"{name}.")
    return ((), ()) if everything else (tuple(exact), tuple(prefixes))


def locate(query: Query, state: State) -> tuple[int, Gap | None]:
    """The position after which this reader goes on, and what it has missed."""
    since, first = query.since, state.floor + 1
    if since == "earliest":
        return state.floor, None
    if since == "latest":
        return state.head, None
    if query.epoch is not None and not state.goes_on(query.epoch, since):
        return state.floor, Gap("epoch", since, first, state.floor)
    if since > state.head:
        return state.head, Gap("ahead", since, state.head + 1, 0)
    if since < state.floor:
        return state.floor, Gap("pruned", since, first, state.floor - since)
    return since, None


def last_start(query: Query, state: State, newest_first: Iterable[Row]) -> int:
    """The position before the newest `last` entries that a query wants; the head if it finds none."""
    bound = state.floor if query.span is None else max(state.floor, state.head - query.span)
    resident = takewhile(lambda row: row.position > bound, newest_first)
    found = [row.position for row in islice(filter(query.wants, resident), query.last)]
    return found[-1] - 1 if found else state.head


def finish(
    query: Query,
    state: State,
    rows: list[Row],
    partial: bool = False,
    cut: bool = False,
    bad: Collection[int] = (),
) -> Rows:
    """Put the cursor behind everything that was looked at, matching or not.

    A row at one of the `bad` positions, which cannot be read, is a gap of its own: the page before
    ends there, and the page after begins with it.
    """
    start, gap = locate(query, state)
    if query.limit == 0:
        # A probe consumes nothing, so a cursor below the floor stays there.
        cursor = query.since if gap and gap.reason == "pruned" else start
    elif cut or len(rows) == query.limit:
        cursor = rows[-1].position
    elif query.span is not None:
        cursor = min(start + query.span, state.head)
    else:
        cursor = state.head
    assert isinstance(cursor, int)  # nosec B101 # for the type checker
    if bad and gap is None and rows[0].position in bad:
        gap = unreadable(rows[0].position)
        rows = rows[1:]
    for index, row in enumerate(rows) if bad else ():
        if row.position in bad:
            return Rows(rows[:index], row.position - 1, state, gap, partial, True)
    return Rows(rows, cursor, state, gap, partial, cut)


def unreadable(position: int) -> Gap:
    """In place of an entry whose row is damaged."""
    return Gap("unreadable", position - 1, position + 1, 1)
