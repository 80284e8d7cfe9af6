"""Invariants of those who follow from outside, over every transport, however often cut off."""

from itertools import pairwise


def clients_miss_nothing(history):
    """B7, B12, B15, B38: each goes on where it was, and misses only what it was told of."""
    for name, arrivals in history.by_client.items():
        for before, after in pairwise(arrivals):
            if after.since != before.cursor:
                yield f"{name} was at {before.cursor}, and went on at {after.since}"
        if arrivals[0].stream is None:
            yield from holes(name, arrivals)
        else:
            yield from missing_of_stream(history, name, arrivals)


def holes(name, arrivals):
    for arrival in arrivals:
        expected = after_gap(arrival) + 1
        for seen in arrival.entries:
            if seen.position > expected:
                yield f"{name}, connection {arrival.connection}: {seen.position} after {expected - 1}"
            expected = seen.position + 1
        if arrival.cursor > expected - 1:
            yield f"{name}: sent to {arrival.cursor} after {expected - 1}"


def missing_of_stream(history, name, arrivals):
    shown, told = set(), set()
    for arrival in arrivals:
        shown.update(seen.position for seen in arrival.entries)
        if gap := arrival.gap:
            told.update(range(gap["requested"] + 1, gap["first_available"]))
    for seen in history.known.values():
        due = seen.stream == arrivals[0].stream and seen.position <= arrivals[-1].cursor
        if due and seen.position not in shown and seen.position not in told:
            yield f"{name} was never sent {seen.position}"


def after_gap(arrival):
    return arrival.gap["first_available"] - 1 if arrival.gap else arrival.since


def clients_are_sent_nothing_twice(history):
    """B38: and nothing out of order, also across connections."""
    for name, arrivals in history.by_client.items():
        last = arrivals[0].since
        for arrival in arrivals:
            for seen in arrival.entries:
                if seen.position <= last:
                    yield f"{name}, connection {arrival.connection}: {seen.position} after {last}"
                last = seen.position


def clients_are_sent_what_they_asked_for(history):
    """B31: the stream that they follow, and no other."""
    for arrival in history.arrivals:
        for seen in arrival.entries:
            if arrival.stream is not None and seen.stream != arrival.stream:
                yield f"{arrival.client} was sent {seen}"


def clients_are_told_their_exact_loss(history):
    """B12: a gap begins where the client was, and counts what pruning has taken. Whoever follows a
    stream is further on than its last event: the server has looked at what came after it."""
    for arrival in history.arrivals:
        gap = arrival.gap
        if gap is None:
            continue
        if history.is_of_a_broken_row(gap) and arrival.since == gap["requested"]:
            continue
        begin = max(arrival.since, gap["requested"]) if arrival.stream else arrival.since
        lost = gap["first_available"] - 1 - begin
        if (gap["reason"], gap["requested"], gap["lost"]) != ("pruned", begin, lost):
            yield f"{arrival.client} at {arrival.since}: {gap}"
        elif lost <= 0 or gap["first_available"] - 1 > history.floor:
            yield f"{arrival.client}: {gap}, and the floor came to {history.floor} only"


def clients_in_a_storm_miss_nothing(history):
    """B7, B38: of those there are too many to write down more than where they had been."""
    stands = {}
    for stretch in history.stretches:
        began = stands.get(stretch.client, stretch.since)
        runs = [[stretch.since, stretch.since], *stretch.runs]
        if stretch.since != began:
            yield f"{stretch.client} was at {began}, and came back at {stretch.since}"
        for before, after in pairwise(runs):
            if after[0] != before[1] + 1:
                yield f"{stretch.client}: {after[0]} after {before[1]}"
        stands[stretch.client] = runs[-1][1]


def clients_converge(history):
    """B31, B35, B36, B37: when the faults are over, everybody comes to the head."""
    for goal in history.goals:
        if goal.cursor < goal.head:
            yield f"{goal.client} is at {goal.cursor}, and the head at {goal.head}"


INVARIANTS = (
    clients_miss_nothing,
    clients_are_sent_nothing_twice,
    clients_are_sent_what_they_asked_for,
    clients_are_told_their_exact_loss,
    clients_in_a_storm_miss_nothing,
    clients_converge,
)
