"""Who may read and emit what: one object, asked by every transport."""

from collections.abc import Sequence
from typing import Any, Protocol


class Policy(Protocol):
    """Name a class with these two methods in `EVENTS[…]["POLICY"]`.

    `stream` is None for everything: the whole log, the list of its streams, an event in no
    stream. A policy that hides any stream answers False to `can_read(user, None)`.

    Three more are optional. `can_read_prefix(user, prefix)` speaks for all the streams whose names
    begin so; without it, prefixes are for those who may read everything. `count_as(user, request)`
    says whose a connection is when connections are limited. And `can_delete(user, stream)` is asked
    when a durable stream is to be deleted over HTTP.
    """

    def can_read(self, user: Any, stream: str | None) -> bool: ...

    def can_emit(self, user: Any, stream: str | None) -> bool: ...


class DefaultPolicy:
    """Django's own permissions, for all streams alike."""

    def can_read(self, user: Any, stream: str | None) -> bool:
        return user is not None and bool(user.has_perm("events.view_event"))

    def can_emit(self, user: Any, stream: str | None) -> bool:
        return user is not None and bool(user.has_perm("events.add_event"))


def may_read(policy: Policy, user: Any, streams: Sequence[str | None]) -> bool:
    """May this user read all of these: names, and prefixes that end in `*`? None of them, or None,
    stands for everything."""
    return all(_may_read(policy, user, stream) for stream in streams or (None,))


def _may_read(policy: Policy, user: Any, stream: str | None) -> bool:
    # A policy is never asked about a prefix as if it were a name: one that hides `secret-1` by its
    # name would grant `s*`.
    if stream is None or not stream.endswith("*"):
        return policy.can_read(user, stream)
    can_read_prefix = getattr(policy, "can_read_prefix", None)
    if can_read_prefix is None:
        return policy.can_read(user, None)
    return bool(can_read_prefix(user, stream[:-1]))
