"""`manage.py run_handlers`: one thread that looks what there is to do, and a few that do it.

    every second      where the handlers stand, by a statement or two for each database
    at a hint, or     where the logs stand
    POLL_INTERVAL
                      → a shard with entries after its cursor, or a held one that is due, goes to a
                        thread, which works on it for a turn

A shard that somebody else works on costs one statement now and then. Nothing here is relied on: what
a thread works on it looks at anew, under the shard's lock.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from django.db import connections
from django.db.backends.signals import connection_created

from .. import hints
from ..log import logs
from . import holding, locks, store, turn
from .hearing import Hearing
from .models import Shard, State
from .newest import Newest
from .pool import Pool
from .registry import drivers, handlers
from .samples import Sampler
from .shard import ShardWork, Step
from .spec import Spec, is_in
from .turn import ANYWHERE

logger = logging.getLogger("events")

# Seconds for which a thread works on one shard before others have their turn; between two looks at
# the handlers' rows; and until the next attempt at what somebody else works on, or what failed.
TURN = 0.5
REFRESH = 1.0
TAKEN = 0.3
TROUBLE = 1.0
# Seconds between two turns that ended as the database undid an attempt, which is none: each time
# twice as many, from the first to the last; and turns in a row until that is an error.
AGAIN, SELDOM = 0.1, 5.0
TOLD = 10
# Seconds between two looks in a burst of hints.
SPACING = 0.01
# Seconds until a cursor passes entries that its handler does not want.
PASS_BY = 0.5

Key = tuple[str, int]


@dataclass
class Task:
    """A shard as it was when its row was last read."""

    spec: Spec
    shard: Shard
    busy: bool = False
    not_before: float = 0.0
    worked: float = 0.0
    # Up to there is nothing for it.
    seen: int = 0
    # Positions of a batch that failed: they are tried one by one, in the turns that follow.
    alone: set[int] = field(default_factory=set)
    # Turns in a row that ended as the database undid an attempt.
    undone: int = 0


@dataclass
class Standing:
    newest: dict[str, Newest] = field(default_factory=dict)
    tasks: dict[Key, Task] = field(default_factory=dict)
    # By handler: microseconds of the log's clock.
    due: dict[str, int] = field(default_factory=dict)
    # Of each handler that is ours, its key and the hindmost of its cursors.
    cursors: list[tuple[Spec, int, int]] = field(default_factory=list)


class Runner:
    def __init__(self, names: Sequence[str], threads: int) -> None:
        self.names = names
        self.pool = Pool(threads)
        self.news = threading.Event()
        self.hearing = Hearing(self.hear)
        self.hinted = True
        self.looked = float("-inf")
        # Not an Event: it is set by a signal's handler, and this thread may hold the Event's lock.
        self.ending = False
        self.standing = Standing()
        self.refreshed = float("-inf")
        self.sampler = Sampler()
        self.told: set[str] = set()
        self.failure: BaseException | None = None

    def stop(self) -> None:
        """Finish the entries at hand, and end. For a signal's handler as well."""
        self.ending = True

    def run(self) -> None:
        hints.listen(self.hear)
        connection_created.connect(locks.keep_alive)
        ends = [driver.start(self.names) for driver in drivers]
        try:
            while not self.ending:
                pause = self.round()
                time.sleep(SPACING)
                self.news.wait(pause)
                self.news.clear()
        finally:
            for end in ends:
                end()
            hints.forget(self.hear)
            connection_created.disconnect(locks.keep_alive)
            self.hearing.close()
            self.pool.close()
            connections.close_all()
        if self.failure is not None:
            raise self.failure

    def hear(self, *hint: object) -> None:
        self.hinted = True
        self.news.set()

    def round(self) -> float:
        """Look, and hand out what there is to do; seconds until the next look."""
        try:
            self.look()
        except Exception:
            logger.warning(
                "Handlers: cannot look what there is to do; trying again.", exc_info=True
            )
            connections.close_all()
            self.hinted = True
            return TROUBLE
        now = time.monotonic()
        for task in self.standing.tasks.values():
            if not task.busy and task.not_before <= now and self.is_wanted(task):
                task.busy = True
                self.pool.submit(partial(self.work, task))
        return 0.0 if self.hinted else min(REFRESH, self.poll_interval)

    @property
    def poll_interval(self) -> float:
        followed = self.standing.newest
        return min((logs[log].settings.poll_interval for log in followed), default=REFRESH)

    def look(self) -> None:
        if time.monotonic() - self.refreshed > REFRESH:
            self.refresh()
            self.refreshed = time.monotonic()
        if self.hinted or time.monotonic() - self.looked >= self.poll_interval:
            # Before the look: a hint that comes meanwhile may be of what it does not see.
            self.hinted, self.looked = False, time.monotonic()
            for newest in self.standing.newest.values():
                newest.look()
                self.hinted = self.hinted or newest.is_behind
            self.sampler.look(self.lags())

    def lags(self) -> Iterator[tuple[str, int, int]]:
        for spec, key, cursor in self.standing.cursors:
            if known := self.standing.newest[spec.log].known:
                yield logs[spec.log].backend.alias, key, known.state.head - cursor

    def specs(self) -> dict[str, Spec]:
        known = {name: spec for name, spec in handlers.specs().items() if spec.driver is None}
        return {name: known[name] for name in self.names or known if name in known}

    def refresh(self) -> None:
        """Which handlers there are, and where they stand. The rows of one that is new are made."""
        specs = self.specs()
        for log in {spec.log for spec in specs.values()} - self.standing.newest.keys():
            self.standing.newest[log] = Newest(logs[log].backend)
            self.hearing.follow(logs[log].backend)
        tasks: dict[Key, Task] = {}
        cursors: list[tuple[Spec, int, int]] = []
        self.standing.due = holding.next_due(specs.values())
        for spec, found, shards in store.standing(specs.values()):
            if found.shards != spec.shards:
                if spec.name not in self.told:
                    logger.warning(
                        "Handler %r: others run it with %s shards, not with %s; it is left to them.",
                        spec.name, found.shards, spec.shards,
                    )  # fmt: skip
                self.told.add(spec.name)
                continue
            self.told.discard(spec.name)
            # One without shards was paused before it began, and has nothing to be behind of.
            cursor = min((shard.cursor for shard in shards), default=ANYWHERE)
            cursors.append((spec, found.pk, cursor))
            if found.state != State.RUNNING:
                continue
            if any(shard.holds for shard in shards):
                holding.free_deleted(spec)
            for shard in turn.workable(found, shards):
                key = spec.name, shard.pk
                old = self.standing.tasks.get(key)
                if old is not None and old.busy:
                    old.spec = spec
                    tasks[key] = old
                else:
                    before = (
                        (old.not_before, old.worked, old.seen, old.alone, old.undone) if old else ()
                    )
                    tasks[key] = Task(spec, shard, False, *before)
        self.standing.tasks, self.standing.cursors = tasks, cursors

    def is_wanted(self, task: Task) -> bool:
        spec, shard = task.spec, task.shard
        due = self.standing.due.get(spec.name)
        if shard.holds and due is not None and due <= logs[spec.log].backend.now():
            return True
        if shard.upto is not None:
            return shard.cursor < shard.upto
        known = self.standing.newest[spec.log].known
        if known is None or (shard.cursor, shard.epoch) == (known.state.head, known.state.epoch):
            return False
        since = max(shard.cursor, task.seen)
        rows = known.after(store.query(spec, since, shard.epoch))
        if rows is None or any(is_in(row.stream, shard.number, shard.of) for row in rows):
            return True
        # Only the cursor has to move, and that can wait.
        task.seen = known.end
        return time.monotonic() - task.worked > PASS_BY

    def work(self, task: Task) -> None:
        """A turn, in a thread."""
        deadline = time.monotonic() + TURN
        step = Step.BUSY
        try:
            read = self.standing.newest[task.spec.log].read
            work = turn.work_on(task.spec, task.shard, read=read, alone=task.alone)
            try:
                steps, step = turn.run_shard(work, deadline, lambda: self.is_over(deadline))
                self.put_off(task, work, step is Step.AGAIN and not steps)
            finally:
                task.shard.cursor, task.shard.epoch, task.shard.upto, task.shard.holds, _ = (
                    work.place
                )
        except Exception:
            logger.warning("Handler %r: cannot work; trying again.", task.spec.name, exc_info=True)
            connections.close_all()
            task.not_before = time.monotonic() + TROUBLE
        except BaseException as error:
            # A handler that ends the process: the entry is not done.
            self.failure = error
            self.stop()
        if step is Step.BUSY:
            task.not_before = max(task.not_before, time.monotonic() + TAKEN)
        if step is not Step.MOVED:
            self.refreshed = min(self.refreshed, time.monotonic() - REFRESH + TAKEN)
        task.worked = time.monotonic()
        task.busy = False
        self.news.set()

    def put_off(self, task: Task, work: ShardWork, undone: bool) -> None:
        """Try what the database undoes each time less and less often, and tell of it."""
        task.undone = task.undone + 1 if undone else 0
        if undone:
            pause = min(SELDOM, AGAIN * 2 ** min(task.undone - 1, TOLD))
            task.not_before = time.monotonic() + pause
        if task.undone == TOLD:
            logger.error(
                "%s: the database undoes every attempt at what follows position %s; trying again "
                "every %s s.", work.where, work.place.cursor, SELDOM,
            )  # fmt: skip

    def is_over(self, deadline: float) -> bool:
        return self.ending or time.monotonic() > deadline
