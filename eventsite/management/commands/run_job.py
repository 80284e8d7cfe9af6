"""`manage.py run_job NAME`: a worker, and all that it takes to make its job a stream with a life."""

import time
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events import logs
from events.exceptions import InvalidTransition, StreamClosed
from events.types import Status


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ArgumentTypeError(f"{text} is not between 0 and 1000000000")
    return number


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is less than 1")
    return number


class Command(BaseCommand):
    help = "Works on a job, and tells the stream of that name how far it has come."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("name", help="the job's stream, such as job-42")
        add("--steps", type=at_least_one, default=40, help="how much there is to do (default: 40)")
        add("--seconds-per-step", type=positive, default=0.25, help="default: 0.25")
        add(
            "--idle-timeout",
            type=positive,
            default=10,
            help="seconds of silence after which the job is given up (default: 10)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = logs["default"].stream(options["name"])
        total = options["steps"]
        try:
            # Here and not left to the `with`, which would take the log's own timeout.
            run.open(idle_timeout=options["idle_timeout"])
            with run:
                for done in range(1, total + 1):
                    self.work(options["seconds_per_step"])
                    run.emit("job.progress", {"done": done, "total": total})
        except (StreamClosed, InvalidTransition) as error:
            # Being stopped is no failure: somebody has asked for it, and this is how we are told.
            if run.status != Status.STOPPED:
                raise CommandError(str(error)) from error
            if options["verbosity"]:
                self.stdout.write(f"{run.name} was stopped.")

    def work(self, seconds: float) -> None:
        time.sleep(seconds)
