"""Entries that come after a shard's cursor."""

import logging
from typing import Any

from ..cursors import Rows
from ..cursors import State as LogState
from ..types import Gap, Row
from . import holding, locks, moves, store
from .models import Held, Shard
from .shard import Elsewhere, ShardWork, Source, Step, Taken

logger = logging.getLogger("events")

# Entries among which one step looks for its batch.
LOOK = 100


class Fresh(Source):
    """With `passing_by`, only the cursor moves, as far as there is nothing for the function."""

    def __init__(self, work: ShardWork, *, passing_by: bool = False) -> None:
        super().__init__(work)
        self.passing_by = passing_by
        # Those from `at` on are not done yet.
        self.rows: list[Row] = []
        self.at = 0
        # What `rows` belong to, and how far they were read.
        self.start = work.place[:3]
        self.scanned = work.place.cursor
        self.state = LogState(0, 0, "")

    @property
    def is_at_hand(self) -> bool:
        return self.at < len(self.rows)

    def find(self) -> bool:
        work = self.work
        if self.start != work.place[:3]:
            self.rows, self.at = [], 0
            self.start, self.scanned = work.place[:3], work.place.cursor
        if not self.is_at_hand and self.scanned <= work.place.cursor:
            self.read()
        return self.scanned > work.place.cursor and not (self.passing_by and self.is_at_hand)

    def read(self) -> None:
        work = self.work
        cursor, epoch, upto, *_ = work.place
        end = work.until if upto is None else upto
        # At the head of the log it looks all the same: there may be another epoch.
        if upto is not None and cursor >= upto:
            return
        limit = max(store.PAGE, work.spec.batch)
        found = work.read(store.query(work.spec, cursor, epoch, limit))
        if found.gap is not None:
            raise Elsewhere(Step.MOVED if self.meet(found.gap, found) else Step.BUSY)
        if found.state.epoch != epoch:
            self.enter_term(found.state.epoch)
        rows = found.rows
        if found.cursor > end or work.of > 1:
            rows = [row for row in rows if row.position <= end and work.is_mine(row)]
        self.rows, self.at = rows, 0
        self.scanned, self.state = min(found.cursor, end), found.state

    def enter_term(self, epoch: str) -> None:
        """The log goes on with its numbering, on another server: what the cursor passes from now on
        is of this term."""
        work = self.work
        with work.locked():
            Shard.objects.using(work.alias).filter(pk=work.id).update(epoch=epoch)
        work.place = work.place._replace(epoch=epoch)
        self.start = work.place[:3]

    def take(self) -> Taken:
        work, size = self.work, self.work.spec.batch
        self.check_log()
        look = self.rows[self.at : self.at + max(size, LOOK)]
        blocked = (
            holding.blocked(work.alias, work.subscription, look) if work.place.holds else set()
        )
        if blocked or work.alone:
            batch, behind = self.apart(look, blocked)
        else:
            batch, behind = look[:size], []
        count = len(batch) + len(behind)
        is_all = self.at + count == len(self.rows)
        return Taken(batch, behind, self.scanned if is_all else look[count - 1].position)

    def check_log(self) -> None:
        """Another server may have taken over since, without what was read: then it is of no use."""
        epoch, head = self.work.place.log or (self.state.epoch, self.scanned)
        if epoch != self.state.epoch or head < self.scanned:
            self.rows, self.at, self.scanned = [], 0, self.work.place.cursor
            # Not from what the process remembers.
            self.work.read = self.work.log.backend.read
            raise Elsewhere(Step.AGAIN)

    def apart(self, look: list[Row], blocked: set[str]) -> tuple[list[Row], list[Row]]:
        """What is for the function, and what has to wait."""
        work = self.work
        batch: list[Row] = []
        behind: list[Row] = []
        for row in look:
            if row.stream in blocked:
                behind.append(row)
                continue
            full = len(batch) == work.spec.batch
            if batch and (full or batch[0].position in work.alone):
                break
            batch.append(row)
        return batch, behind

    def write(self, taken: Taken) -> None:
        work = self.work
        if not work.spec.atomic:
            # Taken in another transaction, perhaps on another server.
            self.check_log()
        self.pass_by(taken, holding.copies(work.subscription, taken.behind))
        if not work.spec.atomic:
            # Taken in another transaction: what they wait behind may have been dropped since.
            for stream in {row.stream for row in taken.behind}:
                holding.promote(work.alias, work.subscription, stream, work.log.backend.now())

    def fail(self, taken: Taken, error: str) -> dict[str, Any] | None:
        work = self.work
        again = self.take()
        if again != taken:
            # Somebody has freed a stream meanwhile.
            return None
        values = holding.attempt_failed(work.spec, 1, error, work.log.backend.now())
        culprit = holding.copies(work.subscription, taken.batch, **values)
        self.pass_by(taken, [*holding.copies(work.subscription, taken.behind), *culprit])
        return values

    def pass_by(self, taken: Taken, held: list[Held]) -> None:
        alias = self.work.alias
        if held:
            Held.objects.using(alias).bulk_create(held, batch_size=store.PAGE)
        locks.move(self.work.cursor, self.work.id, taken.reached)
        if held and not self.work.place.holds:
            Shard.objects.using(alias).filter(pk=self.work.id).update(holds=True)

    def done(self, taken: Taken, failed: bool) -> None:
        work = self.work
        done = [*taken.batch, *taken.behind]
        if work.alone:
            work.alone.difference_update(row.position for row in done)
        self.at += len(done)
        holds = work.place.holds or failed
        work.place = work.place._replace(cursor=taken.reached, holds=holds)
        self.start = work.place[:3]

    def meet(self, gap: Gap, found: Rows) -> bool:
        """Entries after the cursor are gone: stop, or go on with what is left."""
        work = self.work
        with work.locked():
            goes_on = moves.may_skip(work.spec, work.alias, work.subscription, gap)
            if goes_on:
                moves.skip_gap(work.shard, gap, found.state)
            else:
                moves.note_gap(work.alias, work.subscription, gap)
        logger.log(
            logging.WARNING if goes_on else logging.ERROR,
            "%s: %s; it %s.",
            work.where,
            moves.told(gap),
            "goes on with what is left" if goes_on else "stops",
        )
        return goes_on
