"""Durable Streams."""

from .mutant import DATABASE, mutant

DURABLE = "tests/test_durable.py::"

MUTANTS = (
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
        "a producer's request appended as often as it is sent",
        DURABLE + "TestProducers::test_requests_that_race[postgres]",
        (
            "events/durable/protocol.py",
            "        return known, Producer(producer.id, known.epoch, known.seq)\n",
            "        return known, None\n",
        ),
    ),
    mutant(
        "what a durable stream has lost passed over in silence",
        DURABLE + "TestReading::test_what_was_pruned_is_said_to_be_lost",
        (
            "events/durable/reading.py",
            "        if found.gap is not None and self._loses(segment, after, found):\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "an append to another stream of the same name",
        DURABLE + "TestAppending::test_a_stream_that_went_meanwhile[postgres]",
        (
            DATABASE + "postgres.py",
            '"status IS NULL OR", "first_position = %(first)s AND"',
            '"status IS NULL OR", "first_position <= %(first)s + 100000 AND"',
        ),
    ),
)
