"""What pruning has to keep: who acts on a log's entries says how far that has come.

`EVENTS[log]["KEEP_UNHANDLED"]` has it asked.
"""

from collections.abc import Callable, Iterable

# For a log's name: who still wants entries, and the position up to which each has done without.
Keeper = Callable[[str], Iterable[tuple[str, int]]]

keepers: list[Keeper] = []


def kept(log: str) -> tuple[str, int] | None:
    """Who wants the oldest entries, and the position up to which they may go."""
    wanted = [one for keeper in keepers for one in keeper(log)]
    return min(wanted, key=lambda one: one[1], default=None)
