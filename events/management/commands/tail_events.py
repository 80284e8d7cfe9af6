import asyncio
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from zlib import crc32

from django.core.management.base import CommandError, CommandParser
from django.utils.termcolors import colorize

from ...base_log import position_of
from ...cursors import Query, Since
from ...exceptions import CursorExpired
from ...internals import take_times_ago
from ...live.tail import follow
from ...log import EventLog
from ...types import Gap, Row, from_micros, wire_micros
from ...visible import visible
from ...wire import encode
from ..base import LogCommand, duration, position, positive

# Those that can be read on a dark terminal as well as on a light one.
COLOURS = ("green", "yellow", "blue", "magenta", "cyan")
INTERRUPTED = 130
# A time ago has its unit: a number alone would be a position.
AGO = re.compile(r"-[0-9]+[smhd]")


def since(text: str) -> Since | timedelta:
    if text in ("earliest", "latest"):
        return text  # type: ignore[return-value]
    try:
        return duration(text[1:]) if AGO.fullmatch(text) else position(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{text!r:.60} is neither a position nor 'latest', nor a time ago, like -15m"
        ) from None


class Command(LogCommand):
    help = (
        "Print the entries of a log and then those that come, like `tail -f`, until Ctrl-C. With "
        "the --stream of one name, until that stream ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--since",
            type=since,
            metavar="N|latest|-15m",
            help="Only what comes after this position, or after a moment that is so long ago "
            "(default: all that is there).",
        )
        add("--last", type=positive, metavar="N", help="Begin with the newest N entries.")
        self.add_streams(parser)
        add("--kind", action="append", help="Only this kind: turn.started, turn.*; may repeat.")
        add("--json", action="store_true", help="One entry a line, as it is sent over HTTP.")
        add("--no-follow", action="store_true", help="Stop at the end of what is there.")
        super().add_arguments(parser)
        take_times_ago(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        log = self.log(options)
        if isinstance(options["since"], timedelta):
            try:
                moment = from_micros(log.backend.now()) - options["since"]
            except OverflowError:
                raise CommandError("--since: no calendar goes back so far.") from None
            options["since"] = position_of(log.backend, moment)
        if options["since"] is not None and options["last"] is not None:
            raise CommandError("--last stands in place of --since: give one of them.")
        self.as_json = options["json"]
        # Django has looked at the terminal, NO_COLOR and --no-color already.
        self.coloured = self.style.ERROR("x") != "x"
        try:
            query = log.query(
                "earliest" if options["since"] is None else options["since"],
                log.settings.max_page_size,
                stream=None if options["stream"] in ("", [""]) else options["stream"],
                kind=options["kind"],
                last=options["last"],
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        try:
            if options["no_follow"]:
                self.show_pages(log, query)
            else:
                asyncio.run(self.follow(log, query))
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None

    def show_pages(self, log: EventLog, query: Query) -> None:
        for page in log.backend.pages(query):
            self.show_gap(page.gap)
            self.show(page.rows)

    async def follow(self, log: EventLog, query: Query) -> None:
        async with follow(log.backend, query) as tail:
            async for batch in tail:
                self.show_gap(batch.gap)
                self.show(entry.row for entry in batch.entries)
                if batch.end:
                    self.stderr.write(f"The stream {query.stream} has ended: {batch.end}.")

    def show_gap(self, gap: Gap | None) -> None:
        if gap is not None:
            self.stderr.write(self.style.WARNING(str(CursorExpired(gap))))

    def show(self, rows: Iterable[Row]) -> None:
        if self.as_json:
            self.print_json(map(encode, rows))
        else:
            for row in rows:
                self.stdout.write(self.line(row))
        self.stdout.flush()

    def line(self, row: Row) -> str:
        time = wire_micros(row.micros)[:-4].replace("T", " ")
        colour = COLOURS[crc32(row.kind.partition(".")[0].encode()) % len(COLOURS)]
        where = f"{row.stream}#{row.seq}" if row.stream else "-"
        return "  ".join(
            [
                self.colour(f"{row.position:>6}", opts=("bold",)),
                time,
                self.colour(f"{row.kind:<20}", fg=colour),
                f"{where:<16}",
                visible(row.text),
            ]
        )

    def colour(self, text: str, **how: Any) -> str:
        return colorize(text, **how) if self.coloured else text
