"""Who wants to know, in this process, that a log has grown.

A hint says "look", never what there is to see: it may come late, twice or not at all, and costs
a listener time, never an event.
"""

import logging
from collections.abc import Callable

logger = logging.getLogger("events")

# Called with a log's name and a head that it has reached.
Listener = Callable[[str, int], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    if listener not in _listeners:
        _listeners.append(listener)


def forget(listener: Listener) -> None:
    if listener in _listeners:
        _listeners.remove(listener)


def send(log: str, head: int) -> None:
    """Tell every listener. Called after a commit, so it never raises: the data is safe."""
    for listener in _listeners:
        try:
            listener(log, head)
        except Exception:
            logger.warning("Log %r: a listener failed.", log, exc_info=True)
