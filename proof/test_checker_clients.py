"""The checker of histories, continued: what clients, streams and servers must not show."""

from dataclasses import replace

import pytest

from .faults.checker import check
from .faults.history import load
from .faults.record import (
    OK,
    Arrival,
    Crowded,
    Event,
    Goal,
    Held,
    Info,
    Mark,
    Recorder,
    Revoked,
    Served,
    Stretch,
    step_uid,
)
from .histories import assert_caught, event, good_history, hide, op, page, seen


def arrival(since, *entries, **fields):
    cursor = fields.pop("cursor", entries[-1].position if entries else since)
    known = {"client": "ws-1", "connection": 1, "at": 1.0, **fields}
    return Arrival(since=since, cursor=cursor, entries=list(entries), **known)


def sent(position, uid, seq):
    """An entry as a client gets it: no key, and the time not to the microsecond."""
    return replace(seen(position, uid, seq), time="", key=None)


@pytest.fixture
def history():
    """Four events, and a client who is cut off between them."""
    known = good_history()
    known.arrivals = [
        arrival(0, sent(1, "a", 1), sent(2, "b", 2)),
        arrival(2, sent(3, "c", 3), connection=2),
        arrival(3, sent(4, "d", 4), connection=2),
    ]
    known.goals = [Goal("ws-1", 4, 4)]
    return known


def test_a_good_history_of_clients_passes(history):
    """Nothing is found where nothing is wrong."""
    assert check(history) == {}


def test_a_client_that_misses_an_event(history):
    history.arrivals.pop(1)
    assert_caught(history, "clients_miss_nothing")


def test_a_client_whose_bookmark_is_ahead_of_what_it_was_sent(history):
    history.arrivals.pop()
    history.arrivals.append(arrival(3, cursor=4))
    assert_caught(history, "clients_miss_nothing")


def test_a_follower_of_a_stream_that_misses_an_event(history):
    for one in history.arrivals:
        one.stream = "run-1"
    assert check(history) == {}
    history.arrivals[1].entries.clear()
    assert_caught(history, "clients_miss_nothing")


def test_a_follower_of_a_stream_that_is_sent_another(history):
    history.arrivals.append(arrival(0, sent(1, "a", 1), client="ws-2", stream="run-2"))
    assert_caught(history, "clients_are_sent_what_they_asked_for")


def test_a_client_that_is_sent_an_event_twice(history):
    history.arrivals.insert(1, replace(history.arrivals[0], connection=2))
    assert_caught(history, "clients_are_sent_nothing_twice")


def test_a_client_that_is_sent_what_nobody_else_sees(history):
    history.arrivals[1].entries[0] = sent(3, "d", 3)
    assert_caught(history, "a_position_is_one_entry_for_everybody")


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"requested": 1}, {"reason": "epoch"}])
def test_a_client_that_is_told_a_wrong_loss(history, wrong):
    history.infos = [Info(4, 2, 2, "e")]
    history.pages = [page(2, history.pages[-1].entries[2:], 4, 4, 9, reader="f", final=True)]
    gap = {"reason": "pruned", "requested": 0, "first_available": 3, "lost": 2}
    history.arrivals[:2] = [arrival(0, cursor=2, gap=gap), arrival(2, sent(3, "c", 3))]
    assert check(history) == {}
    gap.update(wrong)
    assert_caught(history, "clients_are_told_their_exact_loss")


def test_a_client_that_is_told_of_a_loss_that_never_was(history):
    gap = {"reason": "pruned", "requested": 2, "first_available": 4, "lost": 1}
    history.arrivals[1:2] = [arrival(2, cursor=3, gap=gap)]
    assert_caught(history, "clients_are_told_their_exact_loss")


