"""A Celery app beside the example site: tasks that emit, and say in the payload who does it."""

import os
import time

from celery import Celery
from django.db import transaction

from events import context, emit

app = Celery("site", broker=os.environ["REDIS_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True, task_ignore_result=True, worker_prefetch_multiplier=1
)


@app.task
def emit_as(actor):
    with context(actor=actor):
        emit("n", {"actor": actor})
        time.sleep(0.01)
        with transaction.atomic():
            emit("n", {"actor": actor})


@app.task
def emit_as_nobody():
    emit("n", {"actor": None})
    with transaction.atomic():
        emit("n", {"actor": None})


@app.task
def fail_as(actor):
    with context(actor=actor):
        emit("n", {"actor": actor})
        raise ValueError("on purpose")


def play(times):
    """From within a context of the caller's, which a task in another process does not have."""
    with context(actor="the caller"):
        for number in range(times):
            emit_as.delay(f"a{number}")
            emit_as_nobody.delay()
            fail_as.delay(f"f{number}")
