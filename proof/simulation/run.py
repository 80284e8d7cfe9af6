"""One run: everything goes wrong for a while; then nothing does, and the accounts are settled."""

import asyncio
import gc
import signal
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections

from events import logs
from events.live import broker

from .followers import Follower
from .loop import Spinning
from .sockets import Socket
from .sources import Source
from .substitutes import MAX_BACKOFF, RECONCILE, substituted
from .world import World
from .writers import Deeds, actors

# Seconds for what has to be done in between, when nothing is slow any more.
SOME = 0.3
# Seconds of computing in which a run is over, unless something in it spins without a turn.
MOST_SECONDS = 10


@dataclass
class Outcome:
    seed: int
    failure: BaseException | None
    trace: list
    turns: int


def run(seed, dials=None):
    world = World(seed, dials)
    # Channels would look at what an earlier test has left open, which is no part of this world.
    connections.close_all()
    # Whatever a collection finalizes would do so at a moment that no seed decides.
    gc.disable()
    try:
        with substituted(world) as watch, bounded(world):
            live(world, watch)
    finally:
        gc.enable()
    return Outcome(seed, world.failure, world.trace, world.loop.turns)


@contextmanager
def bounded(world):
    def give_up(number, frame):
        world.failure = Spinning("more seconds than any run should need")
        raise world.failure

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def live(world, watch):
    loop = world.loop
    try:
        loop.run_until_complete(until_failure(world, script(world, watch)))
    except Exception as error:
        world.note("loop", repr(error))
        world.failure = world.failure or error
    finally:
        asyncio.set_event_loop(None)
        bury(loop)


def bury(loop):
    """Whoever is left is cancelled, and not waited for for long."""
    loop.turns = 0
    for _ in range(20):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.sleep(1))
        except Exception:
            break
    broker._brokers.pop(loop, None)
    loop.set_exception_handler(lambda loop, context: None)
    loop.close()


async def until_failure(world, script):
    task = asyncio.ensure_future(script)
    while not task.done() and world.failure is None:
        await asyncio.wait([task], timeout=0.5)
    if task.done():
        await task


async def script(world, watch):
    world.note("world", str(world.dials))
    world.left = asyncio.Event()
    log, dials = logs["default"], world.dials
    deeds = Deeds(world, log)
    readers = [
        kind(world, log, number)
        for kind, count in (
            (Follower, dials.followers),
            (Socket, dials.sockets),
            (Source, dials.sources),
        )
        for number in range(count)
    ]
    tasks = [asyncio.ensure_future(one) for one in actors(world, deeds)]
    tasks += [asyncio.ensure_future(reader.run()) for reader in readers]
    await asyncio.sleep(dials.span)
    await calm(world)
    for part in (catch_up, poll, reconcile):
        # Who comes back in the middle of it has first to read what there is.
        since = world.now() - reading_takes(world)
        await part(world, deeds)
        for reader in readers:
            reader.settled(since)
    readers += await newcomers(world, log)
    world.left.set()
    await asyncio.wait(tasks)
    for task in tasks:
        await task
    await asyncio.gather(*(reader.task for reader in readers if hasattr(reader, "task")))
    await nobody(world, watch)


async def calm(world):
    """No more faults; who is in the middle of one may finish."""
    world.note("world", "calm")
    world.is_faulty = False
    world.loop.slowness = 0.01
    await asyncio.sleep(max(world.dials.span, world.loop.backlog()))


async def catch_up(world, deeds):
    """After the longest pause that anybody makes."""
    await asyncio.sleep(MAX_BACKOFF + RECONCILE + 2 * world.dials.poll_interval + SOME)


async def poll(world, deeds):
    """Without a hint it takes the interval, and no more."""
    world.note("world", "no hints")
    world.hints_go = False
    for deed in (deeds.write, deeds.write, deeds.lead, deeds.delete, deeds.write):
        deed()
    await asyncio.sleep(world.dials.poll_interval + SOME)


async def reconcile(world, deeds):
    """A stream ends and no event says so."""
    deeds.end_silently()
    await asyncio.sleep(RECONCILE + 2 * world.dials.poll_interval + SOME)


async def newcomers(world, log):
    """They are given what is there, all of it and nothing else, at once."""
    readers = []
    for number in range(3):
        reader = Follower(world, log, f"-new{number}")
        reader.task = asyncio.ensure_future(reader.stay())
        readers.append(reader)
    since = world.now()
    await asyncio.sleep(SOME + reading_takes(world))
    for reader in readers:
        reader.settled(since)
    return readers


def reading_takes(world):
    """Seconds, at the most: a page may be a single row."""
    return 2 * world.loop.slowness * world.ledger.head


async def nobody(world, watch):
    """All have left: nothing of them may stay."""
    await asyncio.sleep(world.dials.linger + 2 * world.dials.poll_interval + SOME)
    tasks = [task for task in asyncio.all_tasks() if "until_failure" not in repr(task)]
    tasks.remove(asyncio.current_task())
    world.require(not tasks, "end", "tasks stay", tasks)
    world.require(world.loop not in broker._brokers, "end", "a broker stays")
    for one in watch.brokers:
        held = [one.wakes, one.asking, one.pager.reads, one.window.topics]
        held += [one.streams.followers, one.streams.known, one.streams.deleted]
        world.require(not any(map(len, held)), "end", "something stays", held)
