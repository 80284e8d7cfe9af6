"""Held entries that are due: one that has failed, or those that have waited behind one."""

import time
from typing import Any

from django.db.models import QuerySet

from . import holding
from .models import Held, Shard
from .shard import Elsewhere, ShardWork, Source, Step, Taken

# Entries of a stream that are read at once.
PAGE = 100
# Seconds until the next look, while there are new entries and none of the held ones is due.
PAUSE = 0.2


class Due(Source):
    def __init__(self, work: ShardWork) -> None:
        super().__init__(work)
        # Of one stream, the first of which is due; and those that are tried now.
        self.queue: list[Held] = []
        self.held: list[Held] = []
        self.next_look = 0.0

    @property
    def rows(self) -> QuerySet[Held]:
        return holding.held(self.work.alias, self.work.subscription)

    def find(self) -> bool:
        work = self.work
        if self.queue:
            return True
        if not work.place.holds:
            return False
        now = time.monotonic()
        if now < self.next_look and any(source.is_at_hand for source in work.sources):
            return False
        mine = holding.in_shard(self.rows, work.number, work.of)
        due = mine.filter(next_attempt_at__lte=work.log.backend.now())
        first = due.order_by("next_attempt_at", "pk").first()
        if first is None:
            self.next_look = now + PAUSE
            if not mine.exists():
                self.note_that_nothing_is_held(mine)
            return False
        self.queue = [first]
        if not first.failed:
            behind = self.rows.filter(stream=first.stream, pk__gt=first.pk).order_by("pk")
            self.queue += behind[: max(PAGE, work.spec.batch)]
        return True

    def note_that_nothing_is_held(self, mine: QuerySet[Held]) -> None:
        work = self.work
        with work.locked():
            if not mine.exists():
                Shard.objects.using(work.alias).filter(pk=work.id).update(holds=False)
                work.place = work.place._replace(holds=False)

    def take(self) -> Taken:
        """Unless they were done, dropped or tried by somebody else since they were found."""
        work = self.work
        alone = self.queue[0].position in work.alone
        self.held = self.queue[: 1 if alone else work.spec.batch]
        known = {one.pk: one.attempts for one in self.held}
        rows = self.rows.filter(pk__in=known, parked=False)
        if dict(rows.values_list("pk", "attempts")) != known:
            self.queue = []
            raise Elsewhere(Step.MOVED)
        return Taken([holding.as_row(one) for one in self.held], [], work.place.cursor)

    def write(self, taken: Taken) -> None:
        work, now = self.work, self.work.log.backend.now()
        self.rows.filter(pk__in=[one.pk for one in self.held]).delete()
        following = self.queue[len(self.held) :][:1]
        # It may be gone: after a replay, others are behind in its place.
        if not self.rows.filter(pk__in=[one.pk for one in following]).update(next_attempt_at=now):
            holding.promote(work.alias, work.subscription, self.held[0].stream, now)

    def fail(self, taken: Taken, error: str) -> dict[str, Any] | None:
        """An UPDATE, so that one that is gone meanwhile does not come back."""
        work = self.work
        [one] = self.held
        attempts, now = one.attempts + 1, work.log.backend.now()
        values = holding.attempt_failed(work.spec, attempts, error, now)
        same = self.rows.filter(pk=one.pk, attempts=one.attempts, parked=False)
        return values if same.update(**values) else None

    def done(self, taken: Taken, failed: bool) -> None:
        self.work.alone.difference_update(row.position for row in taken.batch)
        self.queue = [] if failed else self.queue[len(self.held) :]
