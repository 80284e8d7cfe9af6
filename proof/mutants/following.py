"""What is read and followed: cursors, tails, transports, permissions."""

from .mutant import DATABASE, PRUNING, TIMELINE, mutant

TAIL = "tests/test_tail.py::"
SIMULATION = "proof/test_simulation.py::test_whatever_goes_wrong_every_reader_gets_what_is_its"
POSTGRES = "tests/test_postgres.py::"
NOTICES = DATABASE + "notices.py"
LIMITS = "tests/test_limits.py::"

MUTANTS = (
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
        "a look that is broken off forgets its streams",
        "tests/test_broker.py::test_a_stream_that_it_was_looking_at_is_looked_at_again",
        (
            "events/live/broker.py",
            "                self.asking[:0] = asking\n"
            "                self.streams.doubtful.update(names)\n",
            "                self.asking[:0] = asking\n",
        ),
    ),
    mutant(
        "deletions of another log believed",
        TAIL + "test_a_deletion_that_the_new_log_knows_nothing_of",
        (
            "events/live/tail.py",
            "        if self.epoch != streams.epoch:\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "streams of another log believed",
        TAIL + "test_the_last_of_a_log_made_anew_meanwhile",
        (
            "events/live/tail.py",
            " if self.epoch == streams.epoch else None\n",
            "\n",
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
        SIMULATION + "[270]",
        (
            "events/websocket/subscription.py",
            "return self.tail.bookmark if self.taking is None else self.before\n",
            "return self.tail.bookmark\n",
        ),
    ),
    mutant(
        "sent at once past what waits",
        "tests/test_eager.py::test_what_has_to_wait_is_finished_by_the_task",
        (
            "events/live/eager.py",
            "return self.idle and not self.bell.rung\n",
            "return True\n",
        ),
    ),
    mutant(
        "what was sent at once needs no acknowledgement",
        SIMULATION + "[0]",
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
        "tests/test_sets.py::TestADenyList::test_over_a_websocket",
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
        "tests/test_sets.py::TestFollowing::test_only_what_is_wanted_wakes",
        (
            "events/live/window.py",
            "        if self.prefixes:\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "permission not asked again",
        "tests/test_clocks.py::TestWebSocket::test_access_that_is_revoked",
        (
            "events/websocket/clocks.py",
            "            self.check = self.loop.create_task(self._check())\n",
            "            pass\n",
        ),
    ),
    mutant(
        "permission not asked again of an EventSource",
        "tests/test_clocks.py::TestServerSentEvents::test_access_that_is_revoked[at once]",
        ("events/api/eventsource.py", "allowed = await self.may_still_read()", "allowed = True"),
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
        "an epoch ahead of its gap",
        "tests/test_eager.py::test_an_epoch_is_not_ahead_of_its_gap",
        (
            "events/websocket/writer.py",
            "                if one.taking is None:\n",
            "                if one:\n",
        ),
    ),
    mutant(
        "no LISTEN after a connection that was cut",
        POSTGRES + "test_a_listener_that_is_cut_off_listens_anew",
        (
            NOTICES,
            "                time.sleep(pause)\n",
            "                return\n",
        ),
    ),
    mutant(
        "who listens anew does not look",
        POSTGRES + "test_a_listener_that_is_cut_off_listens_anew",
        (NOTICES, '        self._tell("\\n".join(logs))  # what', "        # what"),
    ),
    mutant(
        "a notice in the caller's transaction",
        POSTGRES + "test_an_append_sends_no_notice_itself",
        (
            DATABASE + "outbox.py",
            "    for some in _portions(items):\n",
            "    cursor.execute(\"SELECT pg_notify('events_appended', %s)\", [log])\n"
            "    for some in _portions(items):\n",
        ),
    ),
    mutant(
        "reads in the order in which they are asked for",
        "tests/test_pager.py::test_users_take_turns",
        (
            "events/live/pager.py",
            "        self.lines.setdefault(who, deque()).append(place)\n",
            "        self.lines.setdefault(None, deque()).append(place)\n",
        ),
    ),
    mutant(
        "a WebSocket that does not count",
        LIMITS + "TestInOneProcess::test_a_socket_that_is_cut_off_is_let_go",
        (
            "events/websocket/visitor.py",
            "            return hold(CONNECTIONS, self.who, settings.max_connections)\n",
            "            return hold(CONNECTIONS, self.who, None)\n",
        ),
    ),
    mutant(
        "a response of which nothing is taken has no end",
        LIMITS + "TestResponses::test_a_client_that_takes_no_more[1]",
        (
            "events/api/sending.py",
            "        self.timer = asyncio.get_running_loop().call_later(self.seconds, self._end)\n",
            "        pass\n",
        ),
    ),
    mutant(
        "a client that reads nothing does not count any more",
        "tests/test_stalled.py::"
        "test_who_stalls_again_and_again_has_no_more_sockets[?format=ndjson]",
        (
            "events/limits.py",
            "        if self.receive is None:\n",
            "        if self:\n",
        ),
    ),
    mutant(
        "a socket that subscribes to nothing stays",
        LIMITS + "TestInOneProcess::test_a_socket_that_never_subscribes_is_closed[user1-4408]",
        (
            "events/websocket/clocks.py",
            "        if self.subscribe_by and now >= self.subscribe_by:\n",
            "        if False:\n",
        ),
    ),
)
