"""A Celery app beside the example site, whose tasks end in each of the ways there are."""

import os
import time

import redis
from celery import Celery, chord, shared_task
from celery.exceptions import Ignore
from django.db import transaction

from events.contrib.celery import progress

URL = os.environ["REDIS_URL"]

app = Celery("tasks", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": int(os.environ.get("VISIBILITY", 3600))},
    worker_prefetch_multiplier=1,
)
flags = redis.Redis.from_url(URL)


@shared_task
def build(steps):
    for done in range(1, steps + 1):
        progress(done, steps, file=f"{done}.txt")
    return steps


@shared_task
def add(numbers):
    return sum(numbers)


@shared_task
def fail():
    raise OSError("the disk is full")


@shared_task(autoretry_for=(OSError,), max_retries=2, default_retry_delay=0)
def fail_twice(flag):
    if flags.incr(flag) <= 2:
        raise OSError("not yet")


@shared_task(acks_late=True, reject_on_worker_lost=True)
def until(flag):
    """Go on until the flag is there, telling of each step."""
    for done in range(10_000):
        progress(done, pid=os.getpid())
        if flags.exists(flag):
            return
        time.sleep(0.02)


@shared_task(autoretry_for=(Exception,), max_retries=5, default_retry_delay=0)
def retried_for_anything(flag):
    until.run(flag)


@shared_task(soft_time_limit=1)
def busy():
    for done in range(10**9):
        progress(done)


@shared_task(time_limit=1)
def hang():
    progress(1)
    time.sleep(60)


@shared_task
def ignored():
    raise Ignore


def in_transaction(steps, rolls_back):
    """Enqueued before the commit, and worked on before the commit as well."""
    with transaction.atomic():
        result = build.delay(steps)
        result.get(timeout=20)
        transaction.set_rollback(rolls_back)
    return result.id


def whole_of(steps):
    return chord([build.s(number) for number in steps])(add.s())


@shared_task
def skipped():
    progress(1)
