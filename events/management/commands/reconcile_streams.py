import logging
import signal
from threading import Event
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError, InterfaceError, connections

from ...exceptions import EventsError
from ...log import EventLog
from ..base import LogCommand, seconds

logger = logging.getLogger("events")


class Command(LogCommand):
    help = (
        "Fail the streams that have been silent for longer than their idle timeout, and sequence "
        "the events that dead processes have left. Safe to run in several places at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_every_log(parser)
        parser.add_argument(
            "--loop",
            type=seconds,
            metavar="SECONDS",
            help="Do it every so often, until it is told to end (default: once).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = self.every_log(options)
        if options["loop"] is None:
            for log in chosen:
                self.reconcile(log, options)
            return
        ended = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        while not ended.is_set():
            for log in chosen:
                self.try_to_reconcile(log, options)
            ended.wait(options["loop"])

    def try_to_reconcile(self, log: EventLog, options: dict[str, Any]) -> None:
        """A database that is away comes back; who watches over others does not give up."""
        try:
            self.reconcile(log, options)
        except (DatabaseError, InterfaceError, EventsError):
            logger.exception("Log %r could not be reconciled; trying again.", log.name)
            connections.close_all()

    def reconcile(self, log: EventLog, options: dict[str, Any]) -> None:
        for stream in log.reconcile():
            if options["verbosity"]:
                self.stdout.write(f"{log.name}: {stream} failed: it was silent for too long.")
