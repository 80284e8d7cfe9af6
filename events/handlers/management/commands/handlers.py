import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....management.base import LogCommand, position
from ....wire import dumps
from ...control import Handler, Status
from ...registry import handlers

COLUMNS = ("name", "log", "shards", "state", "cursor", "head", "lag", "held", "parked")
# Below every position.
ALL = -1


def since(text: str) -> str | int:
    return text if text in ("earliest", "latest") else position(text)


def number(text: str) -> int:
    try:
        return position(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r:.60} is not a whole number from 0") from None


class Command(LogCommand):
    help = "Show where handlers stand; or pause, resume and mend one."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("names", nargs="*", metavar="NAME", help="Only this handler.")
        add("--json", action="store_true", help="An array of objects.")
        add("--max-lag", type=number, metavar="N", help="1 if one is further behind.")
        add("--max-held", type=number, metavar="N", help="1 if one holds or has parked more.")
        one = parser.add_mutually_exclusive_group()
        one.add_argument("--pause", action="store_true", help="Begin no other entry.")
        one.add_argument(
            "--resume", action="store_true", help="Go on; after a gap with what is left."
        )
        one.add_argument(
            "--retry",
            nargs="?",
            const=ALL,
            type=position,
            metavar="POSITION",
            help="Try what has failed, or this entry, once more.",
        )
        one.add_argument("--drop", type=position, metavar="POSITION", help="Give this entry up.")
        one.add_argument(
            "--replay",
            type=since,
            metavar="SINCE",
            help="Go to after a position, to earliest or to latest.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = [handlers[name] for name in options["names"] or handlers]
        except KeyError as error:
            raise CommandError(error.args[0]) from None
        if self.is_action(options):
            if not options["names"]:
                raise CommandError("Say which handler: handlers NAME --pause.")
            for handler in chosen:
                try:
                    self.act(handler, options)
                except (LookupError, ValueError) as error:
                    raise CommandError(str(error)) from None
            return
        found = [handler.status() for handler in chosen]
        if options["json"]:
            self.print_json([dumps([asdict(status) for status in found]).encode()])
        elif options["verbosity"]:
            self.print_table(found)
        if any(self.is_beyond(status, options) for status in found):
            sys.exit(1)

    @staticmethod
    def is_action(options: dict[str, Any]) -> bool:
        given = (options["retry"], options["drop"], options["replay"])
        return options["pause"] or options["resume"] or any(one is not None for one in given)

    def act(self, handler: Handler, options: dict[str, Any]) -> None:
        if options["pause"]:
            handler.pause()
        elif options["resume"]:
            handler.resume()
        elif options["retry"] is not None:
            handler.retry(None if options["retry"] == ALL else options["retry"])
        elif options["drop"] is not None:
            handler.drop(options["drop"])
        else:
            handler.replay(options["replay"])

    @staticmethod
    def is_beyond(status: Status, options: dict[str, Any]) -> bool:
        lag, held = options["max_lag"], options["max_held"]
        return (lag is not None and status.lag > lag) or (
            held is not None and status.held + status.parked > held
        )

    def print_table(self, found: Sequence[Status]) -> None:
        rows = [COLUMNS, *(tuple(str(getattr(s, c)) for c in COLUMNS) for s in found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row, status in zip(rows, [None, *found], strict=True):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
            for name in ("reason", "last_error"):
                if status is not None and getattr(status, name):
                    self.stdout.write(f"    {name.replace('_', ' ')}: {getattr(status, name)}")
