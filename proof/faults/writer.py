"""A process that emits in every way there is, and writes down what became of each op."""

import asyncio
import copy
import os
import random
import signal
import threading
import time
from itertools import count

from django.db import (
    DatabaseError,
    InterfaceError,
    close_old_connections,
    connections,
    transaction,
)

from events import aemit, emit, emit_many, logs
from events.exceptions import EventsError, LogBusy

from .plan import VERBS, Block, Burst, Planner, events_of
from .record import FAIL, OK, ROLLED_BACK, UNKNOWN, Event, Op

NO_ANSWER = (DatabaseError, InterfaceError)


class Undo(Exception):
    """Roll a block back."""


def run(job):
    """Emit until the ops, the seconds or the life that this writer was given are over."""
    job.wait_for_go()
    if "dies_within" in job.options:
        die_after(job.rng.uniform(0.05, job.options["dies_within"]))
    extra = [
        threading.Thread(target=write, args=(twin_of(job, number),), daemon=True)
        for number in range(2, job.options.get("threads", 1) + 1)
    ]
    for thread in extra:
        thread.start()
    write(job)
    for thread in extra:
        thread.join()


def twin_of(job, number):
    """The job of another thread in this process: the same, with a name and a die of its own."""
    twin = copy.copy(job)
    twin.name = f"{job.name}.{number}"
    twin.rng = random.Random(f"{job.options['seed']}-{twin.name}")
    return twin


def write(job):
    known = {name: job.options[name] for name in ("keys", "shapes") if name in job.options}
    planner = Planner(job.rng, job.name, **known)
    most = job.options.get("ops", 0)
    ends = time.monotonic() + job.options.get("seconds", 0)
    for_ever = "dies_within" in job.options or "pace" in job.options
    for number in count(1):
        over = number > most and time.monotonic() > ends
        if job.stop.is_set() or (over and not for_ever):
            break
        shape, step = planner.next()
        op = carry_out(job, f"{job.name}-op-{number}", shape, step)
        # A database that is away is no reason to write a history of nothing else.
        job.stop.wait(0.2 if op.error.startswith("Operational") else pause(job))
    connections.close_all()


def pause(job):
    return job.rng.uniform(0, job.options.get("pace", 0))


def die_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def carry_out(job, id, shape, step):
    """Do one op. It is written down before, too, in case that there is no after."""
    op = Op(id, shape, events_of(step), start=time.monotonic())
    job.write(op)
    attempt = Attempt(job.log_name)
    try:
        attempt.do(step)
        op.outcome = ROLLED_BACK if attempt.undone else OK
    except LogBusy as error:
        op.outcome, op.error = FAIL, repr(error)
    except NO_ANSWER as error:
        op.outcome, op.error = attempt.outcome_of_an_error(shape), repr(error)
        close_old_connections()
    except EventsError as error:
        op.outcome, op.error = FAIL, repr(error)
    finish(op)
    job.write(op)
    return op


def finish(op):
    """Hand the outcome down to the events that have none of their own."""
    op.end = time.monotonic()
    for event in op.events:
        if op.shape != "burst" and event.outcome != ROLLED_BACK:
            event.outcome = op.outcome
        if event.outcome == OK and event.end is None:
            event.end = op.end


class Attempt:
    """One op on its way. Knows how far a transaction came, should it end in an error."""

    def __init__(self, log):
        self.log = log
        self.undone = False
        self.committing = False

    def do(self, step):
        if isinstance(step, Block):
            self.block(step)
        elif isinstance(step, Burst):
            asyncio.run(self.burst(step.events))
        elif isinstance(step, list):
            self.many(step)
        elif isinstance(step, Event):
            self.one(step)
        else:
            time.sleep(step)

    def outcome_of_an_error(self, shape):
        """A transaction that did not come to its end was surely not committed."""
        return FAIL if shape == "atomic" and not self.committing else UNKNOWN

    def block(self, block):
        outermost = not transaction.get_connection().in_atomic_block
        try:
            with transaction.atomic():
                for step in block.steps:
                    self.do(step)
                # A savepoint whose connection was cut while it was rolled back says nothing, but
                # the transaction around it is lost.
                if block.undo or transaction.get_rollback():
                    raise Undo
                self.committing = outermost
        except Undo:
            self.undone = outermost

    def one(self, event):
        event.start = time.monotonic()
        if event.kind in VERBS:
            entry = self.step(event)
        else:
            entry = emit(**event.item(), log=self.log)
        event.position = entry and entry.position

    def step(self, event):
        """A step in a stream's life; None if the stream is there already."""
        verb = getattr(logs[self.log].stream(event.stream), VERBS[event.kind])
        return verb(event.idle) if event.idle else verb()

    def many(self, events):
        start = time.monotonic()
        for event in events:
            event.start = start
        entries = emit_many([event.item() for event in events], log=self.log)
        for event, entry in zip(events, entries, strict=True):
            event.position = entry.position

    async def burst(self, events):
        await asyncio.gather(*(self.task(event) for event in events))

    async def task(self, event):
        event.start = time.monotonic()
        try:
            event.position = (await aemit(**event.item(), log=self.log)).position
            event.outcome, event.end = OK, time.monotonic()
        except LogBusy:
            event.outcome = FAIL
        except NO_ANSWER:
            event.outcome = UNKNOWN
        except EventsError:
            event.outcome = FAIL
