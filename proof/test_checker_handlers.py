"""The checker finds what handlers have done wrong; as `test_checker` has it for the log."""

import pytest

from .faults.checker import check
from .faults.record import Handled, is_poison
from .histories import assert_caught, good_history, show

BAD = next(f"x{n}" for n in range(1000) if is_poison("note.added", f"x{n}"))


@pytest.fixture
def history():
    """Two handlers have done all four events: one exactly once, the other one at least once."""
    found = good_history()
    effects = [[position, "run-1"] for position in (1, 2, 3, 4)]
    found.handled = [
        Handled("batch", True, "running", 4, 4, list(effects), []),
        Handled("free", False, "running", 4, 4, [*effects[:2], *effects[1:]], []),
    ]
    return found


def test_what_is_well_passes(history):
    """A second effect is none too many where it is promised at least once."""
    assert check(history) == {}


@pytest.mark.parametrize("change", [{"cursor": 3}, {"state": "stopped"}])
def test_one_that_does_not_come_to_the_head(history, change):
    history.handled[0].__dict__.update(change)
    assert_caught(history, "handlers_come_to_the_head")


@pytest.mark.parametrize("which", [0, 1])
def test_an_entry_that_is_not_handled(history, which):
    history.handled[which].effects.pop()
    assert_caught(history, "every_entry_is_handled")


def test_an_entry_that_is_handled_twice(history):
    history.handled[0].effects.append([4, "run-1"])
    assert_caught(history, "nothing_is_handled_twice")


@pytest.mark.parametrize("which", [0, 1])
def test_a_stream_out_of_order(history, which):
    history.handled[which].effects.insert(0, history.handled[which].effects.pop())
    assert_caught(history, "a_stream_is_handled_in_order")


def test_an_answer_that_is_missing(history):
    show(history, 3, kind="job.done")
    assert_caught(history, "what_a_handler_emits_is_there")


def test_something_held_that_should_not_be(history):
    history.handled[0].held.append({"position": 2, "parked": False, "behind": 0})
    assert_caught(history, "only_what_fails_each_time_is_held")


class TestPoisoned:
    """The third event fails each time, and the fourth one waits behind it."""

    @pytest.fixture
    def one(self, history):
        show(history, 3, uid=BAD)
        history.ops[1].events[1].uid = BAD
        held = [{"position": 3, "parked": True, "behind": 1}]
        found = Handled("poisoned", True, "running", 4, 4, [[1, "run-1"], [2, "run-1"]], held)
        history.handled = [found]
        return found

    def test_it_is_held(self, history, one):
        assert check(history) == {}

    @pytest.mark.parametrize("change", [{"parked": False}, {"behind": 0}, {"position": 2}])
    def test_it_is_held_as_it_should_not_be(self, history, one, change):
        one.held[0].update(change)
        assert_caught(history, "only_what_fails_each_time_is_held")

    def test_it_is_not_held(self, history, one):
        one.held.clear()
        assert_caught(history, "only_what_fails_each_time_is_held")

    @pytest.mark.parametrize("position", [3, 4])
    def test_it_or_what_waits_behind_it_has_an_effect(self, history, one, position):
        one.effects.append([position, "run-1"])
        assert_caught(history, "only_what_fails_each_time_is_held")
