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
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connections, transaction

from .. import hints
from ..handlers import store
from ..handlers.hearing import Hearing
from ..handlers.spec import Spec
from ..log import logs
from . import conf, endpoints
from .line import Answered, Books, Job, Line
from .models import Endpoint
from .roster import ANYWHERE, MOST, Roster
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


class Courier(Roster):
    """Over all active endpoints, or those whose handlers are named."""

    def __init__(self, names: Sequence[str] = (), until: dict[str, int] | None = None) -> None:
        super().__init__(until or {})
        self.names = names
        self.events: SimpleQueue[Answered | None] = SimpleQueue()
        self._sender: Sender | None = None
        self.answers: deque[Answered] = deque()
        self.refreshed = self.passed = self.looked = float("-inf")
        self.ending = False
        self.deadline = float("inf")
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
            known = {one.handler_name: one for one in endpoints.active()}
            names = [name for name in self.names or known if name in known]
            self.refresh(known, [spec_of(known[name]) for name in names])
            self.refreshed = now
        if self.hinted or now - self.looked >= REFRESH / 4:
            self.hinted, self.looked = False, now
            self.look()
        if now - self.passed > PASS_BY:
            self.pass_by()
            self.passed = now
        self.settle()

    # Steps

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
                    line.look_ahead(self.newest[line.log.name], until)
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
        message = endpoints.message_of(job.line.endpoint, job.row, job.id)
        self.sender.send(job.line.key, message, job)


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
