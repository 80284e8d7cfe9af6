"""Invariants of streams that are opened and ended, by their writers or by the watchdog."""

from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise

from ..record import ABANDONED, FAIL, IDLE, ROLLED_BACK, is_of_the_watchdog, is_step
from .order import first_end


def a_step_is_taken_once(history):
    """B54, B55, B57: a stream opens once and ends once, also when two watchdogs look after it."""
    taken = Counter(seen.uid for seen in history.known.values() if is_step(seen))
    for uid, count in taken.items():
        if count > 1:
            yield f"{uid}: {count} times"
    for stream, ends in history.ended.items():
        if len(ends) > 1:
            yield f"{stream} ends at {[end.position for end in ends]}"


def nothing_comes_after_an_end_but_late_commits(history):
    """B56: what was emitted after the end had been acknowledged is refused. What a transaction
    emitted before that, and committed after it, is not lost: it comes behind the end."""
    for seen in history.known.values():
        end = next(iter(history.ended.get(seen.stream, ())), None)
        if end is not None and seen.position > end.position and not is_late(history, seen, end):
            yield f"{seen.uid} at {seen.position}, and {end.uid} at {end.position}"


def is_late(history, seen, end):
    """Can it have been emitted in a transaction while the stream was seen to be alive?"""
    return any(
        id(call) in history.deferred
        and call.outcome not in (FAIL, ROLLED_BACK)
        and call.start < first_end(history, end.uid)
        for call in history.emitted.get(seen.uid, [])
    )


def silent_streams_fail(history):
    """B57, B60: once, with no reader, and whoever is killed meanwhile; if a watchdog was there."""
    if not any(mark.what == "watched" for mark in history.marks):
        return
    for seen in history.known.values():
        left_alone = seen.kind == "stream.opened" and seen.stream.startswith(ABANDONED)
        if left_alone and seen.stream not in history.ended and not history.pruned_unseen:
            yield f"{seen.stream}, opened at {seen.position}, is still open"


def only_silent_streams_fail(history):
    """B57, B58: the watchdog looks again under the lock, and any event resets the timer."""
    threads = defaultdict(list)
    for seen in history.known.values():
        if seen.stream.startswith(ABANDONED) and seen.time:
            threads[seen.stream].append(seen)
    for entries in threads.values():
        for before, after in pairwise(entries):
            if is_of_the_watchdog(after) and after.seq == before.seq + 1:
                silent = datetime.fromisoformat(after.time) - datetime.fromisoformat(before.time)
                if silent.total_seconds() < IDLE:
                    yield f"{after.stream} at {after.position}, after {silent}"


INVARIANTS = (
    a_step_is_taken_once,
    nothing_comes_after_an_end_but_late_commits,
    silent_streams_fail,
    only_silent_streams_fail,
)
