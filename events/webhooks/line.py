"""A line: one shard of an endpoint, and the step that it takes under its shard's lock.

    well     send one event, wait for its answer, write what came of it, choose the next
    silent   the same, but only for the one line of the endpoint that has the probe

A step is a part of a transaction that many lines share, because the commit is what is dear; so it
changes nothing here before that commit, and relies on nothing but the row that it has locked.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.db.models import QuerySet

from ..cursors import Query, State
from ..handlers import holding, locks, moves, store
from ..handlers.models import Held, Shard
from ..handlers.newest import Newest
from ..handlers.spec import is_in
from ..live.access import reloaded
from ..log import logs
from ..types import Gap, Row
from . import endpoints
from .models import Delivery, Endpoint
from .state import Standing
from .verdicts import Answer, Verdict, next_delay

# Seconds in which whoever sends a probe has to come back with its answer.
PROBE = 60
# Entries among which a step looks for one that no other of its stream is before.
LOOK = 100


@dataclass(frozen=True)
class Job:
    """One event on its way."""

    line: "Line"
    row: Row
    place: locks.Place
    attempt: int
    # The endpoint's failures by then, and the held row, by its key and its attempts.
    failures: int
    # The same for every attempt, and of all logs there ever were the only one.
    id: str
    held: tuple[int, int] | None = None

    def is_in(self, log: tuple[str, int] | None) -> bool:
        """Is it still what the log has at its position? What is held is kept."""
        if log is None or self.held is not None:
            return True
        return log[0] == self.place.epoch and log[1] >= self.row.position


Answered = tuple[Job, Answer]


@dataclass
class Books:
    """What the steps of one transaction write together, at its end."""

    alias: str
    token: int
    now: int
    deliveries: list[Delivery] = field(default_factory=list)
    well: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    claimed: list[int] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    users: dict[Any, Any] = field(default_factory=dict)

    def write(self) -> None:
        Delivery.objects.using(self.alias).bulk_create(self.deliveries)
        rows = Endpoint.objects.using(self.alias)
        if unwell := self.used - self.well:
            rows.filter(pk__in=sorted(unwell)).update(last_used_at=self.now)
        if self.well:
            rows.filter(pk__in=sorted(self.well)).update(**Standing.recovered(self.now))
        shards = Shard.objects.using(self.alias)
        if self.claimed:
            claim = {"token": self.token, "lease_until": locks.lease_end()}
            shards.filter(pk__in=self.claimed).update(**claim)
        if self.released:
            shards.filter(pk__in=self.released, token=self.token).update(lease_until=None)

    def user(self, pk: Any) -> Any:
        """As the database knows it now."""
        if pk not in self.users:
            self.users[pk] = reloaded(pk) if pk is not None else AnonymousUser()
        return self.users[pk]


@dataclass(frozen=True)
class Step:
    """What came of it, once that is committed. `job` is what to send next."""

    place: locks.Place | None
    job: Job | None = None


class Line:
    def __init__(self, endpoint: Endpoint, query: Query, shard: Shard) -> None:
        self.endpoint = endpoint
        self.query = query
        self.log = logs[endpoint.log]
        self.alias = self.log.backend.alias
        self.id, self.subscription = shard.pk, shard.subscription_id
        self.number, self.of = shard.number, shard.of
        self.place = locks.Place(shard.cursor, shard.epoch, shard.upto, shard.holds)
        self.leased = self.busy = self.queued = self.closed = False
        self.not_before = 0.0
        self.milliseconds = 0
        # Between two positions of an epoch there is nothing for it.
        self.nothing = ("", 0, 0)
        self.turn = False
        # None of what is held is due, as a step has found since where all lines stand was last read.
        self.nothing_due = False
        # Entries that were read, of those between two positions of an epoch.
        self.ahead: list[Row] = []
        self.span = ("", 0, 0)
        self.state = State(0, 0, "")
        # A cursor and its epoch, and the epoch in which it goes on.
        self.entered: tuple[int, str, str] | None = None
        self.gap: tuple[locks.Place, Gap] | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.alias, self.id

    @property
    def is_slow(self) -> bool:
        return self.endpoint.failures > 0 or self.milliseconds > 1000

    def rows(self) -> QuerySet[Held]:
        return holding.held(self.alias, self.subscription)

    @property
    def passed(self) -> int:
        """Up to where there is nothing for it after its cursor, as far as is known. Somebody may have
        moved that back since."""
        epoch, start, end = self.nothing
        known = epoch == self.place.epoch and start <= self.place.cursor <= end
        return end if known else self.place.cursor

    def pass_over(self, end: int) -> None:
        self.nothing = self.place.epoch, self.place.cursor, end

    # Before the transaction

    def look_ahead(self, newest: Newest, until: int) -> None:
        """Read what comes after the cursor, unless that is known. Of what was known before another
        server took over, some may be gone."""
        cursor, epoch, upto, *_ = self.place
        known, start, scanned = self.span
        self.gap = self.entered = None
        self.state = newest.known.state if newest.known else self.state
        if {known, self.state.epoch} != {epoch} or not start <= cursor <= scanned:
            self.ahead, scanned = [], cursor
        self.ahead = [row for row in self.ahead if row.position > cursor]
        end = until if upto is None else min(upto, until)
        if not self.ahead and scanned <= cursor < end:
            found = newest.read(replace(self.query, since=cursor, epoch=epoch))
            if found.gap is not None:
                self.gap, self.span = (self.place, found.gap), ("", 0, 0)
                return
            self.state = found.state
            if self.state.epoch != epoch:
                self.entered = cursor, epoch, self.state.epoch
                epoch = self.state.epoch
            self.ahead = [row for row in found.rows if row.position <= end and self.is_mine(row)]
            scanned = min(found.cursor, end)
        self.span = epoch, cursor, max(cursor, scanned)

    def is_mine(self, row: Row) -> bool:
        return is_in(row.stream, self.number, self.of)

    # In the transaction

    def step(self, books: Books, had: Answered | None, begins: bool) -> Step:
        """Write what came of a job, if there was one; and, if it `begins`, choose the next."""
        if had is not None:
            self.note(books, *had)
        token = books.token if self.leased else None
        with connections[self.alias].cursor() as cursor:
            place = locks.lock(cursor, self.id, token, token is None, self.log.name)
        if place is None:
            return Step(None)
        log, place = place.log, place._replace(log=None)
        before = place
        # Somebody may have moved the cursor meanwhile, or another server has taken over, perhaps without
        # it: then what was sent is no longer its business.
        if had is not None and place[:3] == had[0].place[:3] and had[0].is_in(log):
            place = self.write(books, *had, place)
        following = None
        if begins and self.is_known(log) and Standing(self.endpoint).may_send(books.now):
            if self.gap is not None and self.gap[0] == place:
                moves.note_gap(self.alias, self.subscription, self.gap[1])
            else:
                if self.entered is not None and self.entered[:2] == place[:2]:
                    place = place._replace(epoch=self.entered[2])
                place, following = self.choose(books, place)
        if place.epoch != before.epoch:
            Shard.objects.using(self.alias).filter(pk=self.id).update(epoch=place.epoch)
        if place.cursor != before.cursor:
            with connections[self.alias].cursor() as cursor:
                locks.move(cursor, self.id, place.cursor)
        if place.holds != before.holds:
            Shard.objects.using(self.alias).filter(pk=self.id).update(holds=place.holds)
        if following is not None and not self.leased:
            books.claimed.append(self.id)
        if following is None and self.leased:
            books.released.append(self.id)
        return Step(place, following)

    def is_known(self, log: tuple[str, int] | None) -> bool:
        """If not, nothing that was read is sent or passed, until this process has heard of the other
        server."""
        return log is None or (log[0] == self.state.epoch and log[1] >= self.span[2])

    def note(self, books: Books, job: Job, answer: Answer) -> None:
        books.deliveries.append(
            endpoints.delivery(
                self.endpoint, job.row.position, job.row.kind, job.id, job.attempt, answer
            )
        )
        books.used.add(self.endpoint.pk)

    def write(self, books: Books, job: Job, answer: Answer, place: locks.Place) -> locks.Place:
        standing = Standing(self.endpoint)
        verdict, is_culprit = standing.judge(job.row.position, job.held is not None, answer)
        standing.change(books.now, job.failures, job.row.position, answer, verdict, is_culprit)
        if verdict is Verdict.DELIVERED:
            books.well.add(self.endpoint.pk)
            if job.held is None:
                return place._replace(cursor=job.row.position)
            self.rows().filter(pk=job.held[0]).delete()
            holding.promote(self.alias, self.subscription, job.row.stream, books.now)
        else:
            books.well.discard(self.endpoint.pk)
            if verdict is Verdict.REFUSED or is_culprit:
                return self.hold(books, job, answer, place)
        return place

    def hold(self, books: Books, job: Job, answer: Answer, place: locks.Place) -> locks.Place:
        attempts = (job.held[1] if job.held else 0) + 1
        delay = next_delay(attempts, answer.retry_after)
        values = {
            "failed": True,
            "attempts": attempts,
            "parked": delay is None,
            "next_attempt_at": None if delay is None else books.now + round(delay * 1_000_000),
            "error": answer.told,
        }
        store.note_error(self.alias, self.subscription, answer.told)
        if job.held is not None:
            same = self.rows().filter(pk=job.held[0], attempts=job.held[1], parked=False)
            same.update(**values)
            return place
        [copy] = holding.copies(self.subscription, [job.row], **values)
        copy.save(using=self.alias, force_insert=True)
        return place._replace(cursor=job.row.position, holds=True)

    def choose(self, books: Books, place: locks.Place) -> tuple[locks.Place, Job | None]:
        """The next to send, and the place before it. New and held ones take turns; but a new one is
        the better probe, because a held one may be what the other side breaks at."""
        self.turn = not self.turn and not self.endpoint.failures
        job = self.due(books, place) if place.holds and self.turn else None
        if job is None:
            place, job = self.fresh(books, place)
        if job is None and place.holds and not self.turn:
            job = self.due(books, place)
        if job is not None and job.failures and not Standing(self.endpoint).claim(books.now, PROBE):
            return place, None
        if job is None and place.holds and not self.rows().exists():
            place = place._replace(holds=False)
        return place, job

    def due(self, books: Books, place: locks.Place) -> Job | None:
        mine = holding.in_shard(self.rows(), self.number, self.of)
        due = mine.filter(next_attempt_at__lte=books.now).order_by("next_attempt_at", "pk")
        found = list(due[:LOOK])
        self.nothing_due = not found
        for one in found:
            row = holding.as_row(one)
            if self.may_have(books, row):
                held = one.pk, one.attempts
                return self.job(row, place, one.attempts + 1, held)
            one.delete()
            holding.promote(self.alias, self.subscription, row.stream, books.now)
        return None

    def fresh(self, books: Books, place: locks.Place) -> tuple[locks.Place, Job | None]:
        epoch, start, scanned = self.span
        if place.epoch != epoch or not start <= place.cursor <= scanned:
            return place, None
        look = [row for row in self.ahead if row.position > place.cursor][:LOOK]
        blocked = set()
        if place.holds:
            blocked = holding.blocked(self.alias, self.subscription, look)
        behind: list[Row] = []
        cursor, job = place.cursor, None
        for row in look:
            if row.stream in blocked:
                behind.append(row)
            elif self.may_have(books, row):
                job = self.job(row, place._replace(cursor=cursor), self.endpoint.failures + 1)
                break
            cursor = row.position
        else:
            if len(look) < LOOK:
                cursor = scanned
        if behind:
            copies = holding.copies(self.subscription, behind)
            Held.objects.using(self.alias).bulk_create(copies)
        return place._replace(cursor=cursor), job

    def job(
        self, row: Row, place: locks.Place, attempt: int, held: tuple[int, int] | None = None
    ) -> Job:
        # By the name of the epoch that gave it its position. If another term has begun meanwhile, of
        # which this process has not heard, its place's own is as much as is known.
        known = self.state.epoch == place.epoch
        id = endpoints.id_of(row, self.state.epoch_at(row.position) if known else place.epoch)
        return Job(self, row, place, attempt, self.endpoint.failures, id, held)

    def may_have(self, books: Books, row: Row) -> bool:
        owner = self.endpoint.owner_id
        return owner is None or endpoints.may_have(self.log, books.user(owner), row)

    # After it

    def settled(self, step: Step) -> None:
        self.busy = step.job is not None
        self.leased = self.busy
        if step.place is not None:
            self.place = step.place

    def is_due(self, due: int | None, now: int) -> bool:
        return self.place.holds and not self.nothing_due and due is not None and due <= now
