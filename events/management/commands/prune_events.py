from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...backends.base import DELETE_BATCH
from ...log import EventLog
from ..base import LogCommand, duration, positive


class Command(LogCommand):
    help = (
        "Remove old entries. Without options each log is pruned by its own TTL and MAX_ENTRIES; "
        "with options, only by these. Writers and readers are not disturbed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        self.add_every_log(parser)
        add(
            "--older-than",
            type=bound(duration),
            metavar="AGE",
            help="Remove what is older: 90 (seconds), 30s, 15m, 12h, 7d.",
        )
        add(
            "--max-entries",
            type=bound(positive),
            metavar="N",
            help="Keep no more than the newest N.",
        )
        add(
            "--batch-size",
            type=positive,
            default=DELETE_BATCH,
            metavar="N",
            help="Rows in one delete (default: %(default)s). Larger is faster and less polite.",
        )
        add("--dry-run", action="store_true", help="Only count what would be removed.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for log in self.every_log(options):
                self.prune(log, options)
        except ValueError as error:
            # Whoever uses `call_command` goes past the parser.
            raise CommandError(str(error)) from None

    def prune(self, log: EventLog, options: dict[str, Any]) -> None:
        chosen = {"ttl": options["older_than"], "max_entries": options["max_entries"]}
        bounds = {name: value for name, value in chosen.items() if value is not None}
        with self.progress(f"Pruning {log.name}", options) as progress:
            removed = log.prune(
                **bounds,
                batch_size=options["batch_size"],
                dry_run=options["dry_run"],
                progress=progress,
            )
        if options["dry_run"]:
            # The answer that was asked for, so a pipe gets it as well.
            self.stdout.write(f"{log.name}: {removed} entries would be removed.")
        else:
            self.say(f"{log.name}: {removed:,} entries were removed.", options)


def bound(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """As `parse`, and an error says how to keep nothing."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ArgumentTypeError as error:
            raise ArgumentTypeError(f"{error} (clear() empties a log)") from None

    return parsed
