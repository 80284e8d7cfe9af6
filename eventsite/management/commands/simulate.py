"""`manage.py simulate`: something for the live page to show."""

import random
import signal
import time
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from events import emit, emit_many
from eventsite.simulation import Step, steps

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
NAP = 0.2  # seconds that a signal may go unnoticed
LAG = 1.0  # seconds of delay made up for; beyond it a slow database gets no burst


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text} is not more than 0")
    return number


def natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ArgumentTypeError(f"{text} is less than 0")
    return number


class Command(BaseCommand):
    help = "Plays agent runs and jobs into the default log, until it is told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--rate", type=positive, default=4, help="events per second (default: 4)")
        add("--count", type=natural, help="stop after so many events (default: never)")
        add("--seed", type=int, help="play the same events every time (default: others each time)")

    def handle(self, *args: Any, **options: Any) -> None:
        # In a pipe one level quieter: nobody watches the progress of a log file.
        self.verbosity = options["verbosity"] - (not self.stdout.isatty())
        self.stopping = False
        # A flag, not an exception out of the handler: that could hit the middle of an emit.
        previous = {number: signal.signal(number, self.stop) for number in STOP_SIGNALS}
        try:
            self.play(options["rate"], options["count"], random.Random(options["seed"]))
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def stop(self, *args: Any) -> None:
        self.stopping = True

    def play(self, rate: float, count: int | None, rng: random.Random) -> None:
        self.say(1, f"Emitting {rate:g} events a second. Ctrl-C stops.")
        emitted, due = 0, time.monotonic()
        for step in steps(rng):
            if count is not None:
                step = step[: count - emitted]
            if step:
                self.sleep_until(due)
            if self.stopping or not step:
                break
            self.emit(step)
            emitted += len(step)
            due = max(due, time.monotonic() - LAG) + len(step) / rate
        self.say(1, f"Emitted {emitted} events.")

    def emit(self, step: Step) -> None:
        if len(step) == 1:
            emit(**step[0])
        else:
            emit_many(step)
        for event in step:
            self.say(2, f"{event['stream']}  {event['kind']}  {event['payload']}")

    def sleep_until(self, due: float) -> None:
        while not self.stopping and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, NAP))

    def say(self, level: int, text: str) -> None:
        if self.verbosity >= level:
            self.stdout.write(text)
