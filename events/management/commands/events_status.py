import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from ... import status
from ...log import EventLog
from ..base import LogCommand

COLUMNS = ("head", "floor", "count", "outbox", "outbox_age", "set_aside", "open_streams", "overdue_streams")  # fmt: skip


class Command(LogCommand):
    help = "Print how each log stands, for a person or a monitor. It changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_every_log(parser)
        parser.add_argument("--json", action="store_true", help="An array with an object a log.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["verbosity"]:
            return
        found = [self.numbers(log) for log in self.every_log(options)]
        if options["json"]:
            self.print_json([json.dumps(found).encode()])
            return
        self.print_table([{name: one[name] for name in ("log", *COLUMNS)} for one in found])
        for part in status.parts:
            rows = [{part: row["name"], **row} for one in found for row in one[part]]
            for row in rows:
                del row["name"]
            if rows:
                self.stdout.write("")
                self.print_table(rows)

    @staticmethod
    def numbers(log: EventLog) -> dict[str, Any]:
        found = asdict(status.status_of(log))
        # Those of this process, which serves nobody.
        found["followers"] = None
        return {**found, **{name: part(log.name) for name, part in status.parts.items()}}

    def print_table(self, found: list[dict[str, Any]]) -> None:
        rows = [list(found[0]), *([shown(value) for value in one.values()] for one in found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
            self.stdout.write("  ".join([first.ljust(widths[0]), *cells]))


def shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f} s" if isinstance(value, float) else str(value)
