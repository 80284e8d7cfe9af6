"""Streams as readers see them."""

from __future__ import annotations

from django.db.models import QuerySet

from ...models import Stream
from ...types import Status, StreamInfo


def find(streams: QuerySet[Stream], name: str) -> StreamInfo | None:
    found = streams.filter(name=name).first()
    return None if found is None else _info(found)


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
