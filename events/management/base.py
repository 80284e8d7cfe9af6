"""What the commands share: a log to work on, typed arguments, a progress bar on a terminal."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ..conf import DEFAULT_LOG
from ..durations import parse_duration
from ..exceptions import LogDoesNotExist
from ..log import EventLog, logs


class LogCommand(BaseCommand):
    """A command about one log."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--log", default=DEFAULT_LOG, metavar="NAME", help="Which log.")

    def log(self, options: dict[str, Any]) -> EventLog:
        try:
            return logs[options["log"]]
        except LogDoesNotExist as error:
            raise CommandError(str(error)) from None

    def say(self, text: str, options: dict[str, Any]) -> None:
        """Tell a person what was done. A pipe is no person."""
        if options["verbosity"] and is_terminal(self.stdout):
            self.stdout.write(text)


class Progress:
    """One line on a terminal, drawn over and over; nothing anywhere else."""

    WIDTH = 30

    def __init__(self, label: str, verbosity: int, stream: TextIO | None = None) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.shown = bool(verbosity) and is_terminal(self.stream)

    def __call__(self, done: int, total: int) -> None:
        if not self.shown:
            return
        filled = self.WIDTH * done // total if total else self.WIDTH
        bar = "#" * filled + "." * (self.WIDTH - filled)
        self.stream.write(f"\r{self.label} [{bar}] {done:,} of {total:,}")
        self.stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < len(text) < 19 and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r:.60} is not a whole number from 1")


def position(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < len(text) < 20:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r:.60} is not a position")
