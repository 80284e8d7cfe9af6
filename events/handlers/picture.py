"""How far behind a handler was in the last hour, as a small picture."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from ..admin.shared.charts import Chart, bars
from ..admin.shared.words import number
from ..backends.figures import Stretch
from . import samples

MINUTE = 60_000_000


def picture(lags: Sequence[int]) -> Chart:
    """A bar for each minute, the last of which is this one."""
    first = samples.this_minute() - len(lags) + 1
    stretches = [
        Stretch((first + place) * MINUTE, (first + place + 1) * MINUTE, lag, {})
        for place, lag in enumerate(lags)
    ]
    said = _("Now %(now)s, and at most %(most)s.")
    return bars("lag", _("Lag in the last hour"), stretches)._replace(
        summary=said % {"now": number(lags[-1]), "most": number(max(lags))},
        # Of kinds of events, and sums of them.
        legend=[],
        table=[],
    )
