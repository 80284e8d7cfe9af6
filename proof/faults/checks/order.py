"""Invariants of where things are: one place each, for everybody, in the order that was promised."""

from bisect import bisect_left
from collections import defaultdict
from itertools import pairwise

from ..record import FAIL, OK, ROLLED_BACK


def a_position_is_one_entry_for_everybody(history):
    """B15, B16: whoever looks, whenever, and whoever was told it as an answer."""
    for page in history.pages:
        for seen in page.entries:
            first = history.known[seen.position]
            if seen != first:
                yield f"{page.reader} saw {seen}, another had seen {first}"
    for arrival in history.arrivals:
        for seen in arrival.entries:
            first = history.known[seen.position]
            if seen.core != first.core:
                yield f"{arrival.client} was sent {seen}, another had seen {first}"
    for op in history.ops:
        for event in op.events:
            seen = history.known.get(event.position)
            if seen is not None and seen.uid != event.uid:
                yield f"{event.uid} was told {seen.position}, where {seen.uid} is"


def answers_hold(history):
    """B14: a position in an answer is the event's, also once it was pruned."""
    told = defaultdict(set)
    for op in history.ops:
        for event in op.events:
            if event.position is not None and event.outcome == OK:
                told[event.uid].add(event.position)
    for uid, positions in told.items():
        if len(positions | set(history.places.get(uid, []))) > 1:
            yield f"{uid} was told {sorted(positions)} and is at {history.places.get(uid)}"


def time_never_runs_backwards(history):
    """B21: a later position is not of an earlier time."""
    timed = [seen for seen in history.known.values() if seen.time]
    for before, after in pairwise(timed):
        if after.time < before.time:
            yield f"{after.position} is of {after.time}, {before.position} of {before.time}"


def seq_has_no_holes(history):
    """B53: 1, 2, 3, … in each stream, but for entries that were pruned before anybody read them."""
    threads = defaultdict(list)
    for seen in history.known.values():
        threads[seen.stream].append(seen)
    for seen in threads.pop("", []):
        if seen.seq is not None:
            yield f"{seen} is in no stream and has a seq"
    for stream, entries in threads.items():
        last, position = 0, 0
        for seen in entries:
            unseen = unseen_between(history, position, seen.position)
            if not last < (seen.seq or 0) <= last + 1 + unseen:
                yield f"{stream}: seq {seen.seq} at {seen.position} after {last} at {position}"
            last, position = seen.seq or 0, seen.position


def unseen_between(history, after, before):
    return bisect_left(history.unseen, before) - bisect_left(history.unseen, after)


def transactions_keep_the_order_of_their_emits(history):
    """B28, B29: what a transaction or a batch emitted first comes first."""
    for op in history.ops:
        places = placed(history, op)
        if op.shape != "burst" and places != sorted(places):
            yield f"{op.id} is at {places}"


def batches_stay_together(history):
    """B14: what one `emit_many` stored outside a transaction is next to each other."""
    for op in history.ops:
        places = placed(history, op)
        if op.shape == "many" and len(places) == len(op.events) > 1:
            for before, after in pairwise(places):
                if after != before + 1:
                    yield f"{op.id} is at {places}"


def placed(history, op):
    """Where the events are that only this op has emitted."""
    return [
        history.places[event.uid][0]
        for event in op.events
        if event.uid in history.places and len(history.emitted[event.uid]) == 1
    ]


def what_was_emitted_later_comes_later(history):
    """B28: if B was emitted after the commit of A had returned, B comes after A."""
    ended, who = float("inf"), None
    for seen in reversed(history.known.values()):
        if first_start(history, seen.uid) > ended:
            yield f"{seen.uid} at {seen.position} was emitted after {who.uid} at {who.position}"
        if (end := first_end(history, seen.uid)) < ended:
            ended, who = end, seen


def first_start(history, uid):
    """The earliest moment at which this event can have been emitted."""
    calls = history.emitted.get(uid, [])
    return min((c.start for c in calls if c.outcome not in (FAIL, ROLLED_BACK)), default=0.0)


def first_end(history, uid):
    """The earliest moment at which it is known to have been committed."""
    calls = history.emitted.get(uid, [])
    return min((c.end for c in calls if c.outcome == OK), default=float("inf"))


INVARIANTS = (
    a_position_is_one_entry_for_everybody,
    answers_hold,
    time_never_runs_backwards,
    seq_has_no_holes,
    transactions_keep_the_order_of_their_emits,
    batches_stay_together,
    what_was_emitted_later_comes_later,
)
