from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...exceptions import CursorExpired
from ...wire import encode, with_context
from ..base import LogCommand, is_terminal, position


class Command(LogCommand):
    help = (
        "Print a log as newline-delimited JSON, one entry a line, up to the head at the start. "
        "Reads it page by page, so that its size does not matter."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--since",
            type=position,
            metavar="N",
            help="Only what comes after this position (default: all that is there).",
        )
        self.add_streams(parser)
        add("--context", action="store_true", help="With who and why, which readers are not shown.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        log = self.log(options)
        stream = None if options["stream"] in ("", [""]) else options["stream"]
        since = "earliest" if options["since"] is None else options["since"]
        first = log.backend.read(log.query(since, 0, stream=stream))
        if first.gap is not None:
            self.stderr.write(self.style.WARNING(str(CursorExpired(first.gap))))
        start, head = max(first.cursor, first.state.floor), first.state.head
        with self.progress("Exporting", options) as progress:
            # On the same terminal it would be drawn across the entries.
            progress.shown = progress.shown and not is_terminal(self.stdout)
            encoded = with_context if options["context"] else encode
            query = log.query(
                start, log.settings.max_page_size, stream=stream, epoch=first.state.epoch
            )
            for page in log.backend.pages(query) if start < head else ():
                if page.gap is not None:
                    # Stopping short without a word would look like a whole export.
                    raise CommandError(f"Broken off: {CursorExpired(page.gap)}.")
                self.print_json(encoded(row) for row in page.rows if row.position <= head)
                progress(min(page.cursor, head) - start, head - start)
                if page.cursor >= head:
                    break
