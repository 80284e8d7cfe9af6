"""`manage.py simulate`: something for the live page to show."""

import random
import signal
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events import logs
from events.exceptions import InvalidTransition, StreamClosed
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
    help = "Plays agent runs, batches and orders into a log, until it is told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--log", default="default", help="which log (default: default)")
        add("--rate", type=positive, default=4, help="events per second (default: 4)")
        add("--count", type=natural, help="stop after so many events (default: never)")
        add("--seed", type=int, help="play the same events every time (default: others each time)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["log"] not in logs:
            raise CommandError(f"There is no log {options['log']!r}.")
        self.log = logs[options["log"]]
        # In a pipe one level quieter: nobody watches the progress of a log file.
        self.verbosity = options["verbosity"] - (not self.stdout.isatty())
        self.stopping = False
        # A flag, not an exception out of the handler: that could hit the middle of an emit.
        previous = {number: signal.signal(number, self.stop) for number in STOP_SIGNALS}
        try:
            rng = random.Random(options["seed"])
            self.play(options["rate"], options["count"], steps(rng, options["seed"] is None))
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def stop(self, *args: Any) -> None:
        self.stopping = True

    def play(self, rate: float, count: int | None, story: Iterator[Step]) -> None:
        self.say(1, f"Emitting {rate:g} events a second. Ctrl-C stops.")
        emitted, due = 0, time.monotonic()
        ended: set[str] = set()
        for step in story:
            if step[0]["stream"] in ended:
                continue
            if count is not None:
                step = step[: count - emitted]
            if step:
                self.sleep_until(due)
            if self.stopping or not step:
                break
            try:
                self.emit(step)
            except (StreamClosed, InvalidTransition) as error:
                # Somebody has stopped it. The other stories go on.
                ended.add(step[0]["stream"])
                self.say(1, f"{error}; going on with others.")
                continue
            emitted += len(step)
            due = max(due, time.monotonic() - LAG) + len(step) / rate
        self.say(1, f"Emitted {emitted} events.")

    def emit(self, step: Step) -> None:
        if verb := step[0].get("verb"):
            getattr(self.log.stream(step[0]["stream"]), verb)()
        elif len(step) == 1:
            self.log.append(**step[0])
        else:
            self.log.append_many(step)
        for event in step:
            self.say(2, f"{event['stream']}  {event.get('kind', verb)}  {event.get('payload', '')}")

    def sleep_until(self, due: float) -> None:
        while not self.stopping and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, NAP))

    def say(self, level: int, text: str) -> None:
        if self.verbosity >= level:
            self.stdout.write(text)
