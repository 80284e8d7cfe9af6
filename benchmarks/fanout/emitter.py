"""A process that serves nobody and emits, as a worker or a command would.

python -m benchmarks.fanout.emitter FIRST COUNT PAUSE
"""

from __future__ import annotations

import json
import os
import sys
import time

import django


def main(first: int, count: int, pause: float) -> None:
    django.setup()
    from benchmarks.rivals.message import KIND, STREAM, payload
    from events import emit

    log = os.environ["FANOUT_LOG"]
    times = []
    due = time.monotonic()
    for number in range(first, first + count):
        began = time.monotonic()
        emit(KIND, payload(number), stream=STREAM, log=log)
        times.append([began, time.monotonic()])
        due += pause
        time.sleep(max(due - time.monotonic(), 0))
    print(json.dumps(times))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
