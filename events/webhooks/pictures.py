"""How an endpoint has done: its deliveries by success, and by how long they took."""

from collections import Counter

from django.utils.translation import gettext as _

from ..admin.shared.charts import Chart, bars
from ..backends.figures import Stretch
from ..log import logs
from ..types import to_micros
from . import conf
from .models import Delivery, Endpoint

# Deliveries that are looked at, bars, and the shortest time that a picture shows, in microseconds.
MOST, BARS, SHORTEST = 5000, 40, 3_600_000_000
# Milliseconds up to which a delivery counts as so fast.
CLASSES = (100, 1000, 5000)


def pictures(endpoint: Endpoint) -> list[Chart]:
    """Nothing, before the first delivery."""
    now = logs[endpoint.log].backend.now()
    since = now - round(conf.seconds("KEEP") * 1_000_000)
    rows = Delivery.objects.using(endpoint._state.db).filter(endpoint=endpoint, at__gte=since)
    some = rows.order_by("-at")[:MOST]
    found = [(to_micros(one.at), one.status, one.milliseconds) for one in some]
    if not found:
        return []
    start = min(found[-1][0], now - SHORTEST)
    width = (now - start) // BARS + 1
    outcomes: list[Counter[str]] = [Counter() for _ in range(BARS)]
    times: list[Counter[str]] = [Counter() for _ in range(BARS)]
    for at, status, milliseconds in found:
        place = min(max((at - start) // width, 0), BARS - 1)
        outcomes[place][outcome(status)] += 1
        times[place][time_class(milliseconds)] += 1
    return [
        bars("outcomes", _("Answers"), stretches(outcomes, start, width)),
        bars("times", _("How long they took"), stretches(times, start, width)),
    ]


def stretches(counters: list[Counter[str]], start: int, width: int) -> list[Stretch]:
    return [
        Stretch(start + n * width, start + (n + 1) * width, found.total(), found)
        for n, found in enumerate(counters)
    ]


def outcome(status: int | None) -> str:
    return "-" if status is None else f"{status // 100}xx"


def time_class(milliseconds: int) -> str:
    most = next((one for one in CLASSES if milliseconds <= one), None)
    return f"> {CLASSES[-1]} ms" if most is None else f"≤ {most} ms"
