"""How the logs stand, for Prometheus, once a project's `ready()` has called `register()`.

The numbers are read from the database at each scrape, so one process of a site is enough;
`events_followers` alone is about the process that is asked.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from .log import logs
from .status import status_of

logger = logging.getLogger("events")

# The fields of a `LogStatus`, as Prometheus calls them.
GAUGES = {
    "head": ("events_head", "Newest position of the log; its rate is the rate of events."),
    "floor": ("events_floor", "Position up to which entries are gone."),
    "count": ("events_entries", "Entries that are there."),
    "outbox": ("events_outbox", "Committed events that wait for their positions."),
    "outbox_age": ("events_outbox_age_seconds", "Since the first of these was emitted."),
    "set_aside": ("events_set_aside", "Committed events that could not get a position."),
    "open_streams": ("events_streams_open", "Streams that are running or waiting."),
    "overdue_streams": ("events_streams_overdue", "Running streams past their idle timeout."),
    "followers": ("events_followers", "Readers that follow the log in this process."),
}
UP = ("events_up", "1 if the log's numbers could be read.")


class EventsCollector(Collector):
    """Reads the numbers of every log when it is asked. A log whose database does not answer has
    `events_up` 0 and no others, and does not keep the rest from being shown."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(*UP, labels=["log"])
        gauges = {field: GaugeMetricFamily(*GAUGES[field], labels=["log"]) for field in GAUGES}
        for name in logs:
            try:
                found = asdict(status_of(logs[name]))
            except Exception:
                logger.warning("Log %r: its metrics cannot be read.", name, exc_info=True)
                up.add_metric([name], 0)
                continue
            up.add_metric([name], 1)
            for field, gauge in gauges.items():
                if found[field] is not None:
                    gauge.add_metric([name], found[field])
        yield up
        yield from gauges.values()

    def describe(self) -> Iterator[Metric]:
        """Said without reading anything: to register must not touch a database."""
        for known in (UP, *GAUGES.values()):
            yield GaugeMetricFamily(*known, labels=["log"])


def register(registry: CollectorRegistry = REGISTRY) -> None:
    """Show the logs' numbers in a registry of prometheus_client, the default one if left out."""
    registry.register(EventsCollector())
