"""A clock that jumps back and forth by up to an hour, several times a second, and differently in
every process. For OPTIONS["clock"]."""

import os
import random
import time

FARTHEST = 3600.0


def jumping():
    moment = f"{os.environ.get('FAULTS_SEED')}-{os.getpid()}-{time.monotonic() // 0.2}"
    return time.time() + random.Random(moment).uniform(-FARTHEST, FARTHEST)
