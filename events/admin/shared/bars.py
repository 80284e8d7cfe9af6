"""What a chart of a log and the picture of a stream have in common."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple


class Tick(NamedTuple):
    x: str
    label: str
    anchor: str


def percent(value: float) -> str:
    return f"{value:.3f}%"


def scaled(seen: Counter[str], total: int) -> dict[str, int]:
    """The counts of a sample, made to add up to the total."""
    looked_at = seen.total()
    counts, left = {}, total
    for kind, count in seen.most_common():
        counts[kind] = total * count // looked_at
        left -= counts[kind]
    if counts:
        counts[next(iter(counts))] += left
    return counts
