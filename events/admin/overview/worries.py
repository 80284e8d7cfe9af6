"""What there is to worry about in a log."""

from collections.abc import Iterator

from django.utils.translation import gettext, ngettext

from ...backends.base import DELETE_BATCH
from ...backends.figures import BOUND, Figures
from ...log import EventLog
from ...types import from_micros
from ..shared.words import bounded, date_and_time, number


def worries(log: EventLog, one: Figures, undrained: bool) -> Iterator[str]:
    if undrained:
        yield ngettext(
            "The outbox is not drained: %(number)s committed event waits for its position. "
            "The next emit or manage.py reconcile_streams gives it one.",
            "The outbox is not drained: %(number)s committed events wait for their positions. "
            "The next emit or manage.py reconcile_streams gives them theirs.",
            one.pending,
        ) % {"number": bounded(one.pending)}
    if one.ahead:
        yield gettext(
            "The newest event is from the future: until %(time)s every event gets that time. "
            "If it came of a wrong clock, run manage.py renew_epoch --reset-clock."
        ) % {"time": date_and_time(from_micros(one.ahead))}
    if one.refused:
        yield ngettext(
            "%(number)s event was set aside, since it cannot become an entry: see below.",
            "%(number)s events were set aside, since they cannot become entries: see below.",
            one.refused,
        ) % {"number": bounded(one.refused)}
    # More than one batch, or for longer than the entries were to be kept in the first place.
    overdue = log.settings.ttl is not None and one.oldest_age > 2 * log.settings.ttl
    if one.expired > DELETE_BATCH or (one.expired and overdue):
        yield ngettext(
            "Pruning is behind: %(number)s entry has expired and is still stored. "
            "Run manage.py prune_events regularly.",
            "Pruning is behind: %(number)s entries have expired and are still stored. "
            "Run manage.py prune_events regularly.",
            one.expired,
        ) % {"number": number(one.expired)}
    # More than one batch, or in a small log more than a tenth of it.
    if one.beyond > min(DELETE_BATCH, (log.settings.max_entries or 0) // 10):
        yield ngettext(
            "Pruning is behind: the log has %(number)s entry more than MAX_ENTRIES. "
            "Run manage.py prune_events regularly.",
            "Pruning is behind: the log has %(number)s entries more than MAX_ENTRIES. "
            "Run manage.py prune_events regularly.",
            one.beyond,
        ) % {"number": number(one.beyond)}
    if one.idle:
        yield ngettext(
            "%(number)s running stream is past its idle timeout, and nothing reconciles: "
            "keep manage.py reconcile_streams --loop 10 running.",
            "%(number)s running streams are past their idle timeouts, and nothing reconciles: "
            "keep manage.py reconcile_streams --loop 10 running.",
            min(one.idle, BOUND),
        ) % {"number": bounded(one.idle)}
