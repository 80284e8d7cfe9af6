"""Invariants of handlers: what they did with each entry, whoever was killed, frozen or cut off."""

from collections import Counter, defaultdict
from itertools import pairwise

from ..record import echo_of, is_poison

# The handler for which some entries fail each time.
POISONED = "poisoned"


def handlers_come_to_the_head(history):
    """And run on: nothing has stopped one of them."""
    for one in history.handled:
        if one.cursor != history.head or one.state != "running":
            yield f"{one.handler} is {one.state} at {one.cursor}, and the head is {history.head}"


def every_entry_is_handled(history):
    """At least once; but for those that are held, and those that wait behind them."""
    for one in history.handled:
        done = {position for position, _ in one.effects}
        for position in sorted(wanted(history, one) - done):
            yield f"{one.handler} has not handled {position}"


def nothing_is_handled_twice(history):
    """By a handler whose effects are in the transaction of its cursor."""
    for one in history.handled:
        if one.atomic:
            for position, count in Counter(position for position, _ in one.effects).items():
                if count > 1:
                    yield f"{one.handler} has handled {position} {count} times"


def what_a_handler_emits_is_there(history):
    """Of each entry that `single` answers; that nothing is there twice is said elsewhere."""
    if history.handled:
        for seen in history.known.values():
            if seen.kind == "job.done" and echo_of(seen.uid) not in history.places:
                yield f"the handler's answer to {seen.uid} is missing"


def a_stream_is_handled_in_order(history):
    """Where an entry may be handled again, its first time counts."""
    for one in history.handled:
        streams = defaultdict(dict)
        for position, stream in one.effects:
            streams[stream][position] = None
        for stream in streams.keys() - {""}:
            for before, after in pairwise(streams[stream]):
                if after < before:
                    yield f"{one.handler}, {stream}: {after} after {before}"


def only_what_fails_each_time_is_held(history):
    """It is parked, what comes after it in its stream waits behind it, and neither has left an
    effect."""
    for one in history.handled:
        expected = expected_to_be_held(history, one)
        held = {each["position"]: (each["parked"], each["behind"]) for each in one.held}
        for position in sorted(held.keys() | expected.keys()):
            if held.get(position) != expected.get(position):
                yield f"{one.handler} holds {position}: {held.get(position)}, not {expected.get(position)}"
        done = {position for position, _ in one.effects}
        for position in sorted(done - wanted(history, one)):
            yield f"{one.handler} has an effect of {position}, which is held or unknown"


def expected_to_be_held(history, one):
    """What has to be parked, and how many wait behind each."""
    found = {}
    for entries, done in streams(history, one):
        if done < len(entries):
            found[entries[done].position] = True, len(entries) - done - 1
    return found


def wanted(history, one):
    """The positions that have to be handled."""
    return {seen.position for entries, done in streams(history, one) for seen in entries[:done]}


def streams(history, one):
    """The entries of each stream, and how many come before the first that fails each time. What is
    in no stream holds nobody up."""
    found = defaultdict(list)
    for seen in history.known.values():
        found[seen.stream or seen.position].append(seen)
    for entries in found.values():
        bad = (
            number
            for number, seen in enumerate(entries)
            if one.handler == POISONED and is_poison(seen.kind, seen.uid)
        )
        yield entries, next(bad, len(entries))


INVARIANTS = (
    handlers_come_to_the_head,
    every_entry_is_handled,
    nothing_is_handled_twice,
    what_a_handler_emits_is_there,
    a_stream_is_handled_in_order,
    only_what_fails_each_time_is_held,
)
