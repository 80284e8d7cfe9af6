"""Who may read and emit what: one object, asked by every transport."""

from __future__ import annotations

from typing import Any, Protocol


class Policy(Protocol):
    """Name a class with these two methods in `EVENTS[…]["POLICY"]`.

    `stream` is None for everything: the whole log, the list of its streams, an event in no
    stream. A policy that hides any stream answers False to `can_read(user, None)`.

    Optional: `count_as(user, request)` says whose a connection is when connections are limited.
    """

    def can_read(self, user: Any, stream: str | None) -> bool: ...

    def can_emit(self, user: Any, stream: str | None) -> bool: ...


class DefaultPolicy:
    """Django's own permissions, for all streams alike."""

    def can_read(self, user: Any, stream: str | None) -> bool:
        return user is not None and bool(user.has_perm("events.view_event"))

    def can_emit(self, user: Any, stream: str | None) -> bool:
        return user is not None and bool(user.has_perm("events.add_event"))
