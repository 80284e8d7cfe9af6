"""What an event loop has one of for each log: it holds its loop, so neither would go by itself."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")

Registry = dict[asyncio.AbstractEventLoop, dict[str, T]]


def here(registry: Registry[T]) -> dict[str, T]:
    """The running loop's, by log."""
    # A loop that was closed in the middle of things has not tidied up.
    for loop in [loop for loop in list(registry) if loop.is_closed()]:
        registry.pop(loop, None)
    return registry.setdefault(asyncio.get_running_loop(), {})


def forget(registry: Registry[T], log: str, held: T) -> None:
    """Let go of what the running loop has for a log, unless that is another by now."""
    loop = asyncio.get_running_loop()
    by_log = registry.get(loop, {})
    if by_log.get(log) is held:
        del by_log[log]
    if not by_log:
        registry.pop(loop, None)
