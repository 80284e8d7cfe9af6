"""The checker of histories is no use unless it finds what is wrong with one.

Each test takes a good history, spoils one thing, and names the invariant that must notice.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from .faults.checker import INVARIANTS, check
from .faults.history import load
from .faults.record import FAIL, ROLLED_BACK, TERM, UNKNOWN, Broken, Info, Mark, Recorder
from .histories import assert_caught, event, good_history, hide, op, page, seen, show


@pytest.fixture
def history():
    return good_history()


def test_a_good_history_passes(history):
    """Nothing is found where nothing is wrong."""
    assert check(history) == {}


def test_an_acknowledged_event_that_is_missing(history):
    history.ops.append(op("four", 7, 8, event("lost")))
    assert_caught(history, "acknowledged_events_are_there")


def test_an_event_of_a_savepoint_that_is_missing(history):
    """The rest of the transaction does not excuse it."""
    history.ops[1].events.append(event("lost", start=3, end=4))
    assert_caught(history, "acknowledged_events_are_there")


def test_a_lost_race_for_a_key_is_no_loss(history):
    """Set aside because another event has the key (B30)."""
    for one in history.ops[2].events:
        one.key = "k"
    show(history, 4, key="k")
    late = event("late", key="k")
    late.kind = "key.contested"
    history.ops.append(op("four", 5, 8, late, shape="atomic"))
    assert check(history) == {}


def test_an_event_that_is_there_twice(history):
    show(history, 4, uid="a")
    assert_caught(history, "no_event_is_there_twice")


@pytest.mark.parametrize("outcome", [ROLLED_BACK, FAIL])
def test_an_event_that_was_taken_back_and_is_there(history, outcome):
    history.ops[2].events[0].outcome = outcome
    assert_caught(history, "nothing_taken_back_is_there")


@pytest.mark.parametrize("change", [{"uid": "x"}, {"kind": "x"}, {"stream": "x"}, {"key": "x"}])
def test_an_entry_that_nobody_emitted(history, change):
    show(history, 3, **change)
    assert_caught(history, "entries_are_what_was_emitted")


def test_half_a_transaction(history):
    """Its writer died, and only one of its two events was kept."""
    history.ops[1] = op("two", 3, None, event("b"), event("x"), shape="atomic", outcome=UNKNOWN)
    assert_caught(history, "transactions_are_there_whole")


def test_a_key_with_two_entries(history):
    show(history, 1, key="k")
    show(history, 4, key="k")
    assert_caught(history, "there_is_one_entry_for_a_key")


def test_a_hole_in_the_positions(history):
    hide(history, 3)
    assert_caught(history, "positions_have_no_holes")


def test_a_position_that_nobody_was_given(history):
    """Pruning took it, but no event is missing."""
    history.infos[0].floor = 1
    hide(history, 1)
    history.ops.pop(0)
    assert_caught(history, "what_was_pruned_had_been_emitted")


def test_an_end_that_does_not_show_everything(history):
    history.pages[-1].entries.pop(0)
    assert_caught(history, "the_final_ledger_is_all_that_is_left")


def test_a_count_that_is_wrong(history):
    history.infos[0].count = 3
    assert_caught(history, "the_final_ledger_is_all_that_is_left")


def test_two_entries_at_one_position(history):
    history.pages[0].entries[0] = seen(1, "d", 1)
    assert_caught(history, "a_position_is_one_entry_for_everybody")


def test_an_answer_with_somebody_elses_position(history):
    history.ops[2].events[0].position = 1
    assert_caught(history, "answers_hold", "a_position_is_one_entry_for_everybody")


def test_a_time_that_runs_backwards(history):
    show(history, 3, time="2026-01-01T00:00:01")
    assert_caught(history, "time_never_runs_backwards")


@pytest.mark.parametrize("seq", [None, 2, 5])
def test_a_seq_that_is_not_the_next(history, seq):
    show(history, 3, seq=seq)
    assert_caught(history, "seq_has_no_holes")


def test_a_transaction_out_of_order(history):
    history.ops[1].events.reverse()
    assert_caught(history, "transactions_keep_the_order_of_their_emits")


def test_a_batch_that_is_torn_apart(history):
    history.ops[0] = op("one", 1, 2, event("a", 1), event("d", 4), shape="many")
    history.ops.pop()
    assert_caught(history, "batches_stay_together")


def test_a_later_event_at_an_earlier_place(history):
    """Emitted when the commit of the other had returned, and yet before it."""
    history.ops[0].start = history.ops[0].events[0].start = 4.5
    assert_caught(history, "what_was_emitted_later_comes_later")


def test_a_page_that_leaves_something_out(history):
    history.pages[1].entries.pop(0)
    assert_caught(history, "pages_show_everything_up_to_their_cursor")


def test_a_filtered_page_that_leaves_something_out(history):
    history.pages.append(page(0, [], 4, 4, 8, stream="run-1"))
    assert_caught(history, "pages_show_everything_up_to_their_cursor")


def test_a_page_that_shows_what_it_should_not(history):
    history.pages.append(page(0, [seen(1, "a", 1)], 4, 4, 8, stream="other"))
    assert_caught(history, "pages_show_nothing_else")


def test_a_page_that_begins_before_its_cursor(history):
    history.pages[1].entries.insert(0, seen(2, "b", 2))
    assert_caught(history, "pages_show_nothing_else")


def test_a_page_out_of_order(history):
    history.pages[1].entries.reverse()
    assert_caught(history, "pages_show_nothing_else")


def test_a_cursor_beyond_the_head(history):
    history.pages[0].head = 1
    assert_caught(history, "cursors_stay_below_the_head")


def test_a_cursor_that_moves_back(history):
    history.pages.append(page(3, [], 2, 4, 8, limit=0))
    assert_caught(history, "cursors_stay_below_the_head")


def test_a_head_that_runs_backwards(history):
    history.pages.append(page(3, [], 3, 3, 8, limit=0))
    assert_caught(history, "the_head_never_runs_backwards")


def test_a_commit_that_a_later_reader_does_not_see(history):
    history.pages[0].head = 2
    assert_caught(history, "readers_see_what_was_acknowledged_before")


@pytest.mark.parametrize("wrong", [{"lost": 2}, {"reason": "epoch"}, {"first_available": 9}])
def test_a_gap_that_is_not_exact(history, wrong):
    history.infos[0] = Info(4, 1, 3, "e")
    history.pages[-1].entries.pop(0)
    gap = {"reason": "pruned", "requested": 0, "first_available": 2, "lost": 1}
    history.pages.append(page(0, [], 1, 4, 8, limit=0, gap=gap))
    assert check(history) == {}
    gap.update(wrong)
    assert_caught(history, "gaps_are_exact")


def test_a_gap_where_nothing_was_lost(history):
    history.pages[1].gap = {"reason": "pruned", "requested": 2, "first_available": 3, "lost": 0}
    assert_caught(history, "gaps_are_exact")


@pytest.mark.parametrize("broken", [[3], [], [4]])
def test_a_gap_of_a_broken_row(history, broken):
    """It stands for the row that was broken, and for no other."""
    history.ops[1].events.pop()
    for one in history.pages:
        one.entries = [entry for entry in one.entries if entry.position != 3]
    history.pages[-1].entries[-1] = history.pages[1].entries[-1] = seen(4, "d", 3)
    history.pages[1].gap = {
        "reason": "unreadable", "requested": 2, "first_available": 4, "lost": 1
    }  # fmt: skip
    history.breaks = [Broken(position) for position in broken]
    if broken == [3]:
        assert check(history) == {}
    else:
        assert_caught(history, "gaps_are_exact")


def test_an_epoch_that_changes(history):
    history.pages[1].epoch = "another"
    assert_caught(history, "the_log_keeps_its_identity")


def test_a_term_that_begins_without_another_server(history):
    """One server that came back explains one epoch, and not two."""
    history.pages[1].epoch = "another"
    history.marks.append(Mark(4.0, TERM))
    assert check(history) == {}
    history.pages[2].epoch = "a third"
    assert_caught(history, "the_log_keeps_its_identity")


def test_what_was_written_is_read_back(history, tmp_path):
    """As far as its writer came: the last line may be cut, and the last word on an op counts."""
    recorder = Recorder(tmp_path / "writer-1.jsonl")
    for value in [*history.ops, *history.pages, *history.infos]:
        recorder.write(value)
    recorder.write(replace(history.ops[0], outcome=UNKNOWN))
    recorder.close()
    with (tmp_path / "writer-1.jsonl").open("a") as file:
        file.write('{"op": {"id"')
    found = load(tmp_path)
    assert found.ops.pop(0).outcome == UNKNOWN
    assert (found.ops, found.pages) == (history.ops[1:], history.pages)


def test_every_invariant_has_a_history_that_breaks_it():
    """An invariant that nothing can break is not one."""
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_checker*.py"))
    assert [one.__name__ for one in INVARIANTS if f'"{one.__name__}"' not in source] == []
