"""Invariants of a server's process: what it holds, and whom it serves."""

import os

# What a server may hold more of than before its first client came. Python gives memory back in
# lumps, and a window may hold 16 MiB; of its pool's threads, which are made when many ask at once, it
# keeps all.
THREADS = min(32, (os.cpu_count() or 1) + 4)
SLACK = {"files": 4, "threads": THREADS, "tasks": 2, "connections": 4, "kilobytes": 80 * 1024}


def servers_let_go_of_everything(history):
    """B32, B34, B51: when all clients have left, however they did, nothing is left of them."""
    before = {held.server: held.holds for held in history.helds if held.before}
    for held in history.helds:
        if held.before:
            continue
        for name, count in held.holds.items():
            allowed = before[held.server][name] + SLACK.get(name, 0)
            if count > allowed:
                yield f"{held.server} holds {count} {name}, and may hold {allowed}"


def revoked_clients_are_cut_off(history):
    """B66: whoever may not read any more is sent away in time."""
    for revoked in history.revoked:
        if revoked.ended is None or revoked.ended - revoked.at > revoked.within:
            took = "not at all" if revoked.ended is None else f"{revoked.ended - revoked.at:.1f} s"
            yield f"{revoked.client}: {took}, and {revoked.within} s are allowed"


def others_are_served(history):
    """B34: whatever one user asks for or leaves unread, somebody else who asks for little gets it."""
    for served in history.served:
        if served.seconds is None or served.seconds > served.within:
            took = "was not served" if served.seconds is None else f"took {served.seconds:.1f} s"
            yield f"{served.client} at {served.address}: {took}, and {served.within} s are allowed"


def nobody_has_more_connections_than_one_may(history):
    """As many as that, and no more: more than that were wanted all the time."""
    for one in history.crowded:
        if one.most > one.bound or not one.refused:
            yield f"{one.client} at {one.address}: {one.most} of {one.bound} connections, and {one.refused} refused"


def what_has_ended_does_not_count(history):
    """Whoever leaves, or is cut off, may have as many connections as before."""
    for one in history.crowded:
        if one.again < one.bound:
            yield f"{one.client} at {one.address}: {one.again} of {one.bound} connections, when all had left"


INVARIANTS = (
    servers_let_go_of_everything,
    revoked_clients_are_cut_off,
    others_are_served,
    nobody_has_more_connections_than_one_may,
    what_has_ended_does_not_count,
)
