"""Good histories for the tests of the checker, which spoil them."""

from dataclasses import replace

from .faults.checker import check, report
from .faults.history import History
from .faults.record import OK, Event, Info, Op, Page, Seen


def event(uid, at=None, **fields):
    return Event(uid, "note.added", **{"stream": "run-1", "outcome": OK, "position": at, **fields})


def op(id, start, end, *events, shape="direct", outcome=OK):
    for one in events:
        one.start, one.end = start, end if outcome == OK else None
        one.outcome = outcome if one.outcome == OK else one.outcome
    return Op(id, shape, list(events), start, end, outcome)


def seen(position, uid, seq, **fields):
    return replace(
        Seen(position, uid, "note.added", "run-1", seq, f"2026-01-01T00:00:0{position}", None),
        **fields,
    )


def page(since, entries, cursor, head, start, **fields):
    filters = {"stream": None, "kind": None, "epoch": "e", "gap": None, "limit": 10}
    known = {"reader": "reader-1", "end": start + 0.1, **filters, **fields}
    return Page(start=start, since=since, entries=entries, cursor=cursor, head=head, **known)


def good_history():
    """Four events: one by itself, two of a transaction, one by itself; read in two pages."""
    shown = [seen(1, "a", 1), seen(2, "b", 2), seen(3, "c", 3), seen(4, "d", 4)]
    return History(
        ops=[
            op("one", 1, 2, event("a", 1)),
            op("two", 3, 4, event("b"), event("c"), shape="atomic"),
            op("three", 5, 6, event("d", 4)),
        ],
        pages=[
            page("earliest", shown[:2], 2, 3, 4.5, limit=2),
            page(2, shown[2:], 4, 4, 7),
            page("earliest", shown[:], 4, 4, 9, reader="final", final=True),
        ],
        infos=[Info(4, 0, 4, "e")],
    )


def assert_caught(history, *names):
    broken = check(history)
    assert set(names) <= set(broken), report(broken)


def show(history, position, **fields):
    """Have everybody see another entry than there was."""
    for page in history.pages:
        page.entries = [
            replace(one, **fields) if one.position == position else one for one in page.entries
        ]


def hide(history, position):
    for page in history.pages:
        page.entries = [one for one in page.entries if one.position != position]
