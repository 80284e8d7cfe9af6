"""How one process delivers to thousands of endpoints.

One thread knows the database, and one the network (`sending`); whatever passes between them is a
job on its way out, or an answer on its way back.

    every second    where the endpoints stand, by a few statements; and the leases are renewed
    at a hint, or   where the logs stand, and which lines want what is new
    POLL_INTERVAL
                    → all answers that have come, and as many lines as may begin, take their step in
                      one transaction; then the jobs go out

So one commit serves many endpoints, a cursor is written before the next event of its line is sent,
and a line that is killed has at most one answer that nobody wrote down.
"""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import Min

from .. import hints
from ..handlers import holding, locks, store, turn
from ..handlers.hearing import Hearing
from ..handlers.models import Held, Shard, State
from ..handlers.newest import Newest
from ..handlers.samples import Sampler
from ..handlers.spec import Spec
from ..log import logs
from ..types import to_micros
from . import conf, endpoints, pruning
from .index import Index
from .line import Answered, Books, Job, Line
from .models import Endpoint
from .verdicts import Verdict

if TYPE_CHECKING:
    from .sending import Sender

logger = logging.getLogger("events")

# Seconds between two looks at the rows of endpoints; until a line is tried again on which somebody
# else works; and after trouble.
REFRESH = 1.0
TAKEN = 0.3
TROUBLE = 1.0
# Seconds until the cursors of lines pass what these do not want.
PASS_BY = 2.0
# Seconds that an ending process waits for a database, beyond what a delivery may take; and attempts
# of a pass to write.
LAST_PATIENCE = 5.0
ATTEMPTS = 20
# Steps in one transaction.
MOST = 200
# Beyond all positions.
ANYWHERE = 2**62


