"""Two small helps with SQL lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# Values in one IN (…): fewer than any database's limit.
LIST = 500


def chunks(values: Sequence[T], size: int = LIST) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))
