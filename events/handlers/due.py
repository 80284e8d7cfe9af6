"""Held entries that are due: one that has failed, or those that have waited behind one."""

from __future__ import annotations

from typing import Any

from . import holding
from .models import Held, Shard
from .shard import Elsewhere, ShardWork, Source, Step, Taken


class Due(Source):
    def __init__(self, work: ShardWork) -> None:
        super().__init__(work)
        self.held: list[Held] = []

    def find(self) -> bool:
        work = self.work
        if not work.place.holds:
            return False
        rows = self.mine()
        first = (
            rows.filter(next_attempt_at__lte=work.log.backend.now())
            .order_by("next_attempt_at", "pk")
            .first()
        )
        if first is None:
            if not rows.exists():
                self.note_that_nothing_is_held()
            return False
        self.held = [first] if first.failed else self.queue(first)
        return True

    def queue(self, first: Held) -> list[Held]:
        """As much as fits a batch of what waits in its stream."""
        rows = holding.held(self.work.alias, self.work.subscription).filter(
            stream=first.stream, pk__gte=first.pk
        )
        alone = first.position in self.work.alone
        return list(rows.order_by("pk")[: 1 if alone else self.work.spec.batch])

    def mine(self) -> Any:
        work = self.work
        rows = holding.held(work.alias, work.subscription)
        return holding.in_shard(rows, work.number, work.of)

    def note_that_nothing_is_held(self) -> None:
        work = self.work
        with work.locked():
            if not self.mine().exists():
                Shard.objects.using(work.alias).filter(pk=work.id).update(holds=False)
                work.place = work.place._replace(holds=False)

    def take(self) -> Taken:
        """Unless it was finished, dropped or tried by somebody else since it was found."""
        work = self.work
        keys = {one.pk: one.attempts for one in self.held}
        rows = holding.held(work.alias, work.subscription).filter(pk__in=keys, parked=False)
        if dict(rows.values_list("pk", "attempts")) != keys:
            raise Elsewhere(Step.MOVED)
        return Taken([holding.as_row(one) for one in self.held], [], work.place.cursor)

    def write(self, taken: Taken) -> None:
        work = self.work
        rows = holding.held(work.alias, work.subscription)
        rows.filter(pk__in=[one.pk for one in self.held]).delete()
        stream = self.held[0].stream
        holding.promote(work.alias, work.subscription, stream, work.log.backend.now())

    def fail(self, taken: Taken, error: str) -> dict[str, Any] | None:
        """An UPDATE, so that one that is gone meanwhile does not come back."""
        work = self.work
        [one] = self.held
        values = holding.attempt_failed(work.spec, one.attempts + 1, error, work.log.backend.now())
        rows = holding.held(work.alias, work.subscription)
        same = rows.filter(pk=one.pk, attempts=one.attempts, parked=False)
        return values if same.update(**values) else None

    def done(self, taken: Taken, failed: bool) -> None:
        self.work.alone.difference_update(row.position for row in taken.batch)
