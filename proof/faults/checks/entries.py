"""Invariants of what is in the log: all that was acknowledged, once, and nothing else."""

from collections import Counter, defaultdict

from ..record import FAIL, OK, ROLLED_BACK, UNKNOWN, is_echo, is_of_the_watchdog, is_step


def acknowledged_events_are_there(history):
    """B14, B22, B26, B29: what an emit or a commit acknowledged is in the log.

    What was pruned before anybody read it has left an unseen position each.
    """
    missing = acknowledged_but_missing(history)
    if len(missing) > len(history.pruned_unseen):
        yield f"{len(missing)} are not there, as {', '.join(missing[:5])}"


def acknowledged_but_missing(history):
    return [
        uid
        for uid, calls in history.emitted.items()
        if uid not in history.places
        and any(call.outcome == OK for call in calls)
        and not all(was_set_aside(history, call) for call in calls if call.outcome == OK)
    ]


def was_set_aside(history, call):
    """B30: of two open transactions with one key, the first wins; the other's event goes. So does
    a step that was taken in a transaction in a stream that ended before its commit."""
    if id(call) in history.deferred and is_step(call):
        return call.stream in history.ended
    return call.kind == "key.contested" and any(
        seen.key == call.key and seen.uid != call.uid for seen in history.known.values()
    )


def no_event_is_there_twice(history):
    """B7, B22, B26: not after a retry, a crash or two sequencers either."""
    for uid, positions in history.places.items():
        if len(positions) > 1:
            yield f"{uid} is at {positions}"


def nothing_taken_back_is_there(history):
    """B26, B29: what was rolled back, with its savepoint or its transaction, or refused."""
    for uid, calls in history.emitted.items():
        if uid in history.places and all(c.outcome in (ROLLED_BACK, FAIL) for c in calls):
            yield f"{uid} ({calls[0].outcome}) is at {history.places[uid]}"


def entries_are_what_was_emitted(history):
    """B16: every entry is the event of some emit, unchanged."""
    for seen in history.known.values():
        calls = history.emitted.get(seen.uid, [])
        known = any(is_of(seen, call) for call in calls)
        if not (known or is_of_the_watchdog(seen) or is_echo(seen)):
            yield f"position {seen.position}: nobody emitted {seen}"


def is_of(seen, call):
    """A client is not told the key."""
    same_key = seen.key == call.key or not seen.time
    return same_key and (seen.kind, seen.stream) == (call.kind, call.stream)


def transactions_are_there_whole(history):
    """B26: of a transaction or a batch whose end nobody knows, all events are there, or none."""
    for op in history.ops:
        if op.outcome == UNKNOWN and op.shape != "burst" and not history.pruned_unseen:
            own = [e for e in op.events if e.outcome == UNKNOWN and is_its_own(history, e)]
            there = [event.uid for event in own if event.uid in history.places]
            if there and len(there) < len(own):
                yield f"of {op.id} only {there} of {len(own)}"


def is_its_own(history, event):
    """Does nobody else emit this event, or use its key?"""
    shared = len(history.emitted[event.uid]) > 1 or event.kind == "key.contested"
    return not shared and not is_step(event)


def there_is_one_entry_for_a_key(history):
    """B30: also when two race."""
    places = defaultdict(list)
    for seen in history.known.values():
        if seen.key is not None:
            places[seen.key].append(seen.position)
    for key, positions in places.items():
        if len(positions) > 1:
            yield f"{key} is at {positions}"


def positions_have_no_holes(history):
    """B14, B22, B26: 1 to the head, but for what was pruned; nothing burns a position."""
    for position in history.unseen:
        if position > history.floor and position not in history.broken:
            yield f"there is nothing at {position}; the head is {history.head}"


def what_was_pruned_had_been_emitted(history):
    """B15, B26: positions that nobody saw belong to events that were stored and then pruned."""
    lost = acknowledged_but_missing(history)
    maybe = [
        uid
        for uid, calls in history.emitted.items()
        if uid not in history.places and any(call.outcome == UNKNOWN for call in calls)
    ]
    if len(history.pruned_unseen) > len(lost) + len(maybe):
        yield f"{len(history.pruned_unseen)} unseen positions, but {len(lost)} missing events"


def the_final_ledger_is_all_that_is_left(history):
    """B7, B15: when all is over, a read from the start shows everything above the floor."""
    counts = Counter()
    for page in history.pages:
        if page.final:
            counts[page.reader] += len(page.entries)
    for reader, count in counts.items():
        if count != history.head - history.floor - len(history.broken):
            yield f"{reader} saw {count} entries between {history.floor} and {history.head}"
    for info in history.infos:
        if (info.head, info.count) != (history.head, history.head - history.floor):
            yield f"{info} at a head of {history.head} and a floor of {history.floor}"


INVARIANTS = (
    acknowledged_events_are_there,
    no_event_is_there_twice,
    nothing_taken_back_is_there,
    entries_are_what_was_emitted,
    transactions_are_there_whole,
    there_is_one_entry_for_a_key,
    positions_have_no_holes,
    what_was_pruned_had_been_emitted,
    the_final_ledger_is_all_that_is_left,
)
