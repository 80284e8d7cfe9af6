"""Processes that do the wrong thing at the worst moment."""

import os
import signal
import time
from contextlib import suppress

from django.db import DatabaseError, connection, transaction

from events import emit, logs
from events.backends.base import DELETE_BATCH
from events.backends.database.dialects import dialect_of
from events.backends.database.ledger import Ledger
from events.backends.database.sequencer import Sequencer

from .plan import Block, Planner, shared
from .record import OK, ROLLED_BACK, Event, Op
from .writer import carry_out, finish

# Between two statements of an append: after the streams, and after all but the head itself.
MIDDLES = {
    "entries": (type(dialect_of(connection)), "insert_events"),
    "head": (Ledger, "save"),
    # Of the thread that sequences, before it has looked.
    "turn": (Sequencer, "_serve"),
}

VICTIM = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE 'writer%%' "
    "ORDER BY random() LIMIT 1"
)


def dies_after_commit(job):
    """Is gone between the COMMIT and the hook that would have sequenced its events."""
    job.wait_for_go()
    carry_out(job, f"{job.name}-op-1", "direct", own_event(job))
    op = begin(job, number=2)

    def die():
        end(job, op, OK)
        os.kill(os.getpid(), signal.SIGKILL)

    with transaction.atomic():
        transaction.on_commit(die)
        emit_all(job, op)


def dies_before_commit(job):
    """Is gone when all is said but the COMMIT."""
    op = begin(job)
    with transaction.atomic():
        emit_all(job, op)
        end(job, op, ROLLED_BACK)
        os.kill(os.getpid(), signal.SIGKILL)


def dies_in_the_ledger(job):
    """Is gone in the middle of an append of its own, with the head locked."""
    op = begin(job, shape="many")

    def die(ledger):
        end(job, op, ROLLED_BACK)
        os.kill(os.getpid(), signal.SIGKILL)

    Ledger.save = die
    logs[job.log_name].append_many([event.item() for event in op.events])


def stops(job):
    """Stands still in the middle of an append, with the head locked, until somebody wakes it."""
    job.wait_for_go()
    stop_before(*MIDDLES[job.options["before"]])
    carry_out(job, f"{job.name}-op-1", "many", some_events(job))


def stops_in_the_background(job):
    """Has committed, and stands still, all of it, while its thread sequences that."""
    job.wait_for_go()
    stop_before(*MIDDLES[job.options["before"]])
    carry_out(job, f"{job.name}-op-1", "atomic", Block(some_events(job)))


def stop_before(owner, name):
    """Stop this process when it first comes to a method; go on with that once awake."""
    method = getattr(owner, name)

    def stop_once(*arguments):
        setattr(owner, name, method)
        os.kill(os.getpid(), signal.SIGSTOP)
        return method(*arguments)

    setattr(owner, name, stop_once)


def sits(job):
    """Has emitted in a transaction, and keeps that open for some seconds and until told to stop."""
    job.wait_for_go()
    carry_out(job, f"{job.name}-op-1", "direct", own_event(job))
    op = begin(job, number=2, events=[*some_events(job), shared(0), shared(1)])
    with transaction.atomic():
        emit_all(job, op)
        job.say("sitting")
        time.sleep(job.options["seconds"])
        job.stop.wait()
    end(job, op, OK)


def takes_back(job):
    """Emits in a savepoint, takes that back, and emits again in the same transaction."""
    job.wait_for_go()
    lost, *kept = some_events(job)
    carry_out(job, f"{job.name}-op-1", "atomic", Block([Block([lost], undo=True), *kept]))


def prunes(job):
    """Leaves a few entries, now and then."""
    job.wait_for_go()
    sizes = job.options.get("batches", [DELETE_BATCH])
    # While others stop the database, it may fail; otherwise never.
    passing = [DatabaseError] if job.options.get("patient") else []
    while not job.stop.wait(job.rng.uniform(0.02, 0.1)):
        with suppress(*passing):
            most = job.rng.choice([5, 30, 100])
            logs[job.log_name].prune(max_entries=most, batch_size=job.rng.choice(sizes))


def terminates(job):
    """Cuts the connections of writers, at random."""
    job.wait_for_go()
    while not job.stop.wait(job.rng.uniform(0.02, 0.1)):
        with connection.cursor() as cursor:
            cursor.execute(VICTIM)


def own_event(job):
    return Event(f"{job.name}-0", "note.added", "run-1")


def some_events(job):
    planner = Planner(job.rng, job.name, keys=False)
    return [planner.event() for _ in range(5)]


def begin(job, number=1, shape="atomic", events=None):
    if number == 1:
        job.wait_for_go()
    op = Op(f"{job.name}-op-{number}", shape, events or some_events(job), start=time.monotonic())
    job.write(op)
    return op


def emit_all(job, op):
    for event in op.events:
        event.start = time.monotonic()
        event.position = emit(**event.item(), log=job.log_name).position


def end(job, op, outcome):
    op.outcome = outcome
    finish(op)
    job.write(op)
