"""Per-loop registries keyed by log. Values reference their loop, so drop them explicitly."""

import asyncio
from typing import TypeVar

T = TypeVar("T")

Registry = dict[asyncio.AbstractEventLoop, dict[str, T]]


def here(registry: Registry[T]) -> dict[str, T]:
    """The values of the running loop, by log."""
    # A loop that was closed while something ran in it has dropped nothing.
    for loop in [loop for loop in list(registry) if loop.is_closed()]:
        registry.pop(loop, None)
    return registry.setdefault(asyncio.get_running_loop(), {})


def forget(registry: Registry[T], log: str, value: T) -> None:
    """Drop the running loop's value for a log, unless that is another by now."""
    loop = asyncio.get_running_loop()
    by_log = registry.get(loop, {})
    if by_log.get(log) is value:
        del by_log[log]
    if not by_log:
        registry.pop(loop, None)
