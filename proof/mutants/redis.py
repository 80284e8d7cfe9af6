"""The log on Redis."""

from .mutant import mutant

REDIS = "events/backends/redis/"
RELAY = "tests/test_redis_relay.py::"
TERMS = "tests/test_redis.py::TestTerms::"

MUTANTS = (
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
        (
            "events/internals.py",
            "    return not _poll_of(connection).poll(0)\n",
            "    return True\n",
        ),
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
)
