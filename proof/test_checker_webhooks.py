"""The checker finds what webhooks and durable streams have done wrong; as `test_checker` has it."""

import pytest

from .faults.checker import check
from .faults.checks.webhooks import GONE, SILENT
from .faults.record import KEPT, Endpoint, Followed, Mark, Produced, SwitchedOff
from .histories import assert_caught, good_history

FAULT = Mark(2.0, "KillReceiver: strikes")


class TestWebhooks:
    @pytest.fixture
    def history(self):
        """All four events have reached one endpoint; the third was refused at first, and the fourth
        came twice, because a worker was killed. Another is silent, and one has answered 410."""
        found = good_history()
        found.marks.append(FAULT)
        arrived = [[1, True], [2, True], [3, False], [3, True], [4, True], [4, True]]
        found.endpoints = [
            endpoint("steady", [[p, "run-1", 100.0 + n, ok] for n, (p, ok) in enumerate(arrived)]),
            endpoint(SILENT, [[1, "run-1", 100.0, False]] * 3, cursor=0),
            endpoint(GONE, [[1, "run-1", 100.0, False]], cursor=0, active=False),
        ]
        return found

    def test_what_is_well_passes(self, history):
        assert check(history) == {}

    @pytest.mark.parametrize("change", [{"cursor": 3}, {"held": 1}, {"active": False}])
    def test_one_that_does_not_come_to_the_head(self, history, change):
        vars(history.endpoints[0]).update(change)
        assert_caught(history, "endpoints_come_to_the_head")

    def test_an_event_that_is_not_delivered(self, history):
        """To have been refused is not to have had it."""
        del history.endpoints[0].arrived[3]
        assert_caught(history, "every_event_is_delivered")

    def test_an_event_that_it_does_not_want(self, history):
        history.endpoints[0].kind = "note.moved"
        assert_caught(history, "every_event_is_delivered")

    def test_a_stream_out_of_order(self, history):
        arrived = history.endpoints[0].arrived
        arrived.insert(0, arrived.pop(1))
        assert_caught(history, "deliveries_keep_the_order_of_a_stream")

    def test_an_event_that_does_not_wait_behind_one_that_was_refused(self, history):
        arrived = history.endpoints[0].arrived
        arrived.insert(3, arrived.pop())
        assert_caught(history, "deliveries_keep_the_order_of_a_stream")

    def test_a_repeat_without_a_fault(self, history):
        history.marks.clear()
        assert_caught(history, "deliveries_are_repeated_only_if_something_failed")

    def test_two_repeats_of_one_line_in_one_fault(self, history):
        history.endpoints[0].arrived.append([4, "run-1", 110.0, True])
        assert_caught(history, "deliveries_are_repeated_only_if_something_failed")

    def test_one_that_is_switched_off(self, history):
        history.switched_off.append(SwitchedOff("steady", 95.0, 99.9))
        assert check(history) == {}
        history.switched_off.append(SwitchedOff("steady", 99.0, 120.0))
        assert_caught(history, "nothing_is_sent_to_an_endpoint_that_is_switched_off")

    @pytest.mark.parametrize("more", [0, 1, 2])
    def test_one_that_wants_nothing_more(self, history, more):
        """Whoever heard that may have been killed: once, in one fault."""
        history.endpoints[2].active = not more
        history.endpoints[2].arrived += [[1, "run-1", 110.0, False]] * more
        if more == 1:
            assert check(history) == {}
            return
        assert_caught(history, "nothing_is_sent_to_an_endpoint_that_is_switched_off")


def endpoint(name, arrived, cursor=4, active=True):
    return Endpoint(name, None, 1, active, cursor, 4, 0, arrived)


class TestDurableStreams:
    @pytest.fixture
    def history(self):
        """Three tokens, which the log has and one reader was sent."""
        found = good_history()
        found.produced = [Produced("a", 3)]
        found.followed = [Followed("a", who, [0, 1, 2], 1) for who in ("poll", KEPT)]
        return found

    def test_what_is_well_passes(self, history):
        assert check(history) == {}

    @pytest.mark.parametrize("tokens", [[0, 1], [0, 1, 1, 2], [0, 2, 1], [0, 1, 2, 3]])
    @pytest.mark.parametrize("which", [0, 1])
    def test_a_token_that_is_missing_or_there_twice_or_out_of_order(self, history, which, tokens):
        history.followed[which].tokens = tokens
        names = "every_reader_is_sent_every_token_once", "every_token_is_kept_once"
        assert_caught(history, names[which])

    @pytest.mark.parametrize("ends", [0, 2])
    def test_one_that_is_not_closed_once(self, history, ends):
        history.followed[1].ends = ends
        assert_caught(history, "a_durable_stream_closes_once")

    @pytest.mark.parametrize("which", [0, 1])
    def test_one_that_nobody_has_followed(self, history, which):
        """By the only reader there is, or by nobody of those who read the others."""
        history.produced.append(Produced("b", 0))
        history.followed.append(Followed("b", ("poll", KEPT)[which], [], 1))
        assert_caught(history, "every_durable_stream_was_followed")
