"""Clocks for OPTIONS["clock"], which are wrong differently in every process, and several times a
second: one that jumps back and forth by up to an hour, and one that is out of its mind."""

import os
import random
import sys
import time

FARTHEST = 3600.0


def jumping():
    moment = f"{os.environ.get('FAULTS_SEED')}-{os.getpid()}-{time.monotonic() // 0.2}"
    return time.time() + random.Random(moment).uniform(-FARTHEST, FARTHEST)


def wild():
    """In a writer: now and then in milliseconds, in the year 1970, or no number at all."""
    if "writer" not in sys.argv:
        return time.time()
    moment = f"{os.environ.get('FAULTS_SEED')}-{os.getpid()}-{time.monotonic() // 0.2}"
    now = time.time()
    return random.Random(moment).choice([now, now, now, now * 1000, 0.0, float("nan")])
