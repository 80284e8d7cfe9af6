"""How the handlers stand, for Prometheus, as `events.metrics` has it for the logs.

from events.handlers.metrics import register
register()
"""

import logging
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from .models import State
from .numbers import of_log
from .registry import handlers

logger = logging.getLogger("events")

# Fields of a `Status`, as Prometheus calls them.
GAUGES = {
    "lag": ("events_handler_lag", "Entries between the handler's cursor and the log's head."),
    "held": ("events_handler_held", "Entries that failed and will be tried again."),
    "parked": ("events_handler_parked", "Entries that failed and wait for a person."),
}
RUNNER = ("events_handler_runner", "1 if a process is there that runs it.")
UP = ("events_handler_up", "1 if the handler runs, 0 if it is paused or has stopped.")


class HandlersCollector(Collector):
    """Reads where every handler stands when it is asked. Those of a log that does not answer are
    left out, and do not keep the rest from being shown."""

    def collect(self) -> Iterator[Metric]:
        families = dict(zip(("up", "runner", *GAUGES), self.describe(), strict=True))
        for log in sorted({spec.log for spec in handlers.specs().values()}):
            try:
                found = of_log(log)
            except Exception:
                logger.warning("Log %r: its handlers' metrics cannot be read.", log, exc_info=True)
                continue
            for row in found:
                row["up"] = row["state"] == State.RUNNING
                for field, family in families.items():
                    family.add_metric([row["name"]], row[field])
        yield from families.values()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Said without reading anything: to register must not touch a database."""
        for known in (UP, RUNNER, *GAUGES.values()):
            yield GaugeMetricFamily(*known, labels=["handler"])


def register(registry: CollectorRegistry = REGISTRY) -> None:
    """Show the handlers' numbers in a registry of prometheus_client, the default one if left out."""
    registry.register(HandlersCollector())
