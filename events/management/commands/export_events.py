from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cursors import Streams
from ...exceptions import CursorExpired, InvalidEvent
from ...log import EventLog
from ...types import Row
from ...wire import encode, with_context
from ..base import LogCommand, Progress, is_terminal, position


class Command(LogCommand):
    help = (
        "Print a log as newline-delimited JSON, one entry a line, up to the head at the start. "
        "Reads it page by page, so that its size does not matter."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=position,
            metavar="N",
            help="Only what comes after this position (default: all that is there).",
        )
        self.add_streams(parser)
        parser.add_argument(
            "--context", action="store_true", help="With who and why, which readers are not shown."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        log = self.log(options)
        stream = None if options["stream"] in ("", [""]) else options["stream"]
        since = "earliest" if options["since"] is None else options["since"]
        try:
            first = log.backend.read(log.query(since, 0, stream=stream))
        except InvalidEvent as error:
            raise CommandError(str(error)) from None
        if first.gap is not None:
            self.stderr.write(self.style.WARNING(str(CursorExpired(first.gap))))
        start = max(first.cursor, first.state.floor)
        with self.progress("Exporting", options) as progress:
            # On the same terminal it would be drawn across the entries.
            progress.shown = progress.shown and not is_terminal(self.stdout)
            encoded = with_context if options["context"] else encode
            self.export(log, start, first.state.head, stream, first.state.epoch, progress, encoded)

    def export(
        self,
        log: EventLog,
        since: int,
        head: int,
        stream: Streams,
        epoch: str,
        progress: Progress,
        encoded: Callable[[Row], bytes],
    ) -> None:
        start = since
        size = log.settings.max_page_size
        while since < head:
            page = log.backend.read(
                log.query(since, min(size, head - since), stream=stream, epoch=epoch)
            )
            if page.gap is not None:
                # Stopping short without a word would look like a whole export.
                raise CommandError(f"Broken off: {CursorExpired(page.gap)}.")
            self.print_json(encoded(row) for row in page.rows if row.position <= head)
            since = page.cursor
            progress(min(since, head) - start, head - start)
