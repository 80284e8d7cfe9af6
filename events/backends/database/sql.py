"""Two small helps with SQL lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# Values in one IN (…): fewer than any database's limit.
LIST = 500


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), LIST):
        yield values[start : start + LIST]


def marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))
