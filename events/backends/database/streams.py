"""Streams as readers see them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from ...models import Stream
from ...types import Status, StreamInfo
from .sql import chunks


def find(streams: QuerySet[Stream], names: Sequence[str]) -> dict[str, StreamInfo]:
    return {
        stream.name: _info(stream)
        for some in chunks(names)
        for stream in streams.filter(name__in=some)
    }


def idle(streams: QuerySet[Stream], now: int) -> list[str]:
    """The names of those that seem to have been silent for longer than they may."""
    alive = streams.filter(status=Status.RUNNING, idle_timeout__isnull=False)
    silent = alive.extra(where=["last_event_at + idle_timeout * 1000000 < %s"], params=[now])
    return list(silent.order_by("last_position").values_list("name", flat=True))


def by_activity(
    streams: QuerySet[Stream], limit: int, before: int | None, after: int | None
) -> list[StreamInfo]:
    """The most recently active first; see `BaseBackend.streams`."""
    if after is not None:
        nearest = streams.filter(last_position__gt=after).order_by("last_position")[:limit]
        return [_info(stream) for stream in reversed(nearest)]
    if before is not None:
        streams = streams.filter(last_position__lt=before)
    return [_info(stream) for stream in streams.order_by("-last_position")[:limit]]


def _info(stream: Stream) -> StreamInfo:
    return StreamInfo(
        stream.name,
        Status(stream.status) if stream.status else None,
        stream.seq,
        stream.first_position,
        stream.last_position,
        stream.opened_at,
        stream.closed_at,
        stream.last_event_at,
    )
