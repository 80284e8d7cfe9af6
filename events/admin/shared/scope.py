"""Which log a request of the admin's is about, and what its user may see of it.

Everything the admin shows comes through here, so this is the one place where the policy is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from ...conf import DEFAULT_LOG
from ...exceptions import InvalidEvent
from ...log import EventLog, logs
from ...models import Event, EventQuerySet, Log, Stream
from ...types import LogInfo
from ...validation import shown, valid_stream

ATTRIBUTE = "_events_scope"
MAX_BIGINT = 2**63 - 1


def scope_of(request: HttpRequest) -> Scope:
    """The scope of a request, made once: `?log=`, or the first log that has rows."""
    known = getattr(request, ATTRIBUTE, None)
    if known is None:
        known = Scope(request.GET.get("log", ""), request.user)
        setattr(request, ATTRIBUTE, known)
    return known


def use_log(request: HttpRequest, name: str) -> Scope:
    """Have a request be about another log than its address says."""
    scope = Scope(name, request.user)
    setattr(request, ATTRIBUTE, scope)
    return scope


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
        self.unknown = bool(name) and name not in known
        self.log: EventLog = logs[name if name in known else (known or [DEFAULT_LOG])[0]]
        self.name = self.log.name
        self.user = user
        self.given = name
        self._answers: dict[str | None, bool] = {}

    @property
    def problem(self) -> str:
        """Why there is nothing to show, whatever is asked; empty if there may be something."""
        if self.unknown:
            return _("There is no log %(name)s with entries in a database.") % {
                "name": shown(self.given)
            }
        if not self.is_stored:
            return _("This log keeps its entries outside of the database.")
        return ""

    @property
    def is_stored(self) -> bool:
        """Are its entries rows?"""
        return self.log.backend.in_database

    @property
    def alias(self) -> str:
        """The log's own database, whatever a router says."""
        return self.log.backend.alias

    @cached_property
    def info(self) -> LogInfo:
        """Where the log stands for its readers: the floor is the effective one."""
        return self.log.info()

    @cached_property
    def pk(self) -> int:
        found = Log.objects.using(self.alias).filter(name=self.name).values_list("pk", flat=True)
        return next(iter(found), 0)

    # What the policy says

    @property
    def everything(self) -> bool:
        return self.allows(None)

    def allows(self, stream: str | None) -> bool:
        """The policy's answer; it may look in a database, so it is asked once for each name."""
        if stream not in self._answers:
            self._answers[stream] = bool(self.log.policy.can_read(self.user, stream))
        return self._answers[stream]

    def may_see(self, stream: str) -> bool:
        """May this user see the entries of a stream, or with "" those in none?"""
        return self.everything or (is_stream(stream) and self.allows(stream))

    def shows(self, stream: str | None) -> bool:
        """May this user see these entries, all of them or those of a stream, if there are any?"""
        if self.problem:
            return False
        return self.everything if stream is None else self.may_see(stream)

    # What there is to see

    def events(
        self, stream: str | None = None, *, above: int = 0, upto: int = MAX_BIGINT
    ) -> EventQuerySet:
        """The entries that are served, of one stream or of all, as far as this user may see.

        Bounds belong in `above` and `upto`: of two conditions on one side SQLite takes the first
        one to the index, and looks at every row up to the second.
        """
        info = self.info
        return self.rows(stream).filter(
            position__gt=max(info.floor, above), position__lte=min(info.head, upto)
        )

    def rows(self, stream: str | None = None) -> EventQuerySet:
        """The same without bounds, for a keyset, which has them."""
        if not self.shows(stream):
            return self.nothing
        found = Event.objects.using(self.alias).filter(log_id=self.pk)
        return found if stream is None else found.filter(stream=stream)

    def serves(self, row: Event | Stream) -> bool:
        """May this user see this row of the log?"""
        if isinstance(row, Stream):
            return self.may_see(row.name)
        return self.info.floor < row.position <= self.info.head and self.may_see(row.stream)

    def streams(self, name: str | None = None) -> Any:
        """The same for streams."""
        if not self.shows(name):
            return Stream.objects.using(self.alias).none()
        # What is in the outbox gets its place first. No assertion: under `python -O` it would not.
        _ = self.info
        found = Stream.objects.using(self.alias).filter(log_id=self.pk)
        return found if name is None else found.filter(name=name)

    @property
    def nothing(self) -> EventQuerySet:
        return Event.objects.using(self.alias).none()


def is_stream(name: str) -> bool:
    """Can this be a stream's name? A policy is not asked about what is none."""
    try:
        return bool(valid_stream(name))
    except InvalidEvent:
        return False


def opens(request: HttpRequest) -> bool:
    """Do the admin's pages open for this user? What stands on them the policy says by itself."""
    if request.user.has_perm("events.view_event"):
        return True
    scope = scope_of(request)
    return scope.everything or any(scope.may_see(name) for name in asked_for(request))


def asked_for(request: HttpRequest) -> Iterator[str]:
    """The streams that a request names: in the filter, or in the search box."""
    for text in (request.GET.get("stream", ""), request.GET.get("q", "")):
        name = text.strip().removeprefix("stream:")
        if is_stream(name):
            yield name