def test_a_loss_begins_where_the_server_had_looked_for_a_stream(history):
    """Further on than the last event that was sent, but not beyond one that was not."""
    history.infos = [Info(4, 3, 1, "e")]
    history.pages = [page(3, history.pages[-1].entries[3:], 4, 4, 9, reader="f", final=True)]
    gap = {"reason": "pruned", "requested": 1, "first_available": 4, "lost": 2}
    told = arrival(0, cursor=4, gap=gap, stream="run-2", client="ws-2")
    history.arrivals.append(told)
    assert check(history) == {}
    told.stream, told.entries = "run-1", [sent(4, "d", 4)]
    assert_caught(history, "clients_miss_nothing")


@pytest.mark.parametrize("runs", [[[2, 4]], [[1, 2], [4, 4]], [[1, 2], [2, 4]]])
def test_a_client_in_a_storm_that_misses_or_repeats(history, runs):
    history.stretches = [Stretch("storm-1", 0, [[1, 2], [3, 4]]), Stretch("storm-1", 4, [])]
    assert check(history) == {}
    history.stretches[0].runs = runs
    assert_caught(history, "clients_in_a_storm_miss_nothing")


def test_a_client_in_a_storm_that_comes_back_elsewhere(history):
    history.stretches = [Stretch("storm-1", 0, [[1, 2]]), Stretch("storm-1", 3, [[4, 4]])]
    assert_caught(history, "clients_in_a_storm_miss_nothing")


def test_a_client_that_never_comes_to_the_head(history):
    history.goals = [Goal("ws-1", 3, 4)]
    assert_caught(history, "clients_converge")


@pytest.mark.parametrize("name", ["files", "threads", "tasks", "connections", "kilobytes"])
def test_a_server_that_keeps_something(history, name):
    history.helds = [Held("uvicorn", True, {name: 5}), Held("uvicorn", False, {name: 5})]
    assert check(history) == {}
    history.helds[1].holds[name] = 500_000
    assert_caught(history, "servers_let_go_of_everything")


@pytest.mark.parametrize("ended", [None, 90.0])
def test_a_client_that_still_reads_though_it_may_not(history, ended):
    history.revoked = [Revoked("ws-9", 10.0, 15.0, within=60)]
    assert check(history) == {}
    history.revoked[0].ended = ended
    assert_caught(history, "revoked_clients_are_cut_off")


@pytest.mark.parametrize("seconds", [None, 3.5])
def test_somebody_is_not_served_beside_a_greedy_user(history, seconds):
    history.served = [Served("probe-1", "http://one", 10.0, 0.2, within=3)]
    assert check(history) == {}
    history.served[0].seconds = seconds
    assert_caught(history, "others_are_served")


@pytest.mark.parametrize(
    ("wrong", "invariant"),
    [
        ({"most": 4}, "nobody_has_more_connections_than_one_may"),
        ({"refused": 0}, "nobody_has_more_connections_than_one_may"),
        ({"again": 2}, "what_has_ended_does_not_count"),
    ],
)
def test_a_user_with_too_many_connections_or_too_few(history, wrong, invariant):
    history.crowded = [Crowded("crowd-1", "http://one", 3, most=3, refused=9, again=3)]
    assert check(history) == {}
    vars(history.crowded[0]).update(wrong)
    assert_caught(history, invariant)


def step(kind, stream, start, end, **fields):
    one = Event(step_uid(kind, stream), kind, stream, outcome=OK, **fields)
    return op(f"{kind}-{start}", start, end, one)


def shown(history, *entries):
    """Add entries to what everybody sees of the log."""
    for position, entry in enumerate(entries, history.head + 1):
        history.pages[1].entries.append(replace(entry, position=position))
        history.pages[-1].entries.append(replace(entry, position=position))
    for one in history.pages[1:]:
        one.cursor = one.head = position
    history.infos = [Info(position, 0, position, "e")]


def of_life(kind, seq, time="05", stream="life-1", uid=None):
    fields = {"kind": kind, "stream": stream, "time": f"2026-01-01T00:00:{time}"}
    return replace(seen(0, uid or step_uid(kind, stream), seq), **fields)


