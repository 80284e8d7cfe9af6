"""A handler in somebody's hands: `handlers["mailer"]`."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from ..cursors import make_query
from ..log import logs
from . import holding, locks, moves, store, turn
from .models import Held as HeldRow
from .models import State, Subscription
from .spec import Spec


@dataclass(frozen=True, slots=True)
class Status:
    """Where a handler stands. `held` are the entries that will be tried again, `parked` those that
    will not."""

    name: str
    log: str
    shards: int
    state: str
    cursor: int
    head: int
    lag: int
    held: int
    parked: int
    reason: str
    last_error: str


@dataclass(frozen=True, slots=True)
class Held:
    """An entry that has failed; `behind` later ones of its stream wait for it."""

    position: int
    stream: str
    attempts: int
    next_attempt_at: datetime | None
    parked: bool
    error: str
    behind: int


class Handler:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.name = spec.name
        self.backend = logs[spec.log].backend
        self.alias = self.backend.alias

    def __repr__(self) -> str:
        return f"<Handler {self.name!r}>"

    # Looking

    def status(self) -> Status:
        """Of one that has never run: where it would begin."""
        state = store.log_state(self.backend)
        found = store.subscription(self.alias, self.name)
        shards = locks.shards_of(found) if found else []
        cursor = min(
            (shard.cursor for shard in shards), default=store.position(self.spec.since, state)
        )
        holding.free_deleted(self.spec)
        failed = list(self._failed().values_list("parked", flat=True))
        return Status(
            name=self.name,
            log=self.spec.log,
            shards=shards[0].of if shards else self.spec.shards,
            state=found.state if found else State.RUNNING.value,
            cursor=cursor,
            head=state.head,
            lag=max(0, state.head - cursor),
            held=failed.count(False),
            parked=failed.count(True),
            reason=found.reason if found else "",
            last_error=found.last_error if found else "",
        )

    def held(self) -> list[Held]:
        """What has failed, and is neither done nor dropped."""
        holding.free_deleted(self.spec)
        failed = list(self._failed().order_by("position"))
        behind = holding.waiting(failed)
        return [
            Held(
                one.position,
                one.stream,
                one.attempts,
                one.next_attempt_at,
                one.parked,
                one.error,
                behind.get(one.stream, 0),
            )
            for one in failed
        ]

    # Doing

    def run_once(self) -> int:
        """Do what is due now, in this thread. What the handler raises is held, not raised."""
        self.backend.refuse_in_transaction("run a handler")
        return turn.run_now(self.spec)

    def pause(self) -> None:
        """Begin no other entry until `resume()`."""
        found = self._subscription()
        found.state = State.PAUSED
        found.save(update_fields=["state"])

    def resume(self) -> None:
        """Go on; after a gap with what is left."""
        found = self._subscription()
        if found.reason:
            moves.pass_gap(self.spec, found)
        found.state, found.reason = State.RUNNING, ""
        found.save(update_fields=["state", "reason"])

    def replay(self, since: int | str) -> None:
        """Go back, or on, to after a position, to `earliest` or to `latest`; and forget what is held
        after that."""
        make_query(since, 1, None, None, None, page_size=1, max_page_size=1)
        state = store.log_state(self.backend)
        found = self._subscription()
        with transaction.atomic(using=self.alias):
            moves.place_at(found, store.position(since, state), state.epoch)
        # One that is paused stays so.
        rows = Subscription.objects.using(self.alias).filter(pk=found.pk)
        rows.filter(state=State.STOPPED).update(state=State.RUNNING)
        rows.update(reason="")

    def retry(self, position: int | None = None) -> int:
        """Try what has failed once more, and begin the count of its attempts anew; how many those
        are."""
        rows = self._failed()
        if position is not None:
            rows = rows.filter(position=position)
        count = rows.update(attempts=0, parked=False, next_attempt_at=self.backend.now())
        if position is not None and not count:
            raise self._not_held(position)
        return count

    def drop(self, position: int) -> None:
        """Give up an entry that has failed. What waits behind it goes on."""
        one = self._failed().filter(position=position).first()
        if one is None:
            raise self._not_held(position)
        with transaction.atomic(using=self.alias):
            # Whoever works on it now may finish it meanwhile.
            locks.lock_stream(one.subscription, one.stream, wait=True)
            if not self._failed().filter(pk=one.pk).delete()[0]:
                raise self._not_held(position)
            holding.promote(self.alias, one.subscription_id, one.stream, self.backend.now())

    def _subscription(self) -> Subscription:
        found, _ = Subscription.objects.using(self.alias).get_or_create(
            name=self.name, defaults={"log": self.spec.log, "shards": self.spec.shards}
        )
        return found

    def _failed(self) -> QuerySet[HeldRow]:
        found = store.subscription(self.alias, self.name)
        return holding.held(self.alias, found.pk if found else 0).filter(failed=True)

    def _not_held(self, position: int) -> LookupError:
        return LookupError(f"The handler {self.name!r} holds no failed entry {position}.")
