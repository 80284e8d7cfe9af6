"""The account of one reader: what it was given, held against what there was.

Positions only grow within an epoch; nothing that it wants is passed over, but for what was
deleted, or pruned with a word; each number in a gap is right; live once; one end, and last.
"""

import json

from events.types import TERMINAL


class Account:
    def __init__(self, world, who, query):
        self.world = world
        self.who = who
        self.query = query
        self.history = world.history
        self.asked = world.now()
        self.cursor = query.since if isinstance(query.since, int) else 0
        self.life = None
        # Who begins with the earliest has no claim to what goes before anything was given.
        self.claims = query.since != "earliest"
        self.live = False
        self.ended = None
        # That of its stream of which it has been given something.
        self.generation = None
        world.note(who, "asks", *self.wanted)

    @property
    def wanted(self):
        query = self.query
        return query.since, query.stream, *query.exact, *query.prefixes, query.epoch

    def require(self, holds, complaint, *details):
        if not holds:
            self.world.fail(self.who, complaint, *details, "at", self.cursor, "of", self.wanted)

    def note(self, *what):
        self.world.note(self.who, *what)

    # The beginning

    def begin(self, cursor, gap, epoch):
        """Where it is told that it begins; None if it is not told."""
        self.note("begins", cursor, gap, epoch)
        self.require(epoch in self.history.lives, "an epoch that never was", epoch)
        since, life = self.query.since, self.history.lives[epoch]
        self.life = life
        self.require(life.ended is None or life.ended >= self.asked, "an epoch that was over")
        if gap is not None:
            self._begin_with(gap)
        elif since == "earliest":
            least = self.history.least_floor_at(life, self.asked)
            most = self.history.floor_at(life, self.world.now())
            self.require(least <= cursor <= most, "begins elsewhere", cursor)
            self.cursor = cursor
        elif since == "latest":
            self.require(life.head_before(self.asked) <= cursor <= life.head, "no head", cursor)
            self.cursor = cursor
        else:
            self._begin_at(cursor, life)

    def _begin_at(self, cursor, life):
        since, epoch = self.query.since, self.query.epoch
        self.require(epoch is None or epoch == life.epoch, "another epoch, and no word of it")
        self.require(since <= life.head, "beyond the head, and no word of it")
        if cursor not in (None, since):
            # What was pruned was of other streams, or so the broker says.
            self.require(self.query.stream, "moved without a gap", cursor)
            self.advance(cursor)

    def _begin_with(self, gap):
        self.require(self.query.since == gap.requested, "a gap for somebody else", gap)
        if gap.reason == "epoch":
            self.require(self.query.epoch not in (None, self.life.epoch), "a false gap", gap)
            self._to_floor(gap)
        elif gap.reason == "ahead":
            head = gap.first_available - 1
            at_least = self.life.head_before(self.asked)
            self.require(at_least <= head < gap.requested and gap.lost == 0, "a false gap", gap)
            self.require(head <= self.life.head, "a head that never was", gap)
            self.cursor = head
        else:
            self._pruned(gap)

    # What comes

    def gap(self, gap, epoch):
        self.note("gap", gap, epoch)
        self._goes_on()
        # It may have been further than it was told, where there was nothing for it; or nothing any
        # more, when it began with the earliest. An EventSource is not told that it is live.
        self.advance(gap.requested)
        self.claims = True
        if gap.reason == "epoch":
            self.require(epoch != self.life.epoch, "a false gap", gap)
            self.require(epoch in self.history.lives, "an epoch that never was", epoch)
            self.life = self.history.lives[epoch]
            self.generation = None
            self._to_floor(gap)
        else:
            self.require(gap.reason == "pruned" and epoch == self.life.epoch, "what gap?", gap)
            self._pruned(gap)

    def _to_floor(self, gap):
        floor = gap.first_available - 1
        self.require(self.history.was_floor(self.life, floor), "not the floor", gap)
        self.require(gap.lost == floor, "a wrong number", gap)
        self.cursor = floor

    def _pruned(self, gap):
        floor = gap.first_available - 1
        self.require(floor > gap.requested, "a gap of nothing", gap)
        self.require(self.history.was_floor(self.life, floor), "not the floor", gap)
        self.require(gap.lost == floor - gap.requested, "a wrong number", gap)
        stream = self.query.stream
        if stream:
            touched = any(
                one.first <= floor and one.last > gap.requested
                for one in self.history.streams.get(stream, ())
            )
            self.require(touched, "a gap in a stream that lost nothing", gap)
        self.cursor = floor

    def entry(self, entry):
        """In its wire form."""
        position, seq = entry["position"], entry["seq"] or 0
        told = position, entry["kind"], entry["stream"], seq, entry["payload"]
        self._given(position, told, lambda row: (*row[:4], json.loads(row.text)))

    def row(self, row):
        self._given(row.position, row, lambda row: row)

    def _given(self, position, told, form):
        self._goes_on()
        self.require(self.cursor < position, "given again, or late", position)
        self.require(position <= self.life.head, "never written", position)
        row = self.life.records[position - 1].row
        self.require(told == form(row), "altered", told)
        self.require(self.query.wants(row), "not asked for", told)
        self.advance(position, given=True)
        self.claims = True
        self.note("given", position)
        found = (one for one in self._generations() if one.first <= position <= one.last)
        self.generation = max(found, key=lambda one: one.first, default=None)

    def advance(self, cursor, given=False):
        """Everything up to here has been given or looked at."""
        self.require(self.cursor <= cursor <= self.life.head, "moved to", cursor)
        passed = self.life.records[self.cursor : cursor - given]
        for record in passed:
            if self.query.wants(record.row):
                self._excuse(record)
        self.cursor = cursor

    def _excuse(self, record):
        position = record.row.position
        if record.deleted:
            return
        pruned = position <= self.history.floor_at(self.life, self.world.now())
        self.require(pruned, "passed over", position)
        self.require(not self.claims or self.life.ended, "lost without a word", position)

    def is_live(self, cursor):
        self.note("live", cursor)
        self._goes_on()
        self.require(not self.live, "live again")
        self.advance(cursor)
        self.live = self.claims = True
        if self.life.began <= self.asked:
            head = self.life.head_before(self.asked)
            self.require(cursor >= head, "live before it was given what there was", cursor, head)

    def bookmark(self, cursor):
        if self.life is not None and self.ended is None:
            self.note("bookmark", cursor)
            self.advance(cursor)

    def end(self, reason, cursor):
        self.note("end", reason, cursor)
        self._goes_on()
        self.ended = reason
        if not self.life.ended:
            self.advance(cursor)
        self.require(
            any(map(self._ended_as(reason, cursor), self._generations())), "no end", reason
        )

    def _generations(self):
        return self.history.streams.get(self.query.stream, ())

    def _ended_as(self, reason, cursor):
        def ended(one):
            if reason == "deleted":
                # Or before, if the last of its events were still there to be given.
                late = one.deleted is not None and one.deleted >= self.asked
                return late or (one.deleted is not None and one is self.generation)
            still = one.deleted is None or one.deleted >= self.asked
            return one.status == reason and still and cursor >= one.end

        return ended

    def _goes_on(self):
        self.require(self.life is not None, "something before the beginning")
        self.require(self.ended is None, "something after the end")

    # When all is quiet

    def settled(self, since):
        """Who was there before then must have everything by now."""
        if self.ended or self.asked > since:
            return
        self.require(self.life, "was never told where it begins")
        self.require(self.life is self.history.life, "still in an epoch that is over")
        self.advance(self.life.head)
        stream = self.history.current(self.query.stream or "")
        over = stream is not None and stream.status in TERMINAL
        self.require(not over, "its stream is over, and it was not told")
        gone = self.generation and self.generation.deleted and self.generation.deleted > self.asked
        self.require(not gone, "its stream is gone, and it was not told")
