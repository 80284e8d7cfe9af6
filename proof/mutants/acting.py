"""What acts on events: handlers, tasks, webhooks."""

from .mutant import TIMELINE, mutant

HANDLERS = "tests/test_handlers.py::"
TASKS = "tests/test_task_streams.py::"
WEBHOOKS = "tests/test_webhooks.py::"

MUTANTS = (
    mutant(
        "a handler outside the transaction of its cursor",
        HANDLERS + "TestOnce::test_effects_and_cursor_are_one_transaction[default]",
        (
            "events/handlers/shard.py",
            "                if self.spec.atomic or not taken.batch:\n",
            "                if not taken.batch:\n",
        ),
        (
            "events/handlers/shard.py",
            "            if taken.batch and not self.spec.atomic:\n",
            "            if taken.batch:\n",
        ),
    ),
    mutant(
        "no lock on a handler's shard",
        "tests/test_handlers_processes.py::"
        "test_killed_again_and_again_each_entry_is_handled_once[postgres-1]",
        (
            "events/handlers/locks.py",
            "return rows.select_for_update(skip_locked=skips, nowait=not wait and not skips)\n",
            "return rows\n",
        ),
    ),
    mutant(
        "a held entry does not hold its stream",
        HANDLERS + "TestHeld::test_what_follows_in_its_stream_waits_and_the_rest_goes_on[default]",
        ("events/handlers/fresh.py", "if row.stream in blocked:\n", "if not row:\n"),
    ),
    mutant(
        "a handler's cursor not looked at under the lock",
        HANDLERS + "TestHeld::test_what_another_has_done_meanwhile_is_not_held[default-False]",
        (
            "events/handlers/shard.py",
            "            if moved:\n                raise Elsewhere(Step.MOVED)\n",
            "",
        ),
    ),
    mutant(
        "a held entry written again comes back",
        HANDLERS + "TestHeld::test_what_another_has_done_meanwhile_is_not_held[default-True]",
        (
            "events/handlers/due.py",
            "        return values if same.update(**values) else None\n",
            "        one.__dict__.update(values)\n        one.save()\n        return values\n",
        ),
    ),
    mutant(
        "a handler's lease taken over without a token",
        HANDLERS + "TestOnce::test_one_that_another_took_over_moves_nothing[default]",
        (
            "events/handlers/locks.py",
            "Q(token=VALUE) if leased else FREE",
            "Q() if leased else FREE",
        ),
        (
            "events/handlers/shard.py",
            "moved = place[:3] != self.place[:3]\n",
            "moved = False\n",
        ),
    ),
    mutant(
        "shards change without a common point",
        HANDLERS + "TestShards::test_their_number_changes[default-4-2]",
        (
            "events/handlers/turn.py",
            "if any(shard.cursor != upto for shard in shards):\n",
            "if not shards:\n",
        ),
    ),
    mutant(
        "an entry that loses the connection each time tried for ever",
        HANDLERS + "TestOnce::test_one_that_loses_the_connection_each_time_is_held[postgres-True]",
        (
            "events/handlers/shard.py",
            "            return store.count_loss(self.alias, self.id, position) <= LOSSES\n",
            "            return True\n",
        ),
    ),
    mutant(
        "two deliveries of a task in one attempt",
        TASKS + "TestAttempts::test_a_task_that_is_delivered_again_begins_another",
        (
            "events/contrib/tasks.py",
            "                if attempt.open(**options):\n                    break",
            "                attempt.open(**options)\n                break",
        ),
    ),
    mutant(
        "a task that is enqueued as often as it is said",
        TASKS + "TestAttempts::test_when_it_is_to_begin_is_one_text",
        ("events/contrib/tasks.py", "payload, key=key)", "payload)"),
    ),
    mutant(
        "a report that breaks its caller's transaction",
        TASKS + "TestWhatTheDatabaseRefuses::test_it_breaks_no_transaction",
        ("events/contrib/tasks.py", "with transaction.atomic(using=connection.alias):", "if True:"),
    ),
    mutant(
        "a time limit that ends in a report",
        "tests/test_celery_streams.py::TestAWorker::test_its_time_is_up",
        ("events/contrib/celery/reports.py", "(SoftTimeLimitExceeded,)", "()"),
    ),
    mutant(
        "a handler acts on what the new server does not have",
        TIMELINE + "TestCursorsThatAreStored::test_a_handler_that_has_read_ahead",
        (
            "events/handlers/fresh.py",
            "        if epoch != self.state.epoch or head < self.scanned:\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "webhooks: another id in a new term",
        TIMELINE + "TestCursorsThatAreStored::test_webhooks_go_on",
        (
            "events/webhooks/line.py",
            "        known = self.state.epoch == place.epoch\n",
            "        known = False\n",
        ),
    ),
    mutant(
        "a handler that begins again after a restore",
        HANDLERS + "TestLoss::test_after_a_restore_it_goes_on_where_it_was[default-skip]",
        (
            "events/handlers/moves.py",
            "state.floor <= shard.cursor <= state.head:\n",
            "state.head < 0:\n",
        ),
    ),
    mutant(
        "a webhook's signature over its body alone",
        WEBHOOKS + "TestDelivery::test_an_event_arrives_signed",
        (
            "events/webhooks/signing.py",
            '    signed = f"{id}.{seconds}.".encode() + body\n',
            "    signed = body\n",
        ),
    ),
    mutant(
        "a webhook's cursor that moves before the answer",
        WEBHOOKS + "TestTrouble::test_a_silent_endpoint_rests_as_a_whole",
        (
            "events/webhooks/line.py",
            "        return place._replace(cursor=cursor), job\n",
            "        return place._replace(cursor=job.row.position if job else cursor), job\n",
        ),
    ),
    mutant(
        "webhooks to whatever address a name is at",
        "tests/test_webhooks_guard.py::test_a_name_of_this_machine_is_not_connected_to",
        (
            "events/webhooks/guard.py",
            "        permitted = [one for one in found if may_connect(one, allowed)][:TRIES]\n",
            "        permitted = found[:TRIES]\n",
        ),
        (
            "events/webhooks/guard.py",
            "            if not may_connect(peer, allowed):\n",
            "            if False:\n",
        ),
    ),
    mutant(
        "a webhook's line that is nobody's while its event is under way",
        "tests/test_webhooks_processes.py::"
        "test_two_workers_share_the_endpoints_and_slow_ones_keep_nobody",
        (
            "events/webhooks/line.py",
            "            books.claimed.append(self.id)\n",
            "            pass\n",
        ),
    ),
    mutant(
        "a webhook's refused event does not hold its stream",
        WEBHOOKS + "TestTrouble::test_an_event_that_is_refused_is_held_alone",
        (
            "events/webhooks/line.py",
            "            if row.stream in blocked:\n",
            "            if not row:\n",
        ),
    ),
    mutant(
        "a webhook's step that is not committed leaves a trace",
        WEBHOOKS + "TestGoingOn::test_a_step_that_is_not_committed_leaves_no_trace",
        (
            "events/webhooks/courier.py",
            "                vars(endpoint).update(values)\n",
            "                pass\n",
        ),
    ),
    mutant(
        "every line of a silent endpoint is a probe",
        WEBHOOKS + "TestTrouble::test_a_silent_endpoint_is_probed_by_one_line",
        (
            "events/webhooks/line.py",
            "job.failures and not Standing(self.endpoint).claim(books.now, PROBE):\n",
            "False:\n",
        ),
    ),
)
