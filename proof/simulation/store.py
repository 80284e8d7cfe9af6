"""A store that is slow and fails, and in which others write between any two statements."""

import json
from dataclasses import replace

from events.backends.memory import MemoryBackend
from events.cursors import Rows
from events.validation import Item


class Stamped(Rows):
    """What was read, and when: `at`."""


class Store(MemoryBackend):
    """Its entries are those of the world that runs."""

    world = None

    @property
    def ledger(self):
        return self.world.ledger

    def in_transaction(self):
        return False

    def _settle(self):
        pass

    # Reading

    def read(self, query):
        self.world.race()
        self.world.may_fail()
        found = Stamped(*super().read(query))
        found.at = self.world.now()
        return found

    def find_streams(self, names):
        self.world.race()
        self.world.may_fail()
        return super().find_streams(names)

    # Writing: the history is told

    def append_now(self, items):
        entries = super().append_now(items)
        self.world.changed()
        return entries

    def append_late(self, item):
        super().append_late(item)
        self.world.changed()

    def close_silently(self, stream, status):
        """Its row says so and no event does."""
        known = self.ledger.streams[stream]
        self.ledger.streams[stream] = replace(known, status=status)
        self.world.history.closed(stream, str(status))

    def prune(self, *bounds):
        gone = super().prune(*bounds)
        self.world.changed()
        return gone

    def clear(self):
        gone = super().clear()
        self.world.changed()
        return gone

    def delete_stream(self, stream):
        """As a database does it: the row first, and its events bit by bit."""
        ledger, world = self.ledger, self.world
        if ledger.streams.pop(stream, None) is None:
            return 0
        doomed = world.history.deleted(stream)
        text = json.dumps({"stream": stream, "events": len(doomed)})
        ledger.append([Item("stream.deleted", "", text, None)], self.now())
        world.changed()
        world.hint()
        self._delete(ledger, doomed)
        return len(doomed)

    def _delete(self, ledger, doomed):
        world = self.world
        size = world.chance.randrange(1, 4)
        some, rest = doomed[:size], doomed[size:]
        positions = {record.row.position for record in some}
        ledger.rows = [row for row in ledger.rows if row.position not in positions]
        for record in some:
            record.gone = record.gone or world.now()
        if rest:
            world.later(world.chance.random() * 0.2, self._delete, ledger, rest)
