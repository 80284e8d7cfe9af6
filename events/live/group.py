"""The Channels groups of a log: where processes tell each other that there is something to read.

A log has two. `events.<log>` is for the project's own consumers. Ours listen in a group whose name
holds the project's mark, because two projects on one Redis would wake each other for nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from channels.exceptions import InvalidChannelLayerError
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.crypto import salted_hmac

from ..backends.base import BaseBackend

logger = logging.getLogger("events")

# Seconds after which a membership is renewed: a flushed Redis has forgotten it, and channels_redis
# forgets it after a day by itself.
REJOIN = 60.0
# Seconds between attempts to reach the layer, at the least and at the most.
FIRST_PAUSE, LAST_PAUSE = 0.5, 10.0
# Seconds that joining and leaving may take.
MEMBER_TIMEOUT = 2.0


def group_name(log: str) -> str:
    """The group that a project's own consumers join."""
    return f"events.{log}"


def inner_group_name(log: str) -> str:
    """The group of the project's server processes, which all have one SECRET_KEY."""
    return f"events-{salted_hmac('events.group', '').hexdigest()[:12]}.{log}"


@cache
def _is_configured() -> bool:
    """Remembered: to find that a setting is not there takes Django as long as a small statement."""
    return DEFAULT_CHANNEL_LAYER in channel_layers


@receiver(setting_changed)
def _look_again(*, setting: str, **kwargs: Any) -> None:
    if setting == "CHANNEL_LAYERS":
        _is_configured.cache_clear()


def channel_layer() -> Any:
    """The project's layer; None if it has none, or one that cannot be made."""
    # A layer that was put there by hand is in `backends` alone.
    if not _is_configured() and not channel_layers.backends:
        return None
    try:
        return get_channel_layer()
    except (InvalidChannelLayerError, ImportError):
        return None


def crosses_processes(layer: Any) -> bool:
    return layer is not None and not isinstance(layer, InMemoryChannelLayer)


async def listen(backend: BaseBackend, heard: Callable[[], None]) -> None:
    """Call `heard` at every hint from another process, for ever. The store carries them if its appends
    do that by themselves; else the channel layer, and where none crosses processes, the store if it
    can. One that cannot be reached costs time and no event: whoever listens polls as well."""
    layer, log = channel_layer(), backend.name
    if backend.hints_itself or not crosses_processes(layer):
        if backend.carries_hints:
            loop = asyncio.get_running_loop()
            stop = backend.hear(lambda: loop.call_soon_threadsafe(heard))
            try:
                await loop.create_future()
            finally:
                stop()
        return
    pause = 0.0
    while True:
        try:
            async with member(layer, inner_group_name(log)) as channel:
                pause = 0.0
                heard()  # what was told before we joined
                async with asyncio.timeout(REJOIN):
                    while True:
                        await layer.receive(channel)
                        heard()
        except TimeoutError:
            continue
        except Exception:
            if not pause:
                logger.warning(
                    "Log %r: the channel layer fails; polling goes on.", log, exc_info=True
                )
            pause = min(max(pause * 2, FIRST_PAUSE), LAST_PAUSE)
            await asyncio.sleep(pause)


@asynccontextmanager
async def member(layer: Any, group: str) -> AsyncIterator[str]:
    """A channel that is in the group until the block ends."""
    async with asyncio.timeout(MEMBER_TIMEOUT):
        channel: str = await layer.new_channel()
        await layer.group_add(group, channel)
    try:
        yield channel
    finally:
        with suppress(Exception):
            async with asyncio.timeout(MEMBER_TIMEOUT):
                await layer.group_discard(group, channel)
