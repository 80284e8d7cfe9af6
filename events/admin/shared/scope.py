"""Which log a request of the admin's is about, and what its user may see of it.

Everything the admin shows comes through here, so this is the one place where the policy is asked.
"""

from functools import cache, cached_property
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from ...conf import DEFAULT_LOG
from ...exceptions import InvalidEvent
from ...log import logs
from ...models import Event, EventQuerySet, Log, Stream
from ...types import LogInfo
from ...validation import shown, valid_stream

ATTRIBUTE = "_events_scope"
MAX_BIGINT = 2**63 - 1


def log_names() -> list[str]:
    """The stored logs, `default` first."""
    names = [name for name in logs if logs[name].backend.in_database]
    return sorted(names, key=lambda name: (name != DEFAULT_LOG, name))


class Scope:
    """A log as one user sees it.

    `everything` is the policy's answer about the whole log. Who is refused that sees only the
    stream that they name, if the policy lets them; what is forbidden looks as if it were missing.
    """

    def __init__(self, name: str, user: Any) -> None:
        known = log_names()
        # A name that is no log's must not show another log in its place.
        log = self.log = logs[name if name in known else (known or [DEFAULT_LOG])[0]]
        self.name, self.given = log.name, name
        # The log's own database, whatever a router says.
        self.alias = log.backend.alias
        # The policy may look in a database, so it is asked once for each name.
        self.allows = cache(lambda stream: bool(log.policy.can_read(user, stream)))
        # Why there is nothing to show, whatever is asked.
        self.problem = ""
        if name and name not in known:
            problem = _("There is no log %(name)s with entries in a database.")
            self.problem = problem % {"name": shown(name)}
        elif not log.backend.in_database:
            self.problem = _("This log keeps its entries outside of the database.")

    @cached_property
    def info(self) -> LogInfo:
        """Where the log stands for its readers: the floor is the effective one."""
        return self.log.info()

    @cached_property
    def pk(self) -> int:
        found = Log.objects.using(self.alias).filter(name=self.name).values_list("pk", flat=True)
        return next(iter(found), 0)

    @property
    def everything(self) -> bool:
        return self.allows(None)

    def shows(self, stream: str | None = None) -> bool:
        """May this user see these entries, all of them, those of a stream, or with "" those in
        none, if there are any?"""
        if self.problem or self.everything:
            return not self.problem
        return is_stream(stream or "") and self.allows(stream)

    # What there is to see

    def rows(self, stream: str | None = None) -> EventQuerySet:
        """The entries of one stream or of all, as far as this user may see; for a keyset, which has
        bounds."""
        if not self.shows(stream):
            return Event.objects.using(self.alias).none()
        found = Event.objects.using(self.alias).filter(log_id=self.pk)
        return found if stream is None else found.filter(stream=stream)

    def events(
        self, stream: str | None = None, *, above: int = 0, upto: int = MAX_BIGINT
    ) -> EventQuerySet:
        """Those that are served.

        Bounds belong in `above` and `upto`: of two conditions on one side SQLite takes the first
        one to the index, and looks at every row up to the second.
        """
        low, high = max(self.info.floor, above), min(self.info.head, upto)
        return self.rows(stream).filter(position__gt=low, position__lte=high)

    def streams(self, name: str | None = None) -> Any:
        """The same for streams."""
        if not self.shows(name):
            return Stream.objects.using(self.alias).none()
        # What is in the outbox gets its place first. No assertion: under `python -O` it would not.
        _ = self.info
        found = Stream.objects.using(self.alias).filter(log_id=self.pk)
        return found if name is None else found.filter(name=name)

    def serves(self, row: Event | Stream) -> bool:
        """May this user see this row of the log?"""
        if isinstance(row, Stream):
            return self.shows(row.name)
        return self.info.floor < row.position <= self.info.head and self.shows(row.stream)


def scope_of(request: HttpRequest, log: str = "") -> Scope:
    """The scope of a request, made once: `?log=`, or the first log that has rows. Or anew, to have
    the request be about another log than its address says."""
    if log or not hasattr(request, ATTRIBUTE):
        setattr(request, ATTRIBUTE, Scope(log or request.GET.get("log", ""), request.user))
    found: Scope = getattr(request, ATTRIBUTE)
    return found


def is_stream(name: str) -> bool:
    """Can this be a stream's name? A policy is not asked about what is none."""
    try:
        return bool(valid_stream(name))
    except InvalidEvent:
        return False


def opens(request: HttpRequest) -> bool:
    """Do the admin's pages open for this user? What stands on them the policy says by itself; it
    also lets in who names a stream, in the filter or in the search box."""
    scope = scope_of(request)
    named = (request.GET.get(name, "").strip() for name in ("stream", "q"))
    return (
        request.user.has_perm("events.view_event")
        or scope.everything
        or any(scope.shows(text.removeprefix("stream:")) for text in named)
    )
