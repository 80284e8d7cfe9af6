"""What is written: positions, the outbox, keys, streams, retention, terms."""

from .mutant import DATABASE, HISTORY, PRUNING, TIMELINE, WRITERS, mutant

BACKGROUND = "tests/test_background.py::"

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
)
