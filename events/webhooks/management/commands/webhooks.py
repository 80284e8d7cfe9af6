import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....handlers.control import Handler
from ....management.base import LogCommand
from ....types import wire_time
from ....wire import dumps
from ... import endpoints
from ...courier import spec_of
from ...models import Endpoint
from ...pruning import prune

COLUMNS = ("id", "url", "state", "cursor", "lag", "held", "parked", "failures")


def state_of(endpoint: Endpoint, state: str) -> str:
    """As people ask for it: of an endpoint and its handler in one word."""
    if not endpoint.active:
        return "off"
    return "silent" if state == "running" and endpoint.failures else state


def shown(endpoint: Endpoint) -> dict[str, Any]:
    status = Handler(spec_of(endpoint)).status()
    moments = {
        name: getattr(endpoint, name) and wire_time(getattr(endpoint, name))
        for name in ("last_used_at", "last_success_at", "failing_since", "next_attempt_at")
    }
    return {
        "id": endpoint.pk,
        "url": endpoint.url,
        "description": endpoint.description,
        "log": endpoint.log,
        "kinds": endpoint.kinds,
        "streams": endpoint.streams,
        "owner": endpoint.owner_id,
        "active": endpoint.active,
        "handler": status.name,
        "state": state_of(endpoint, status.state),
        "cursor": status.cursor,
        "head": status.head,
        "lag": status.lag,
        "held": status.held,
        "parked": status.parked,
        "failures": endpoint.failures,
        "reason": endpoint.reason or status.reason,
        "last_error": endpoint.last_error or status.last_error,
        **moments,
    }


class Command(LogCommand):
    help = "Show webhook endpoints, and how the other side does; or prune deliveries."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("ids", nargs="*", type=int, metavar="ID", help="Only this endpoint.")
        add("--json", action="store_true", help="An array of objects.")
        one = parser.add_mutually_exclusive_group()
        one.add_argument("--test", action="store_true", help="Send a test event; 1 if one fails.")
        one.add_argument("--on", action="store_true", help="Switch on what was switched off.")
        one.add_argument(
            "--prune", action="store_true", help="Forget deliveries older than WEBHOOKS_KEEP."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["prune"]:
            self.say(f"{prune()} deliveries are forgotten.", options)
            return
        found = [one for one in endpoints.every() if not options["ids"] or one.pk in options["ids"]]
        if unknown := set(options["ids"]) - {one.pk for one in found}:
            raise CommandError(f"There is no endpoint {min(unknown)}.")
        if (options["test"] or options["on"]) and not options["ids"]:
            raise CommandError("Say which endpoint: webhooks ID --test.")
        if options["test"]:
            self.test(found, options)
            return
        if options["on"]:
            for endpoint in found:
                endpoint.switch_on()
        rows = [shown(endpoint) for endpoint in found]
        if options["json"]:
            self.print_json([dumps(rows).encode()])
        elif options["verbosity"]:
            self.print_table(rows)

    def test(self, found: list[Endpoint], options: dict[str, Any]) -> None:
        sent = [endpoints.send_test(endpoint) for endpoint in found]
        for one in sent:
            told = one.error or f"it answered {one.status}"
            self.say(f"{one.endpoint_id}: {told}, in {one.milliseconds} ms", options)
        if not all(one.succeeded for one in sent):
            sys.exit(1)

    def print_table(self, found: list[dict[str, Any]]) -> None:
        rows = [COLUMNS, *(tuple(str(row[name]) for name in COLUMNS) for row in found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row, one in zip(rows, [None, *found], strict=True):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
            for name in ("reason", "last_error"):
                if one is not None and one[name]:
                    self.stdout.write(f"    {name.replace('_', ' ')}: {one[name]}")
