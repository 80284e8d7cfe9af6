from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from ...status import status_of
from ..base import LogCommand

COLUMNS = ("head", "floor", "count", "outbox", "outbox_age", "set_aside", "open_streams", "overdue_streams")  # fmt: skip


class Command(LogCommand):
    help = "Print how each log stands, for a person or a monitor. It changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_every_log(parser)
        parser.add_argument("--json", action="store_true", help="An array with an object a log.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [asdict(status_of(log)) for log in self.every_log(options)]
        for one in found:
            # Those of this process, which serves nobody.
            one["followers"] = None
        if not options["verbosity"]:
            return
        if options["json"]:
            self.print_json([json.dumps(found).encode()])
            return
        rows = [["log", *COLUMNS]] + [
            [one["log"], *(shown(one[name]) for name in COLUMNS)] for one in found
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
            self.stdout.write("  ".join([first.ljust(widths[0]), *cells]))


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if isinstance(value, float) else str(value)
