"""The one reader of a log in an event loop, for all that follow it there.

However many follow, what is new is read once. The broker looks when it is hinted and every
POLL_INTERVAL, because an event may come from a process that can give no hint. It never infers
from a hint: it reads. What it finds goes into the window, which wakes those whom it concerns.

    hint, or time is up ──> look ──> window ──> the tails that it concerns
                              └────> streams ──> the tails whose stream has ended

A broker that ends while somebody follows, whatever the reason, is logged and works again.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context

from .. import hints
from ..backends.base import BaseBackend
from ..cursors import Query, Rows, State
from ..internals import loop_has_sync_caller
from ..threads import Registry, StoreThread, forget, here
from ..types import StreamInfo
from .followed import Streams
from .group import listen
from .pager import Backoff, Pager
from .waking import Wake, wake_all
from .window import Window

logger = logging.getLogger("events")

# Seconds without a follower after which the broker stops and gives its connections back.
LINGER = 5.0
# Seconds between looks at all the streams that are followed, whatever their events say.
RECONCILE = 2.0
# Rows in one look.
LOOK = 500
# Seconds from the end of a broker that is still followed to its next beginning. A loop that ends
# all its tasks is closed by then.
REVIVE = 0.1


class Broker:
    """Reads after its window's `position`. `turn` counts how often it had to start anew."""

    def __init__(self, backend: BaseBackend) -> None:
        self.backend = backend
        self.settings = backend.settings
        self.state = State(0, 0, "")
        self.looked = self.partial = False
        self.turn = 0
        self.window = Window(backend.settings.window, 0)
        self.streams = Streams()
        self.hinted = asyncio.Event()
        self.wakes: set[Wake] = set()
        self.asking: list[asyncio.Future[None]] = []
        self.task: asyncio.Task[None] | None = None
        self.backoff = Backoff(backend.name, self.settings.poll_interval)
        self.looker = self._thread("look")
        self.pager = Pager(backend, self._thread("page"), lambda: self.turn)

    def _thread(self, name: str) -> StoreThread:
        # In a test, the transaction is the calling thread's, and only there it can be read.
        return StoreThread(
            f"events-{name}-{self.backend.name}",
            beside_pool=self.backend.alias,
            in_callers_thread=loop_has_sync_caller(),
        )

    @contextmanager
    def followed(self, query: Query, wake: Wake) -> Iterator[None]:
        """Keep this broker at work for a follower."""
        self.wakes.add(wake)
        self._start()
        try:
            with self.streams.followed(query.stream):
                yield
        finally:
            self.wakes.discard(wake)

    async def look(self) -> None:
        """Wait until what is known is not older than this call."""
        future = asyncio.get_running_loop().create_future()
        self.asking.append(future)
        self.hinted.set()
        await future

    def _start(self) -> None:
        """Work, if somebody follows and no task does."""
        if self.task is None and (self.wakes or self.asking):
            loop = asyncio.get_running_loop()
            # An empty context: the broker belongs to no request.
            self.task = loop.create_task(self._work(), context=Context())
            self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody follows any more; or the task failed, or was cancelled by somebody else."""
        self.task = None
        self.looker.close()
        self.pager.thread.close()
        if task.cancelled() or task.exception() is not None:
            task.get_loop().call_later(REVIVE, self._revive, task.cancelled())

    def _revive(self, was_cancelled: bool) -> None:
        if was_cancelled and (self.wakes or self.asking):
            logger.error("The broker of log %r was ended, and begins again.", self.backend.name)
        self._start()
        if self.task is None:
            forget(_brokers, self.backend.name, self)

    async def _work(self) -> None:
        """Look, sleep until a hint or the interval, and stop when nobody follows for a while."""
        loop = asyncio.get_running_loop()
        listener = loop.create_task(listen(self.backend, self.hinted.set))
        idle_since = reconciled = loop.time()
        try:
            while self.wakes or self.asking or loop.time() - idle_since < LINGER:
                if self.wakes:
                    idle_since = loop.time()
                if loop.time() - reconciled > RECONCILE:
                    self.streams.doubtful.update(self.streams.followers)
                    reconciled = loop.time()
                pause = await self._round()
                if pause:
                    await self._sleep(pause)
            forget(_brokers, self.backend.name, self)
        except Exception:
            # What was read may be taken in by half: followers read the log, and the window begins
            # anew at its head.
            logger.exception("The broker of log %r failed, and begins again.", self.backend.name)
            self.turn, self.looked = self.turn + 1, False
            self.window.restart(self.window.position)
            self.streams.doubtful.update(self.streams.followers)
            raise
        finally:
            listener.cancel()

    async def _round(self) -> float:
        """One look, told to those who asked for it: seconds until the next."""
        asking, self.asking = self.asking, []
        names = self.streams.take_doubtful()
        epoch = self.state.epoch
        answered = False
        try:
            try:
                found, infos = await self.looker.run(self._look, names)
            except Exception:
                return self.backoff.failed()
            self.backoff.succeeded()
            self._take(found)
            self._learn(names, infos)
            if epoch and epoch != self.state.epoch:
                # The streams may be those of the log before: nobody is answered with them.
                self.streams.start_anew()
                return 0
            self.streams.epoch, answered = self.state.epoch, True
        finally:
            if not answered:
                self.asking[:0] = asking
                self.streams.doubtful.update(names)
        for future in asking:
            if not future.done():
                future.set_result(None)
        more = self.asking or self.streams.doubtful or not found.caught_up
        return 0 if more else self.settings.poll_interval

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            # Not wait_for(): before Python 3.12 it swallows a cancellation now and then.
            async with asyncio.timeout(seconds):
                await self.hinted.wait()
        self.hinted.clear()

    def _look(self, names: Sequence[str]) -> tuple[Rows, dict[str, StreamInfo]]:
        """In the thread: how streams stand, and then what is new, so that all the events of a
        stream that has ended are in what is known."""
        infos = self.backend.find_streams(names) if names else {}
        if not self.looked:
            return self.backend.read(Query(since="latest", limit=0)), infos
        query = Query(since=self.window.position, limit=LOOK, epoch=self.state.epoch, careful=True)
        return self.backend.read(query), infos

    def _take(self, found: Rows) -> None:
        self.state, self.partial = found.state, found.partial
        if found.gap is not None or not self.looked:
            # Pruned away under us, flushed or restored: what the window knows is worth nothing.
            # On from the head: those who wait for what comes must not wait for a whole log.
            self.turn += self.looked
            self.looked = True
            self.window.restart(found.state.head)
            wake_all(self.wakes)
            return
        self.streams.suspect(found.rows)
        self.window.extend(found.rows, found.cursor)

    def _learn(self, names: Sequence[str], infos: dict[str, StreamInfo]) -> None:
        for stream in self.streams.learn(names, infos, self.window.position):
            for topic in self.window.topics.get(stream, {}).values():
                topic.wake()


_brokers: Registry[Broker] = {}

if hasattr(os, "register_at_fork"):
    # The loops are the parent's. In a child nobody runs them, and what they are told piles up.
    os.register_at_fork(after_in_child=_brokers.clear)


def broker_for(backend: BaseBackend) -> Broker:
    """The running loop's broker for a log."""
    hints.listen(wake)
    brokers = here(_brokers)
    broker = brokers.get(backend.name)
    if broker is None or broker.backend is not backend:
        broker = brokers[backend.name] = Broker(backend)
    return broker


def wake(log: str, head: int) -> None:
    """Have every broker of a log look now. From any thread."""
    for loop, brokers in list(_brokers.items()):
        broker = brokers.get(log)
        if broker is not None and not loop.is_closed():
            loop.call_soon_threadsafe(broker.hinted.set)


def followers(log: str) -> int:
    """How many follow a log in this process."""
    found = [brokers.get(log) for brokers in list(_brokers.values())]
    return sum(len(broker.wakes) for broker in found if broker is not None)
