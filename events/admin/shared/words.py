"""Numbers and durations as people read them."""

from __future__ import annotations

from datetime import datetime

from django.utils.formats import number_format
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext as _

from ...backends.figures import BOUND
from ...types import Status


def number(value: float, digits: int | None = None) -> str:
    return str(number_format(value, digits, use_l10n=True, force_grouping=True))


def bounded(count: int) -> str:
    """A count that stopped at its bound: `1,000+`."""
    return f"{number(BOUND)}+" if count > BOUND else number(count)


def estimated(count: int, is_estimated: bool) -> str:
    """`≈ 1,234` where it is not counted."""
    return f"≈ {number(count)}" if is_estimated else number(count)


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
    for size, large, small in (
        (86_400, _("%(number)s d"), _("%(number)s h")),
        (3600, _("%(number)s h"), _("%(number)s min")),
        (60, _("%(number)s min"), _("%(number)s s")),
    ):
        if whole >= size:
            count, rest = divmod(whole, size)
            rest = rest * {86_400: 24, 3600: 60, 60: 60}[size] // size
            said = large % {"number": number(count)}
            return f"{said} {small % {'number': rest}}" if rest else said
    return _("%(number)s s") % {"number": whole}


def local(moment: datetime) -> datetime:
    return localtime(moment) if is_aware(moment) else moment


def clock(moment: datetime) -> str:
    """A moment of today, on an axis."""
    return local(moment).strftime("%H:%M")


def date_and_time(moment: datetime) -> str:
    """As in the list of events: it sorts, aligns, and reads the same in every language."""
    return f"{local(moment):%Y-%m-%d %H:%M:%S}"


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
