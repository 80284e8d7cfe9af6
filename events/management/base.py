"""What the commands share: a log to work on, typed arguments, a progress bar on a terminal."""

import argparse
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Self

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from ..conf import DEFAULT_LOG, parse_duration
from ..exceptions import EventsError
from ..log import EventLog, logs

# The exit status of argparse, where a CommandError has 1.
ARGPARSE_ERROR = 2
SIGPIPE = 13


class LogCommand(BaseCommand):
    """A command about one log."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--log", default=DEFAULT_LOG, metavar="NAME", help="Which log (default: %(default)s)."
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """A refusal of the log's is a message, and no traceback."""
        try:
            return super().execute(*args, **options)
        except EventsError as error:
            raise CommandError(str(error)) from None

    def log(self, options: dict[str, Any]) -> EventLog:
        return logs[options["log"]]

    @staticmethod
    def add_every_log(parser: CommandParser) -> None:
        """In place of `--log` as above, for a command that is about every log but for one named."""
        parser.add_argument("--log", metavar="NAME", help="Which log (default: every one).")

    def every_log(self, options: dict[str, Any]) -> list[EventLog]:
        return [self.log(options)] if options["log"] else [logs[name] for name in logs]

    @staticmethod
    def add_streams(parser: CommandParser) -> None:
        parser.add_argument(
            "--stream",
            action="append",
            metavar="NAME",
            help="Only this stream: run-42, or red:* for all that begin so; may repeat.",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """From a shell: 1 for whatever is wrong with the input, and no word when the reader of a
        pipe has seen enough (`| head -1`)."""
        try:
            super().run_from_argv(argv)
            sys.stdout.flush()
        except SystemExit as error:
            sys.exit(1 if error.code == ARGPARSE_ERROR else error.code)
        except BrokenPipeError:
            # Python flushes once more at its exit, and would complain then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + SIGPIPE)

    def say(self, text: str, options: dict[str, Any]) -> None:
        """Tell a person what was done. A pipe is no person."""
        if options["verbosity"] and is_terminal(self.stdout):
            self.stdout.write(text)

    def print_json(self, lines: Iterable[bytes]) -> None:
        """As UTF-8, whatever the locale says: these are data and not a message."""
        text = b"".join(line + b"\n" for line in lines)
        buffer = getattr(self.stdout, "buffer", None)
        if buffer is None:
            self.stdout.write(text.decode(), ending="")
        else:
            self.stdout.flush()
            buffer.write(text)

    def progress(self, label: str, options: dict[str, Any]) -> "Progress":
        return Progress(label, options["verbosity"], self.stderr)


class Progress:
    """One line on a terminal, drawn over and over; nothing anywhere else."""

    WIDTH = 30

    def __init__(self, label: str, verbosity: int, stream: OutputWrapper) -> None:
        self.label = label
        self.stream = stream
        self.shown = bool(verbosity) and is_terminal(stream)

    def __call__(self, done: int, total: int) -> None:
        filled = self.WIDTH * done // total if total else self.WIDTH
        bar = "#" * filled + "." * (self.WIDTH - filled)
        self.draw(f"\r{self.label} [{bar}] {done:,} of {total:,}")

    def draw(self, text: str) -> None:
        if self.shown:
            # `str`, because the style of stderr is red.
            self.stream.write(text, style_func=str, ending="")
            self.stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.draw("\r\x1b[K")


def is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def seconds(text: str) -> float:
    return duration(text).total_seconds()


def duration(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} would be everything; give a positive duration")
    return found


def positive(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < len(text) < 19 and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r:.60} is not a whole number from 1")


def position(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < len(text) < 20:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r:.60} is not a position")
