"""Invariants of webhooks: what reached each endpoint, whoever was killed, frozen or cut off."""

# Seconds in which a process may not know yet that an endpoint is switched off.
GRACE = 4.0
# Those that never answer well: one is silent, and one wants nothing more.
SILENT, GONE = "silent", "gone"


def endpoints_come_to_the_head(history):
    """With nothing held: those that answer badly now and then answer well in the end."""
    for one in reachable(history):
        if not one.active or one.held or one.cursor != history.head:
            yield f"{one.name} is at {one.cursor} of {history.head} with {one.held} held"


def every_event_is_delivered(history):
    """At least once, and answered well."""
    for one in reachable(history):
        well = {position for position, _, _, is_well in one.arrived if is_well}
        for seen in history.known.values():
            wanted = one.kind is None or seen.kind == one.kind
            if wanted and seen.position not in well:
                yield f"{one.name} has not had {seen.position}"
            if not wanted and seen.position in well:
                yield f"{one.name} was sent {seen.position}, which it does not want"


def deliveries_keep_the_order_of_a_stream(history):
    """Nothing arrives before what comes before it in its stream was taken."""
    for one in history.endpoints:
        firsts = {}
        for position, stream, _, is_well in one.arrived:
            known = firsts.setdefault(stream, {})
            if stream and known and position not in known and position < max(known):
                yield f"{one.name}, {stream}: {position} after {max(known)}"
            if is_well:
                known[position] = None


def deliveries_are_repeated_only_if_something_failed(history):
    """Of what was answered well: at most one for each line and each fault."""
    faults = faults_of(history)
    for one in history.endpoints:
        taken, repeated = set(), []
        for position, _, _, is_well in one.arrived:
            if position in taken:
                repeated.append(position)
            if is_well:
                taken.add(position)
        if len(repeated) > faults * one.parallel:
            yield f"{one.name} had {len(repeated)} repeats in {faults} faults, as {repeated[:3]}"


def nothing_is_sent_to_an_endpoint_that_is_switched_off(history):
    """By somebody; or because it answered 410, unless nobody was left to write that down."""
    off = {one.name: [] for one in history.endpoints}
    for one in history.switched_off:
        off[one.name].append((one.at + GRACE, one.until))
    for one in history.endpoints:
        for position, _, at, _ in one.arrived:
            if any(since < at < until for since, until in off[one.name]):
                yield f"{one.name} was sent {position} while it was switched off"
        most = one.parallel * (1 + faults_of(history))
        if one.name == GONE and (one.active or len(one.arrived) > most):
            yield f"{one.name} has answered 410 {len(one.arrived)} times, is active: {one.active}"


def faults_of(history):
    """How many have struck."""
    faults = sum(mark.what.endswith(": strikes") for mark in history.marks)
    return faults + sum(mark.what.startswith("a runner: killed") for mark in history.marks)


def reachable(history):
    return [one for one in history.endpoints if one.name not in (SILENT, GONE)]


INVARIANTS = (
    endpoints_come_to_the_head,
    every_event_is_delivered,
    deliveries_keep_the_order_of_a_stream,
    deliveries_are_repeated_only_if_something_failed,
    nothing_is_sent_to_an_endpoint_that_is_switched_off,
)
