"""Tasks of Django's, that end in each of the ways there are."""

import os
import time
from pathlib import Path

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task

from events.contrib.django_tasks import aprogress, progress


@task
def build(steps):
    for done in range(1, steps + 1):
        progress(done, steps, file=f"{done}.txt")


@task
async def build_async(steps):
    await aprogress(steps, steps)


@task
def outer():
    progress(1, 2)
    inner.enqueue()
    progress(2, 2)


@task
def inner():
    progress(1, 1)


@task
def fail():
    raise OSError("the disk is full")


@task
def until(path):
    """Go on until the file is there, telling of each step."""
    for done in range(10_000):
        progress(done, pid=os.getpid())
        if Path(path).exists():
            return
        time.sleep(0.02)
