import signal
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from ....log import logs
from ....management.base import LogCommand, positive
from ... import turn
from ...control import Handler
from ...models import State
from ...registry import drivers, handlers
from ...runner import Runner

THREADS = 4


class Command(LogCommand):
    help = (
        "Run handlers: all of them, or those that are named. As many processes on as many machines "
        "as you like; SIGTERM and Ctrl-C finish the entries at hand."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="Only this handler.")
        parser.add_argument(
            "--once",
            action="store_true",
            help="Do what is due now; 1 if anything is held, parked or stopped.",
        )
        parser.add_argument(
            "--threads",
            type=positive,
            default=THREADS,
            metavar="N",
            help="How many handlers work at once (default: %(default)s; on SQLite always 1).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["names"]
        for name in names:
            if name not in handlers:
                known = ", ".join(handlers) or "none"
                raise CommandError(f"There is no handler {name!r}; known: {known}.")
        if options["once"]:
            self.once(names)
            return
        aliases = {logs[spec.log].backend.alias for spec in handlers.specs().values()}
        only_sqlite = all(connections[alias].vendor == "sqlite" for alias in aliases)
        runner = Runner(names, 1 if only_sqlite else options["threads"])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: runner.stop())
        told = ", ".join(names or handlers) or "none yet"
        self.say(
            f"Handlers at work: {told}. Ctrl-C finishes the entries at hand, and ends.", options
        )
        runner.run()

    def once(self, names: list[str]) -> None:
        ending = False

        def stop(*_: Any) -> None:
            nonlocal ending
            ending = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        known = handlers.specs()
        specs = [known[name] for name in names or known if name in known]
        for log in {spec.log for spec in specs}:
            logs[log].backend.sequence_inline()
        for driver in drivers:
            theirs = [spec for spec in specs if spec.driver is driver]
            driver.run_now(theirs, raising=False, stopping=lambda: ending)
        for spec in specs:
            if spec.driver is None:
                turn.run_now(spec, stopping=lambda: ending)
        if ending:
            return
        for spec in specs:
            status = Handler(spec).status()
            if status.held or status.parked or status.state == State.STOPPED:
                sys.exit(1)
