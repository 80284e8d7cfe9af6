"""Invariants of reading: a page is a complete stretch, and nobody sees the log go backwards."""

from bisect import bisect_left
from itertools import accumulate

from ..record import TERM
from .order import first_end


def pages_show_everything_up_to_their_cursor(history):
    """B2, B7, B11, B63: all that matches in (since, cursor], whoever else writes meanwhile."""
    for page in history.pages:
        begin = where_it_begins(history, page)
        stretch = {*range(begin + 1, page.cursor + 1 if page.limit else 0)} - history.broken
        due = [p for p in sorted(stretch) if p not in history.known or page.wants(history.known[p])]
        shown = {seen.position for seen in page.entries}
        if page.stream or page.kind:
            due = [position for position in due if position in history.known]
        for position in due:
            if position not in shown:
                yield f"{named(page)} does not show {position}"


def where_it_begins(history, page):
    """The position after which a page starts; the floor of that moment if it said `earliest`."""
    if page.gap is not None:
        return page.gap["first_available"] - 1
    if page.since != "earliest":
        return page.since
    if history.floor == 0:
        return 0
    # The filtered ones cannot be judged: the floor is not in the answer.
    return page.entries[0].position - 1 if page.entries else page.cursor


def pages_show_nothing_else(history):
    """B2, B5: only what matches, in order, after the cursor of before, no more than the limit."""
    for page in history.pages:
        begin = where_it_begins(history, page)
        positions = [seen.position for seen in page.entries]
        if positions != sorted(set(positions)):
            yield f"{named(page)} is not in order: {positions}"
        if len(positions) > page.limit:
            yield f"{named(page)} shows {len(positions)}"
        for seen in page.entries:
            if not begin < seen.position <= page.cursor or not page.wants(seen):
                yield f"{named(page)} shows {seen}"


def cursors_stay_below_the_head(history):
    """B2, B10, B11: and never move back, except to it."""
    for page in history.pages:
        back = page.since != "earliest" and page.cursor < page.since and page.gap is None
        if page.cursor > page.head or back:
            yield named(page)


def the_head_never_runs_backwards(history):
    """B15: nobody who reads after somebody else sees an older log."""
    ended = sorted(history.pages, key=lambda page: page.end)
    ends = [page.end for page in ended]
    highest = list(accumulate((page.head for page in ended), max))
    for page in history.pages:
        before = bisect_left(ends, page.start)
        if before and highest[before - 1] > page.head:
            yield f"{named(page)}, after somebody had seen {highest[before - 1]}"


def readers_see_what_was_acknowledged_before(history):
    """B26: whoever reads after a commit has returned is shown a head that includes its events."""
    ended = sorted((first_end(history, seen.uid), at) for at, seen in history.known.items())
    ends = [end for end, _ in ended]
    highest = list(accumulate((position for _, position in ended), max))
    for page in history.pages:
        before = bisect_left(ends, page.start)
        if before and highest[before - 1] > page.head and not page.partial:
            yield f"{named(page)}, but {highest[before - 1]} was acknowledged before it"


def gaps_are_exact(history):
    """B12: what was lost is counted exactly, was there to be lost, and nothing else is a gap."""
    for page in history.pages:
        gap = page.gap
        if gap is None or history.is_of_a_broken_row(gap):
            continue
        lost = gap["first_available"] - 1 - gap["requested"]
        if (gap["reason"], gap["requested"], gap["lost"]) != ("pruned", page.since, lost):
            yield f"{named(page)}: {gap}"
        elif lost <= 0 or gap["first_available"] - 1 > history.floor:
            yield f"{named(page)}: {gap}, and the floor came to {history.floor} only"


def the_log_keeps_its_identity(history):
    """B13: no epoch begins while nobody asks for one, and no other server has the log."""
    epochs = {page.epoch for page in history.pages}
    if len(epochs) > 1 + sum(mark.what == TERM for mark in history.marks):
        yield f"{sorted(epochs)}"


def named(page):
    what = f"{page.reader}: since {page.since}, limit {page.limit}"
    return f"{what}, cursor {page.cursor} of {page.head} ({page.stream}, {page.kind})"


INVARIANTS = (
    pages_show_everything_up_to_their_cursor,
    pages_show_nothing_else,
    cursors_stay_below_the_head,
    the_head_never_runs_backwards,
    readers_see_what_was_acknowledged_before,
    gaps_are_exact,
    the_log_keeps_its_identity,
)