@pytest.fixture
def ended(history):
    """And a stream that was opened and completed."""
    history.ops.append(step("stream.opened", "life-1", 7, 8))
    history.ops.append(step("stream.completed", "life-1", 10, 11))
    shown(history, of_life("stream.opened", 1), of_life("stream.completed", 2))
    return history


def test_a_stream_with_an_end_passes(ended):
    assert check(ended) == {}


def test_a_stream_that_ends_twice(ended):
    ended.ops.append(step("stream.failed", "life-1", 12, 13))
    shown(ended, of_life("stream.failed", 3))
    assert_caught(ended, "a_step_is_taken_once")


def test_a_stream_that_is_opened_twice(ended):
    shown(ended, of_life("stream.opened", 3))
    assert_caught(ended, "a_step_is_taken_once")


@pytest.mark.parametrize(("shape", "start"), [("direct", 10.5), ("atomic", 11.5)])
def test_an_event_behind_an_end(ended, shape, start):
    """Refused unless it was in a transaction that was open when the stream ended."""
    late = event("late", stream="life-1")
    ended.ops.append(op("late", start, 12, late, shape=shape))
    shown(ended, of_life("note.added", 3, uid="late"))
    assert_caught(ended, "nothing_comes_after_an_end_but_late_commits")


def test_a_late_commit_behind_an_end(ended):
    ended.ops.append(op("late", 10.5, 12, event("late", stream="life-1"), shape="atomic"))
    shown(ended, of_life("note.added", 3, uid="late"))
    assert check(ended) == {}


def test_a_step_that_lost_its_race_is_no_loss(ended):
    """Set aside, because the stream had ended otherwise before its transaction was committed."""
    ended.ops.append(step("stream.failed", "life-1", 10, 12))
    assert_caught(ended, "acknowledged_events_are_there")
    ended.ops[-1].shape = "atomic"
    del ended.deferred
    assert check(ended) == {}


@pytest.fixture
def abandoned(history):
    """And a stream that was opened, and failed by the watchdog."""
    history.ops.append(step("stream.opened", "idle-1", 7, 8, idle=1.0))
    history.marks = [Mark(0, "watched")]
    shown(
        history,
        of_life("stream.opened", 1, "05", "idle-1"),
        of_life("stream.failed", 2, "06.100000", "idle-1"),
    )
    return history


def test_a_silent_stream_that_fails_passes(abandoned):
    assert check(abandoned) == {}


def test_a_silent_stream_that_nobody_fails(abandoned):
    hide(abandoned, abandoned.head)
    assert_caught(abandoned, "silent_streams_fail")


def test_a_stream_that_fails_too_soon(abandoned):
    for one in abandoned.pages[1:]:
        one.entries[-1] = replace(one.entries[-1], time="2026-01-01T00:00:05.900000")
    assert_caught(abandoned, "only_silent_streams_fail")


def test_what_clients_saw_is_read_back(history, tmp_path):
    """Every kind of record comes back as it was written."""
    history.stretches = [Stretch("storm-1", 0, [[1, 4]])]
    history.helds = [Held("uvicorn", True, {"files": 5})]
    history.revoked = [Revoked("ws-9", 10.0, None, 60)]
    history.served = [Served("probe-1", "http://one", 10.0, None, 3)]
    history.crowded = [Crowded("crowd-1", "http://one", 3, 3, 9, 3)]
    history.marks = [Mark(1.0, "kill a server")]
    written = ["arrivals", "stretches", "goals", "helds", "revoked", "served", "crowded", "marks"]
    recorder = Recorder(tmp_path / "client.jsonl")
    for name in written:
        for value in getattr(history, name):
            recorder.write(value)
    recorder.close()
    found = load(tmp_path)
    for name in written:
        assert getattr(found, name) == getattr(history, name)
