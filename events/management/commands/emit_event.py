import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...wire import dumps
from ..base import LogCommand


class Command(LogCommand):
    help = "Store one event and print its entry as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("kind", metavar="KIND", help="What happened: turn.started")
        add("--payload", default="{}", metavar="JSON", help="A JSON object.")
        add("--stream", default="", metavar="NAME", help="The stream it is in.")
        add("--key", metavar="KEY", help="Makes a repetition safe: the same key stores one event.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        log = self.log(options)
        try:
            payload = json.loads(options["payload"])
        except (ValueError, RecursionError) as error:
            raise CommandError(f"--payload is not JSON: {error}") from None
        if not isinstance(payload, dict):
            raise CommandError("--payload must be a JSON object, like '{\"n\": 1}'.")
        stream, key = options["stream"], options["key"]
        entry = log.append(options["kind"], payload, stream=stream, key=key)
        if options["verbosity"]:
            self.print_json([dumps(entry.to_dict()).encode()])
