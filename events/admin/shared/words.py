"""Numbers and durations as people read them."""

from datetime import datetime

from django.utils.formats import number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from ...backends.figures import BOUND
from ...types import Status

# As a status: a stream that was only emitted to.
UNOPENED = "none"


def number(value: float, digits: int | None = None) -> str:
    return str(number_format(value, digits, use_l10n=True, force_grouping=True))


def bounded(count: int) -> str:
    """A count that stopped at its bound: `1,000+`."""
    return f"{number(BOUND)}+" if count > BOUND else number(count)


def estimated(count: int, is_estimated: bool) -> str:
    """`≈ 1,234` where it is not counted."""
    return "≈ " * is_estimated + number(count)


def rate(per_second: float) -> str:
    """To the hundredth below ten, and whole from there on."""
    if 0 < per_second < 0.01:
        return f"<{number(0.01, 2)}"
    whole = per_second >= 10 or not per_second
    return number(round(per_second)) if whole else number(round(per_second, 2), 2)


def duration(seconds: float) -> str:
    """The two largest units: `3 min 12 s`; of a few seconds a decimal, unless it is zero."""
    if 0 < seconds < 10 and round(seconds, 1) % 1:
        return _("%(number)s s") % {"number": number(seconds, 1)}
    whole = round(max(seconds, 0))
    units = (_("%(number)s d"), _("%(number)s h"), _("%(number)s min"), _("%(number)s s"))
    counts = (whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60)
    first = next((place for place, count in enumerate(counts) if count), 3)
    said = [
        units[place] % {"number": number(counts[place])}
        for place in range(first, min(first + 2, 4))
        if counts[place] or place == 3 == first
    ]
    return " ".join(said)


def date_and_time(moment: datetime) -> str:
    """As in the list of events: it sorts, aligns, and reads the same in every language."""
    return f"{localtime(moment):%Y-%m-%d %H:%M:%S}"


def to_the_millisecond(moment: datetime) -> str:
    return f"{date_and_time(moment)}.{moment.microsecond // 1000:03}"


def status_name(status: str | None) -> str:
    names = {
        Status.RUNNING: _("running"),
        Status.WAITING: _("waiting"),
        Status.COMPLETED: _("completed"),
        Status.FAILED: _("failed"),
        Status.STOPPED: _("stopped"),
    }
    return names[Status(status)] if status else _("not opened")
