"""A process that gives birth to emitters, each of which is to die at a step of its own.

A process of its own for each would take a second to start; a fork takes a hundredth. It is told
`kill entries:3`, and says `killed entries:3` or, if the emitter never came there, `missed …`.
"""

import copy
import os
import random
import signal
from itertools import count

from django.db import connections

from .kill_points import arm
from .writer import write

# Seconds within which an emitter should come to its step.
LIFE = 3


def run(job):
    job.wait_for_go()
    connections.close_all()
    for number in count(1):
        setting = job.next_word()
        if setting is None:
            return
        child = os.fork()
        if not child:
            live_and_die(job, number, setting)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        job.say(f"{'killed' if killed else 'missed'} {setting}")


def live_and_die(job, number, setting):
    """In the child: write until it comes to its step, or for a while."""
    try:
        job = copy.copy(job)
        job.name = f"{job.name}.{number}"
        job.rng = random.Random(f"{job.options['seed']}-{job.name}")
        job.options = {**job.options, "seconds": LIFE}
        arm(setting)
        write(job)
    finally:
        os._exit(0)
