from __future__ import annotations

from typing import Any

from ..base import LogCommand


class Command(LogCommand):
    help = (
        "Give a log a new identity. Run it after restoring a database from a backup: readers "
        "that hold a cursor from before are then told so, instead of being given other events "
        "under positions that they have seen."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        epoch = self.log(options).renew_epoch()
        if options["verbosity"]:
            self.stdout.write(epoch)
