"""A process that follows the log in several views at once, and writes down every page."""

import time
from contextlib import nullcontext

from django.db import DatabaseError, InterfaceError, close_old_connections, transaction

from events import logs
from events.types import Entry

from .record import Info, Page, Seen

NO_ANSWER = (DatabaseError, InterfaceError)

LIMITS = (0, 1, 3, 10, 40, 200)
VIEWS = ({}, {"stream": "run-1"}, {"kind": "note.*"}, {"kind": "key.shared", "stream": "run-2"})


class Follower:
    """One reader: a cursor, and perhaps a filter."""

    def __init__(self, job, name, *, final=False, **view):
        self.job = job
        self.name = name
        self.final = final
        self.view = {"stream": None, "kind": None, **view}
        self.since, self.epoch = "earliest", None

    def read(self, limit):
        """Read a page and go on from its cursor; has this reader caught up?"""
        start = time.monotonic()
        # Inside a transaction a read gives no positions to what has none yet.
        with transaction.atomic() if self.job.options.get("inside") else nullcontext():
            log = logs[self.job.log_name]
            page = log.backend.read(log.query(self.since, limit, epoch=self.epoch, **self.view))
        self.job.write(
            Page(
                reader=self.name,
                start=start,
                end=time.monotonic(),
                since=self.since,
                limit=limit,
                cursor=page.cursor,
                head=page.state.head,
                epoch=page.state.epoch,
                gap=page.gap and page.gap.to_dict(),
                entries=[Seen.of(Entry.from_row(row)) for row in page.rows],
                partial=page.partial,
                final=self.final,
                **self.view,
            )
        )
        self.since, self.epoch = page.cursor, page.state.epoch
        return page.caught_up

    def start_over(self):
        self.since = "earliest"

    def catch_up(self):
        while not self.read(200):
            pass


def run(job):
    """Follow until told to stop; then catch up, and read it all once more from the start."""
    followers = [Follower(job, f"{job.name}-{n}", **view) for n, view in enumerate(VIEWS)]
    job.wait_for_go()
    while not job.stop.is_set():
        for follower in followers:
            try:
                follow(follower, job.rng)
            except NO_ANSWER:
                close_old_connections()
                job.stop.wait(0.2)
        # The writers are what this is about: leave them something of the machine.
        job.stop.wait(0.005)
    for follower in followers:
        follower.catch_up()
    Follower(job, f"{job.name}-final", final=True).catch_up()
    info = logs[job.log_name].info()
    job.write(Info(info.head, info.floor, info.count, info.epoch))


def follow(follower, rng):
    if rng.random() < 0.02:
        follower.start_over()
    follower.read(rng.choice(LIMITS))
