"""An event loop in which no time passes while anything can run, and whose turns are drawn by lot.

What would be done in a thread is done in the loop, at one moment between two delays: other things
happen before it and before its result is used. So a run has one order, and it can be repeated.
"""

import asyncio
from collections import deque
from concurrent.futures import CancelledError

# Turns without end are a loop that spins; a run takes some ten thousand.
MOST_TURNS = 200_000
BEGINNING = 1000.0
# What the log's clock is ahead of the loop's: a log refuses times before the year 2000.
YEAR_2000 = 946_684_800
# Seconds: a clock that stood still would let a deadline that was rounded be missed for ever.
TURN = 1e-7


class Spinning(Exception):
    """It never comes to rest."""


class Clock:
    """In the selector's place: instead of waiting for sockets, time is set forward."""

    def __init__(self):
        self.now = BEGINNING

    def select(self, timeout):
        if timeout is None:
            raise Spinning("nothing can run, and nothing is due")
        self.now += timeout + TURN
        return []

    def close(self):
        pass


class Loop(asyncio.BaseEventLoop):
    def __init__(self, chance, shuffles=True, slowness=0.0):
        self._selector = Clock()
        super().__init__()
        self.chance = chance
        self.shuffles = shuffles
        # The most seconds until a thread begins, and again until its result is there.
        self.slowness = slowness
        self.turns = 0
        self.free_at = {}

    def time(self):
        return self._selector.now

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass

    def _run_once(self):
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Spinning("more turns than any run should need")
        if self.shuffles and len(self._ready) > 1:
            ready = list(self._ready)
            self.chance.shuffle(ready)
            self._ready = deque(ready)
        super()._run_once()

    def delay(self):
        """Most threads are quick, and some are not."""
        return self.slowness * self.chance.random() ** 4

    def backlog(self):
        """Seconds until the threads have done what they were asked for."""
        return max(self.free_at.values(), default=0.0) - self.time()

    def run_in_executor(self, executor, function, *arguments):
        if getattr(executor, "closed", False):
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = self.create_future()
        began = max(self.time(), self.free_at.get(executor, 0.0)) + self.delay()
        # Every executor here has one thread, so that its work does not overtake itself.
        self.free_at[executor] = finished = began + self.delay()
        self.call_at(began, self._work, future, finished, function, arguments)
        return future

    def _work(self, future, finished, function, arguments):
        if future.cancelled():
            return
        # As in a thread, where no loop runs.
        asyncio._set_running_loop(None)
        try:
            outcome = function(*arguments), None
        except BaseException as error:
            outcome = None, error
        finally:
            asyncio._set_running_loop(self)
        self.call_at(finished, settle, future, *outcome)


def settle(future, result, error):
    if future.done():
        return
    if isinstance(error, CancelledError):
        future.cancel()
    elif error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


class Executor:
    """Stands for a ThreadPoolExecutor of one thread: the loop does its work."""

    def __init__(self, workers=1, name="", begin=None):
        self.closed = False

    def submit(self, function, *arguments):
        pass

    def shutdown(self, wait=True):
        self.closed = True
