from typing import Any

from django.core.management.base import CommandParser

from ..base import LogCommand


class Command(LogCommand):
    help = (
        "Give a log a new identity. Run it after restoring a dump or a copy of a database: readers "
        "that hold a cursor from before are then told so, instead of being given other events "
        "under positions that they have seen."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset-clock",
            action="store_true",
            help="Give events from the future, which a wrong clock has left, the time of now.",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        epoch = self.log(options).renew_epoch(reset_clock=options["reset_clock"])
        if options["verbosity"]:
            self.stdout.write(epoch)
