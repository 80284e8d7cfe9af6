from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cursors import Query
from ...exceptions import CursorExpired, EventsError
from ...log import EventLog
from ...types import Row
from ..base import LogCommand

# Entries, and streams, that are taken over at once.
BATCH = 500


class Command(LogCommand):
    help = (
        "Copy a log to another, of whatever backend, with its positions, streams and epoch. Run it "
        "again to go on where it ended, or to fetch what has come since."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="source", required=True, metavar="NAME", help="Which log."
        )
        parser.add_argument(
            "--to",
            dest="target",
            required=True,
            metavar="NAME",
            help="The log to fill: an empty one, or one that holds the first part of this copy.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        source, target = (self.log({"log": options[name]}) for name in ("source", "target"))
        if source.name == target.name:
            raise CommandError("A log cannot be copied to itself.")
        try:
            copied = self.copy(source, target, options)
        except EventsError as error:
            raise CommandError(f"Broken off: {error}.") from None
        except NotImplementedError:
            raise CommandError(f"The log {target.name!r} keeps nothing to copy to.") from None
        info = target.info()
        self.say(
            f"Copied {copied:,} entries: {target.name!r} stands at position {info.head:,}, in the "
            f"epoch {info.epoch}, as {source.name!r} does.",
            options,
        )

    def copy(self, source: EventLog, target: EventLog, options: dict[str, Any]) -> int:
        state = source.backend.read(Query(since="latest", limit=0, whole=True)).state
        done = target.info()
        cursor = start = done.head or state.floor
        known = row_at(source, cursor) if done.head else None
        if known is not None and known != row_at(target, cursor):
            raise EventsError(f"the log {target.name!r} has entries of its own")
        copied = 0
        with self.progress("Copying", options) as progress:
            while cursor < state.head:
                query = Query(since=cursor, limit=BATCH, epoch=state.epoch, whole=True)
                found = source.backend.read(query)
                if found.gap is not None:
                    raise CursorExpired(found.gap)
                rows = [row for row in found.rows if row.position <= state.head]
                upto = min(found.cursor, state.head)
                target.backend.adopt(rows, cursor, upto, state)
                cursor, copied = upto, copied + len(rows)
                progress(cursor - start, state.head - start)
        self.copy_streams(source, target)
        return copied

    def copy_streams(self, source: EventLog, target: EventLog) -> None:
        before = None
        while streams := source.backend.streams(BATCH, before=before):
            target.backend.adopt_streams(streams)
            before = streams[-1].last_position


def row_at(log: EventLog, position: int) -> Row | None:
    found = log.backend.read(Query(since=position - 1, limit=1, whole=True)).rows
    return next((row for row in found if row.position == position), None)