class Courier:
    """Over all active endpoints, or those whose handlers are named."""

    def __init__(self, names: Sequence[str] = (), until: dict[str, int] | None = None) -> None:
        self.names = names
        self.until = until or {}
        # Says, in the shards' rows, that this process works on them.
        self.token = secrets.randbits(62)
        self.events: SimpleQueue[Answered | None] = SimpleQueue()
        self._sender: Sender | None = None
        self.lines: dict[tuple[str, int], Line] = {}
        self.ready: tuple[deque[Line], deque[Line]] = (deque(), deque())
        self.answers: deque[Answered] = deque()
        self.newest: dict[str, Newest] = {}
        self.index = Index()
        self.due: dict[int, int] = {}
        self.refreshed = self.passed = self.looked = float("-inf")
        self.hinted = True
        self.ending = False
        self.deadline = float("inf")
        self.sampler = Sampler()
        self.steps = 0
        self.failed: list[Answered] = []
        self.troubles = 0

    # Its life

    def run(self) -> None:
        """Until `stop`; what is under way then is waited for."""
        hearing = Hearing(self.hear)
        hints.listen(self.hear)
        try:
            while not self.ending or (self.is_busy and time.monotonic() < self.deadline):
                self.safely(hearing)
        finally:
            hints.forget(self.hear)
            hearing.close()
            self.close()
            connections.close_all()

    def safely(self, hearing: Hearing) -> None:
        try:
            self.round()
            for log in self.newest:
                hearing.follow(logs[log].backend)
            self.collect(self.pause())
        except Exception:
            logger.warning("Webhooks: cannot work; trying again.", exc_info=True)
            connections.close_all()
            self.hinted = True
            time.sleep(TROUBLE)

    def once(self, stopping: Callable[[], bool]) -> int:
        """What is due now, up to the heads as they are; how many steps that took."""
        try:
            self.round()
            while self.is_busy or any(self.ready):
                self.ending = self.ending or stopping()
                self.collect(self.pause())
                self.round()
                if self.troubles > ATTEMPTS:
                    raise RuntimeError("The database does not take what was answered.")
            self.pass_by()
        finally:
            self.close()
        return self.steps

    def hear(self, *hint: object) -> None:
        if not self.hinted:
            self.hinted = True
            self.events.put(None)

    def stop(self) -> None:
        self.deadline = time.monotonic() + conf.seconds("TIMEOUT") + LAST_PATIENCE
        self.ending = True
        self.events.put(None)

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()

    @property
    def sender(self) -> "Sender":
        """Whose thread begins with the first event that is to be sent."""
        if self._sender is None:
            # Not above: httpx is a fifth of a second, which no other command should wait for.
            from .sending import Sender

            self._sender = Sender(lambda job, answer: self.events.put((job, answer)))
        return self._sender

    @property
    def is_busy(self) -> bool:
        return bool(self.answers) or any(line.busy for line in self.lines.values())

    def pause(self) -> float:
        if self.answers or (any(self.ready) and self.free > 0 and not self.ending):
            return 0.0
        polls = (logs[log].settings.poll_interval for log in self.newest)
        return min([REFRESH / 2, *polls])

    def collect(self, seconds: float) -> None:
        """Wait for an answer or a hint, and take all that have come."""
        try:
            found = self.events.get(timeout=seconds) if seconds else self.events.get_nowait()
            while True:
                if found is not None:
                    self.answers.append(found)
                found = self.events.get_nowait()
        except Empty:
            pass

    # A round

    def round(self) -> None:
        now = time.monotonic()
        if now - self.refreshed > REFRESH:
            self.refresh()
            self.refreshed = now
        if self.hinted or now - self.looked >= REFRESH / 4:
            self.hinted, self.looked = False, now
            self.look()
        if now - self.passed > PASS_BY:
            self.pass_by()
            self.passed = now
        self.settle()

    def refresh(self) -> None:
        """Which endpoints there are, where they stand, and that we still work on ours."""
        self.renew()
        known = {one.handler_name: one for one in endpoints.active()}
        names = [name for name in self.names or known if name in known]
        specs = [spec_of(known[name]) for name in names]
        for log in {spec.log for spec in specs} - self.newest.keys():
            self.newest[log] = Newest(logs[log].backend)
            self.newest[log].look()
        lines: dict[tuple[str, int], Line] = {}
        lags: list[tuple[str, int, int]] = []
        for spec, found, shards in store.standing(specs):
            newest = self.newest[spec.log].known
            if shards and newest:
                lag = newest.state.head - min(shard.cursor for shard in shards)
                lags.append((found._state.db or "", found.pk, lag))
            if found.state == State.RUNNING and found.shards == spec.shards:
                if any(shard.holds for shard in shards):
                    holding.free_deleted(spec)
                for shard in turn.workable(found, shards):
                    line = self.line(known[spec.name], shard)
                    lines[line.key] = line
        for key, line in self.lines.items():
            line.closed = key not in lines
            if line.closed and line.busy:
                lines[key] = line
        self.lines = lines
        self.index = Index(lines.values())
        self.due = self.next_due()
        for line in lines.values():
            self.want(line)
        if not self.until:
            self.sampler.look(lags)
        pruning.prune_now_and_then()

    def line(self, endpoint: Endpoint, shard: Shard) -> Line:
        """The one that there is, with what is new about it; or a new one."""
        query = endpoints.query_of(endpoint)
        line = self.lines.get((endpoint._state.db or "", shard.pk))
        if line is None or line.of != shard.of or line.log.name != endpoint.log:
            return Line(endpoint, query, shard)
        line.endpoint, line.nothing_due = endpoint, False
        if line.query != query:
            line.query, line.span, line.nothing = query, ("", 0, 0), ("", 0, 0)
        if not line.busy:
            line.place = locks.Place(shard.cursor, shard.epoch, shard.upto, shard.holds)
        return line

    def next_due(self) -> dict[int, int]:
        """When the first held event of each is to be tried, in microseconds."""
        due: dict[int, int] = {}
        for alias, some in self.by_alias(self.lines.values()).items():
            holding_some = {line.subscription for line in some if line.place.holds}
            rows = Held.objects.using(alias).filter(
                subscription__in=holding_some, next_attempt_at__isnull=False
            )
            firsts = rows.values_list("subscription").annotate(Min("next_attempt_at"))
            due.update({subscription: to_micros(first) for subscription, first in firsts})
        return due

    def renew(self) -> None:
        for alias, some in self.by_alias(self.leased()).items():
            shards = Shard.objects.using(alias).filter(token=self.token)
            ours = shards.filter(pk__in=[line.id for line in some])
            ours.update(lease_until=locks.lease_end())

    def leased(self) -> list[Line]:
        return [line for line in self.lines.values() if line.leased]

    def look(self) -> None:
        """What is new in the logs, and who wants it."""
        for log, newest in self.newest.items():
            before = newest.known.end if newest.known else 0
            newest.look()
            self.hinted = self.hinted or newest.is_behind
            known = newest.known
            if known is not None and known.end > before:
                rows = known.after(self.index.everything(log, before, known.state.epoch))
                for line in self.index.wanting(log, rows):
                    self.enqueue(line)

    def want(self, line: Line) -> None:
        if not (line.busy or line.queued or line.closed) and self.is_wanted(line):
            self.enqueue(line)

    def enqueue(self, line: Line) -> None:
        if line.busy or line.queued or line.closed or line.not_before > time.monotonic():
            return
        if self.is_resting(line.endpoint, line):
            return
        line.queued = True
        self.ready[line.is_slow].append(line)

    @staticmethod
    def is_resting(endpoint: Endpoint, line: Line) -> bool:
        due = endpoint.next_attempt_at
        return due is not None and to_micros(due) > line.log.backend.now()

    def is_wanted(self, line: Line) -> bool:
        if line.is_due(self.due.get(line.subscription), line.log.backend.now()):
            return True
        known, place = self.newest[line.log.name].known, line.place
        end = min(place.upto or ANYWHERE, self.until.get(line.log.name, ANYWHERE))
        if known is None or place.cursor >= end:
            return False
        if place.epoch != known.state.epoch or place.cursor > known.state.head:
            return True
        return self.index.is_wanted(line, known)

    # Steps

    @property
    def free(self) -> int:
        return int(conf.get("CONCURRENCY")) - sum(line.busy for line in self.lines.values())

    def settle(self) -> None:
        """Steps of all lines that have an answer, and of as many as may begin."""
        troubles = self.troubles
        answered = [self.answers.popleft() for _ in range(min(len(self.answers), MOST))]
        had = {job.line.key: (job, answer) for job, answer in answered}
        for job, answer in answered:
            # It waits for its turn like all others.
            line = job.line
            line.milliseconds = answer.milliseconds
            line.busy, line.queued = False, not line.closed
            if line.queued:
                self.ready[line.is_slow].append(line)
            if answer.verdict is not Verdict.DELIVERED:
                self.failed.append((job, answer))
        begin = [] if self.ending else self.next_ones()
        lines = {line.key: line for line in begin}
        lines |= {job.line.key: job.line for job, _ in answered}
        for alias, some in self.by_alias(lines.values()).items():
            self.steps_of(alias, some, had, {line.key for line in begin})
        if self.troubles > troubles:
            # Not at once again, when nothing else may help either.
            connections.close_all()
            time.sleep(TAKEN)

    def next_ones(self) -> list[Line]:
        """Lines that begin now. Those whose other side is slow, or silent, have half of the places
        at most."""
        most = int(conf.get("CONCURRENCY"))
        busy = [line for line in self.lines.values() if line.busy]
        free, slow = most - len(busy), sum(line.is_slow for line in busy)
        found: list[Line] = []
        quick, slowly = self.ready
        while quick and len(found) < min(free, MOST):
            found.append(quick.popleft())
        while slowly and len(found) < min(free, MOST) and slow < max(1, most // 2):
            found.append(slowly.popleft())
            slow += 1
        for line in found:
            line.queued = False
        # One that is busy has an answer that the database would not have.
        return [line for line in found if not (line.closed or line.busy)]

    def steps_of(
        self,
        alias: str,
        lines: list[Line],
        had: dict[tuple[str, int], Answered],
        begin: set[tuple[str, int]],
    ) -> None:
        known = {id(line.endpoint): (line.endpoint, {**vars(line.endpoint)}) for line in lines}
        try:
            for line in lines:
                if line.key in begin:
                    until = self.until.get(line.log.name, ANYWHERE)
                    line.look_ahead(self.newest[line.log.name].read, until)
            self.transact(alias, lines, had, begin)
        except Exception as error:
            # What the steps have noted in them was not committed.
            for endpoint, values in known.values():
                vars(endpoint).update(values)
            logger.info("Webhooks: a step of %s lines is repeated: %s", len(lines), error)
            if len(lines) == 1:
                self.trouble(lines[0], had, error)
                return
            for line in lines:
                self.steps_of(alias, [line], had, begin)

    def transact(
        self,
        alias: str,
        lines: list[Line],
        had: dict[tuple[str, int], Answered],
        begin: set[tuple[str, int]],
    ) -> None:
        books = Books(alias, self.token, lines[0].log.backend.now())
        with transaction.atomic(using=alias):
            steps = [
                (line, line.step(books, had.get(line.key), line.key in begin))
                for line in sorted(lines, key=lambda line: line.id)
            ]
            books.write()
        for line, step in steps:
            line.settled(step)
            self.steps += line.key in had
            if step.place is None:
                line.not_before = time.monotonic() + TAKEN
            if step.job is not None:
                self.post(step.job)
            elif line.key in begin:
                if self._sender is not None:
                    self._sender.forget(line.key)
                self.want(line)

    def trouble(self, line: Line, had: dict[tuple[str, int], Answered], error: Exception) -> None:
        """The database would not have it. What was answered is written when it will."""
        line.not_before = time.monotonic() + TROUBLE
        self.troubles += 1
        if line.key not in had:
            return
        if isinstance(error, OperationalError | InterfaceError):
            # The lease is kept, and the line waits with it.
            line.busy, line.queued = True, False
            self.answers.append(had[line.key])
            return
        logger.error("Webhooks: an answer of %s cannot be kept.", line.endpoint, exc_info=error)
        line.not_before = time.monotonic() + 60 * TROUBLE

    def post(self, job: Job) -> None:
        message = endpoints.message_of(job.line.endpoint, job.row, job.place.epoch)
        self.sender.send(job.line.key, message, job)

    def pass_by(self) -> None:
        """Move the cursors of idle lines past what they do not want: one statement for those that
        stand at one place."""
        groups: dict[tuple[str, str, int, int], list[Line]] = {}
        for line in self.lines.values():
            idle = not (line.busy or line.queued or line.closed) and line.place.upto is None
            if idle and line.passed > line.place.cursor:
                place = line.alias, line.place.epoch, line.place.cursor, line.passed
                groups.setdefault(place, []).append(line)
        for (alias, epoch, cursor, end), lines in groups.items():
            still = Shard.objects.using(alias).filter(
                locks.FREE, pk__in=[line.id for line in lines],
                cursor=cursor, epoch=epoch, upto=None,
            )  # fmt: skip
            if still.update(cursor=end) == len(lines):
                for line in lines:
                    line.place = line.place._replace(cursor=end)

    @staticmethod
    def by_alias(lines: Iterable[Line]) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in lines:
            found.setdefault(line.alias, []).append(line)
        return found


class Driver:
    """Has a courier of its own for each runner."""

    def start(self, names: Sequence[str]) -> Callable[[], object]:
        courier = Courier(names)
        thread = threading.Thread(target=courier.run, name="events-courier")
        thread.start()

        def end() -> None:
            courier.stop()
            thread.join()

        return end

    def run_now(self, specs: Sequence[Spec], *, raising: bool, stopping: Callable[[], bool]) -> int:
        if not specs:
            return 0
        heads = {log: store.log_state(logs[log].backend).head for log in {s.log for s in specs}}
        courier = Courier([spec.name for spec in specs], heads)
        steps = courier.once(stopping)
        if raising and courier.failed:
            job, answer = courier.failed[0]
            raise RuntimeError(f"{job.line.endpoint}: {answer.told}")
        return steps


driver = Driver()


def spec_of(endpoint: Endpoint) -> Spec:
    """An endpoint as the handlers' app knows it."""
    return Spec(
        name=endpoint.handler_name,
        function=print,
        kind=tuple(endpoint.kinds) or None,
        log=endpoint.log,
        since="latest",
        stream=None,
        shards=endpoint.parallel,
        batch=1,
        atomic=False,
        retry=tuple(conf.get("RETRY")),
        on_gap="stop",
        driver=driver,
    )
