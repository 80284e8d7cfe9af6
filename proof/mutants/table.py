"""The mutants. Each is the design without one of its ideas; mind that some take two changes, where
a second line of defence would have caught the first."""

from dataclasses import dataclass

DATABASE = "events/backends/database/"
HISTORY = "proof/test_history.py::"
WRITERS = HISTORY + "test_many_writers_and_readers[postgres]"
PRUNING = HISTORY + "test_pruning_beside_writers[postgres]"
TAIL = "tests/test_tail.py::"
HANDLERS = "tests/test_handlers.py::"
BACKGROUND = "tests/test_background.py::"
REDIS = "events/backends/redis/"
RELAY = "tests/test_redis_relay.py::"
TERMS = "tests/test_redis.py::TestTerms::"
TIMELINE = "tests/test_terms.py::"
DURABLE = "tests/test_durable.py::"
TASKS = "tests/test_task_streams.py::"
WEBHOOKS = "tests/test_webhooks.py::"


@dataclass(frozen=True)
class Mutant:
    """`changes` are (file, exact old text, new text); `caught_by` is a test that must fail."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    caught_by: str


def mutant(name, caught_by, *changes):
    return Mutant(name, changes, caught_by)


MUTANTS = (
    mutant(
        "positions from an auto-increment",
        WRITERS,
        (
            DATABASE + "postgres.py",
            "    UPDATE events_log SET head = head + 1, latest = GREATEST(latest, %(now)s),\n"
            "        timeline = COALESCE(timeline, (SELECT {timeline}))\n",
            "    SELECT id, nextval(pg_get_serial_sequence('events_event', 'id')) AS head,\n"
            "           %(now)s AS latest FROM events_log\n",
        ),
        (DATABASE + "postgres.py", "    RETURNING id, head, latest\n", ""),
        (
            DATABASE + "ledger.py",
            "        self.head += 1\n        self.latest",
            "        self.cursor.execute(\"SELECT nextval(pg_get_serial_sequence('events_event', 'id'))\")\n"
            "        self.head = self.cursor.fetchone()[0]\n        self.latest",
        ),
        (
            DATABASE + "pages.py",
            'dialect.joined("head", ',
            'dialect.joined("COALESCE((SELECT MAX(position) FROM events_event '
            'WHERE log_id = events_log.id), 0)", ',
        ),
    ),
    mutant(
        "no lock on the head",
        WRITERS,
        (DATABASE + "dialects.py", 'for_update = " FOR UPDATE"', 'for_update = ""'),
    ),
    mutant(
        "outbox read before the lock is had",
        "tests/test_sequencer.py::TestLocking::test_everything_is_sequenced_once",
        (
            DATABASE + "ledger.py",
            "        found = dialect.lock_log(",
            "        from . import outbox\n"
            "        self.early = outbox.pending(cursor, name, 0, 2**62, 500)\n"
            "        found = dialect.lock_log(",
        ),
        (
            DATABASE + "ledger.py",
            "pending = outbox.pending(self.cursor, self.name, after, newest, BATCH)",
            "pending = self.early",
        ),
        (DATABASE + "dialects.py", "sequences_at_once = True", "sequences_at_once = False"),
        (
            DATABASE + "ledger.py",
            'if self.dialect.delete(self.cursor, "events_outbox", done) != len(done):',
            'if self.dialect.delete(self.cursor, "events_outbox", done) is None:',
        ),
    ),
    mutant(
        "hook registered once a transaction",
        HISTORY + "test_a_writer_that_takes_a_savepoint_back[postgres]",
        (
            DATABASE + "hook.py",
            "    if not (isinstance(last, Hook) and last.log == hook.log"
            " and last.inline >= hook.inline):\n",
            "    block = connection.atomic_blocks[0]\n"
            "    if not hasattr(block, 'registered'):\n"
            "        block.registered = True\n",
        ),
    ),
    mutant(
        "reads leave the outbox alone",
        HISTORY + "test_a_writer_killed_after_its_commit[postgres]",
        (
            DATABASE + "backend.py",
            "        if not found.outbox:\n",
            "        if found is not None:\n",
        ),
    ),
    mutant(
        "a read does not drain",
        BACKGROUND + "TestPromises::test_a_read_drains",
        (DATABASE + "backend.py", "self.lock.sequence(READER_PATIENCE)\n", "pass\n"),
    ),
    mutant(
        "a direct emit does not drain",
        BACKGROUND + "TestPromises::test_a_direct_emit_drains",
        (
            DATABASE + "postgres.py",
            "    AND NOT EXISTS (\n"
            "        SELECT FROM events_outbox WHERE log = %(log)s AND refused = '')\n",
            "",
        ),
        (
            DATABASE + "lock.py",
            "        newest = self._standing().newest\n",
            "        newest = 0\n",
        ),
    ),
    mutant(
        "the thread's batch is not one transaction",
        BACKGROUND + "TestThread::test_a_batch_is_one_transaction",
        (DATABASE + "transactions.py", "dialect.begin(cursor, lock_timeout)", "pass"),
    ),
    mutant(
        "a page that its bytes end goes to the head",
        "tests/test_damage.py::TestLargePages::test_a_page_has_a_next[default]",
        (
            DATABASE + "pages.py",
            "found._replace(cut=bool(found.rows))",
            "found._replace(cut=False)",
        ),
    ),
    mutant(
        "head read after the entries",
        WRITERS,
        (
            DATABASE + "pages.py",
            '    head, floor, removed, epoch, terms = standing.split(" ", 4)\n',
            '    head, floor, removed, epoch, terms = standing.split(" ", 4)\n    later = cursor\n'
            '    later.execute("SELECT head FROM events_log WHERE name = %s", [log])\n'
            "    head = later.fetchone()[0]\n",
        ),
    ),
    mutant(
        "seq from a read without the lock",
        WRITERS,
        (
            DATABASE + "postgres.py",
            "        SET seq = stream.seq + 1, last_position = excluded.last_position,\n"
            "            last_event_at = excluded.last_event_at\n",
            "        SET seq = 1 + (SELECT seq FROM events_stream AS old\n"
            "                WHERE old.log_id = excluded.log_id AND old.name = excluded.name),\n"
            "            last_position = excluded.last_position,\n"
            "            last_event_at = excluded.last_event_at\n",
        ),
    ),
    mutant(
        "keys not unique",
        WRITERS,
        (
            "events/migrations/0001_initial.py",
            '                    models.UniqueConstraint(fields=("log", "key"), name="events_event_key"),\n',
            "",
        ),
        (
            DATABASE + "rows.py",
            "    for some in chunks(keys):",
            "    for some in chunks(keys[:0]):",
        ),
    ),
    mutant(
        "a refused event burns its position",
        "tests/test_sequencer.py::TestClosedStreams::test_nothing_is_stored",
        (
            DATABASE + "postgres.py",
            "IN_STREAM = on_either(_HEAD + _STREAM + _INSERT.format(seq=_SEQ), _TYPES)\n",
            'IN_STREAM = on_either(_HEAD + _STREAM + _INSERT.format(seq="s.seq")'
            '.replace("FROM h\\n", "FROM h, s\\n"), _TYPES)\n',
        ),
    ),
    mutant(
        "a refused event burns its position on SQLite",
        "tests/test_sequencer.py::TestClosedStreams::test_nothing_is_stored",
        (
            DATABASE + "sqlite.py",
            '            raise StreamClosed(f"the stream {item.stream!r} has ended; nothing was stored")\n',
            "            return None\n",
        ),
    ),
    mutant(
        "a refused event burns its position in the caller's transaction",
        "tests/test_sequencer.py::TestSQLite::test_positions_that_are_taken_with_the_lock",
        (
            DATABASE + "transactions.py",
            '            cursor.execute(f"ROLLBACK TO SAVEPOINT {name}")\n',
            "",
        ),
    ),
    mutant(
        "events go into streams that have ended",
        "tests/test_sequencer.py::TestClosedStreams::test_nothing_is_stored",
        (
            DATABASE + "postgres.py",
            "        WHERE stream.status IS NULL OR stream.status NOT IN ({terminal})\n",
            "        WHERE '{terminal}' <> ''\n".replace("'{terminal}'", "$${terminal}$$"),
        ),
    ),
    mutant(
        "watchdog does not look again",
        "tests/test_lifecycle.py::TestWatchdog::test_an_event_between_look_and_lock",
        (
            DATABASE + "ledger.py",
            "            if item.stream in batch.streams and batch.streams[item.stream].is_idle(self.clock)\n",
            "            if item.stream in batch.streams and batch.streams[item.stream].closed is None\n",
        ),
    ),
    mutant(
        "pruning deletes before it moves the floor",
        PRUNING,
        (
            DATABASE + "retention.py",
            '        lock.run(methodcaller("raise_floor", floor))\n',
            "        pass\n",
        ),
        (
            DATABASE + "retention.py",
            '        "AND position <= %s AND position <= (SELECT floor FROM events_log WHERE id = %s) "\n',
            '        "AND position <= %s AND %s IS NOT NULL "\n',
        ),
    ),
    mutant(
        "pruned below a reader without a gap",
        PRUNING,
        (
            "events/cursors.py",
            'return state.floor, Gap("pruned", since, first, state.floor - since)',
            "return state.floor, None",
        ),
    ),
    mutant(
        "floor not looked at",
        PRUNING,
        ("events/cursors.py", "    if since < state.floor:\n", "    if since < 0:\n"),
    ),
    mutant(
        "epoch ignored",
        "tests/test_cursors.py::TestLocate::test_another_epoch",
        (
            "events/cursors.py",
            "if query.epoch is not None and not state.goes_on(query.epoch, since):",
            "if query.epoch == '':",
        ),
    ),
    mutant(
        "gap in the window not noticed",
        TAIL + "test_a_slow_reader_goes_on_from_the_log",
        ("events/live/window.py", "                topic.dropped = entry.position\n", ""),
    ),
    mutant(
        "expired entries given from the window",
        TAIL + "test_what_expires_before_it_is_taken_is_a_gap",
        (
            "events/live/tail.py",
            "        if batch.entries and batch.entries[0].position <= state.floor:\n",
            "        if not batch:\n",
        ),
    ),
    mutant(
        "no final drain",
        TAIL + "test_the_end_waits_for_the_last_event",
        ("events/live/tail.py", " and self.cursor >= stream.last_position:", ":"),
    ),
    mutant(
        "end before the last event",
        TAIL + "test_one_that_has_ended_is_replayed_first",
        (
            "events/live/tail.py",
            '            return self._end("deleted")\n        while True:',
            '            return self._end("deleted")\n'
            "        if (known := self._stream()) and known.status in TERMINAL:\n"
            "            return self._end(known.status)\n"
            "        while True:",
        ),
    ),
    mutant(
        "head taken from a hint",
        TAIL + "test_hints_for_nothing_change_nothing",
        (
            "events/live/broker.py",
            "            loop.call_soon_threadsafe(broker.hinted.set)\n",
            "            broker.window.position = max(broker.window.position, head)\n"
            "            loop.call_soon_threadsafe(broker.hinted.set)\n",
        ),
    ),
    mutant(
        "no polling",
        TAIL + "test_without_a_hint_it_polls",
        (
            "events/live/broker.py",
            "return 0 if more else self.settings.poll_interval\n",
            "return 0 if more else 3600\n",
        ),
    ),
    mutant(
        "no look at what came while joining",
        TAIL + "test_live_is_who_has_been_given_all_that_there_was",
        (
            "events/live/tail.py",
            "        await self.broker.look()\n        state, turn",
            "        state, turn",
        ),
    ),
    mutant(
        "a heartbeat ahead of what was sent",
        "proof/test_simulation.py",
        (
            "events/websocket/subscription.py",
            "return self.tail.bookmark if self.taking is None else self.before\n",
            "return self.tail.bookmark\n",
        ),
    ),
    mutant(
        "sent at once past what waits",
        "tests/test_eager.py",
        (
            "events/live/eager.py",
            "return self.idle and not self.bell.rung\n",
            "return True\n",
        ),
    ),
    mutant(
        "what was sent at once needs no acknowledgement",
        "proof/test_simulation.py",
        (
            "events/websocket/writer.py",
            "batch = subscription.peek() if self.unacknowledged.has_room else None\n",
            "batch = subscription.peek()\n",
        ),
    ),
    mutant(
        "any page may open a WebSocket",
        "tests/test_live.py::TestWebSocket::test_another_sites_page",
        ("events/origin.py", "        if is_own(scope):\n", "        if scope:\n"),
    ),
    mutant(
        "a prefix asked about as if it were a name",
        "tests/test_sets.py::TestADenyList",
        (
            "events/policy.py",
            '    if stream is None or not stream.endswith("*"):\n',
            "    if True:\n",
        ),
    ),
    mutant(
        "one stream of a set allowed, all shown",
        "tests/test_sets.py::test_a_policy_that_grants_prefixes",
        (
            "events/policy.py",
            "    return all(_may_read(",
            "    return any(_may_read(",
        ),
    ),
    mutant(
        "an event wakes no follower of its prefix",
        "tests/test_sets.py::TestFollowing",
        (
            "events/live/window.py",
            "        if self.prefixes:\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "permission not asked again",
        "tests/test_clocks.py",
        (
            "events/websocket/clocks.py",
            "            self.check = self.loop.create_task(self._check())\n",
            "            pass\n",
        ),
    ),
    mutant(
        "permission not asked again of an EventSource",
        "tests/test_clocks.py",
        ("events/api/eventsource.py", "allowed = await self.may_still_read()", "allowed = True"),
    ),
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
        "a producer's number committed after its append",
        DURABLE + "TestProducers::test_an_append_and_its_producer_are_one_commit[default]",
        (
            "events/durable/protocol.py",
            "    if write.producer:\n        keep_producer(",
            "    ledger.save()\n    ledger.cursor.execute('COMMIT')\n"
            "    ledger.cursor.execute('BEGIN')\n"
            "    if write.producer:\n        keep_producer(",
        ),
    ),
    mutant(
        "a reader told of the close before it has everything",
        DURABLE + "TestReading::test_closed_is_said_at_the_tail_only",
        (
            "events/durable/reading.py",
            "return Page(self._data(rows), state.epoch, position)",
            "return Page(self._data(rows), state.epoch, position, False, self.closed)",
        ),
    ),
    mutant(
        "an offset of another epoch that reads on",
        DURABLE + "TestReading::test_an_offset_of_another_epoch",
        (
            "events/durable/reading.py",
            "if beyond or before or not offsets.is_of(offset, state):",
            "if beyond or before:",
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
        "the one statement does not look at the timeline",
        TIMELINE + "test_the_first_position_is_in_a_new_epoch[in no stream]",
        (
            DATABASE + "postgres.py",
            "COALESCE(timeline = (SELECT {timeline}), true)",
            "true",
        ),
    ),
    mutant(
        "a term is noted after the append",
        TIMELINE + "test_the_first_position_is_in_a_new_epoch[a batch]",
        (
            DATABASE + "ledger.py",
            "        self.term = self.stored_term.on(timeline, self.head)\n",
            "        self.term, self.timeline = self.stored_term, timeline\n",
        ),
        (
            DATABASE + "ledger.py",
            "        if self.term != self.stored_term:\n",
            "        self.term = self.term.on(self.timeline, self.head)\n"
            "        if self.term != self.stored_term:\n",
        ),
    ),
    mutant(
        "a reader beyond the head begins no term",
        TIMELINE + "test_a_reader_beyond_the_head_begins_the_term",
        (
            DATABASE + "backend.py",
            "if is_ahead and self.lock.begin_term(found.state.epoch):",
            "if False:",
        ),
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
        "Redis: what has its place is not noted",
        RELAY + "test_a_relay_that_is_killed[postgres-after the script]",
        (
            REDIS + "lua/append.lua",
            "  if note ~= '' and redis.call('HEXISTS', KEYS[4], note) == 1 then\n",
            "  if note ~= '' and false then\n",
        ),
    ),
    mutant(
        "Redis: a relay that stood still is not refused",
        RELAY + "test_a_relay_that_stands_still",
        (
            REDIS + "lua/append.lua",
            "  if token < newest and mode ~= 'forget' then\n",
            "  if false then\n",
        ),
    ),
    mutant(
        "Redis: notes are kept for ever",
        RELAY + "test_a_relay_that_is_killed[postgres-after the commit]",
        (
            REDIS + "relay.py",
            "        return [note for note in notes if id_of(note) not in there]\n",
            "        return []\n",
        ),
    ),
    mutant(
        "Redis: what has its place is known by its id alone",
        RELAY + "test_a_database_that_gives_its_ids_out_again[postgres]",
        (
            REDIS + "relay.py",
            "    told = repr((row.emitted_at, *row.item)).encode()\n",
            '    told = b""\n',
        ),
    ),
    mutant(
        "Redis: a connection that the server has closed is sent an emit",
        "tests/test_redis.py::TestConnections::test_one_that_the_server_has_closed",
        ("events/internals.py", "    return not poll.poll(0)\n", "    return True\n"),
    ),
    mutant(
        "Redis: a server that stands still keeps a transaction",
        RELAY + "test_a_redis_that_stands_still",
        (
            REDIS + "client.py",
            "        patience = min(max(LEAST_TIMEOUT, left), ANSWER_TIMEOUT)\n",
            "        patience = 30.0\n",
        ),
    ),
    mutant(
        "Redis: an emit does not look into the outbox",
        RELAY + "test_a_relay_that_is_killed[postgres-before the script]",
        (
            REDIS + "backend.py",
            "            # What was committed before comes before.\n            self.relay.drain()\n",
            "",
        ),
    ),
    mutant(
        "Redis: a promoted server goes on with the term",
        TERMS + "test_only_who_saw_what_was_taken_back_is_told",
        (
            REDIS + "lua/common.lua",
            "  log.begins = not log.run or not string.find(",
            "  log.begins = not log.run or false and string.find(",
        ),
    ),
    mutant(
        "Redis: a new term ends every cursor",
        TERMS + "test_only_who_saw_what_was_taken_back_is_told",
        (
            "events/cursors.py",
            "            epoch == term and since <= end for term, end in self.terms\n",
            "            epoch == term and since < end for term, end in self.terms\n",
        ),
    ),
    mutant(
        "Redis: a term is taken for the one before",
        TERMS + "test_only_who_saw_what_was_taken_back_is_told",
        (
            "events/cursors.py",
            "            epoch == term and since <= end for term, end in self.terms\n",
            "            epoch == term for term, end in self.terms\n",
        ),
    ),
    mutant(
        "Redis: replicas are not waited for",
        TERMS + "test_too_few_replicas_confirm",
        (
            REDIS + "ledger.py",
            "        if confirmed < self.wait and not refused:\n",
            "        if False:\n",
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
        "an epoch ahead of its gap",
        "tests/test_eager.py::test_an_epoch_is_not_ahead_of_its_gap",
        (
            "events/websocket/writer.py",
            "                if one.taking is None:\n",
            "                if one:\n",
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
)
