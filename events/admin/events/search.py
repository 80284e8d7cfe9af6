"""What was typed into the search box."""

from __future__ import annotations

import re
from typing import NamedTuple

from django.utils.translation import gettext as _

from ...validation import shown
from ..shared.keyset import whole

POSITION = re.compile(r"#?([0-9]{1,30})")
PREFIXES = ("stream", "kind")


class Search(NamedTuple):
    """One of them at most is given, or a stream together with a kind. `bare` is a word that says
    nothing about itself: what it names has to be looked up."""

    stream: str | None = None
    kind: str | None = None
    key: str | None = None
    position: int | None = None
    bare: str | None = None
    problem: str = ""


def parse(text: str) -> Search:
    """`#123`, `key:abc`, `stream:run-42 kind:turn.*`, or a word."""
    text = text.strip()
    if not text:
        return Search()
    if position := POSITION.fullmatch(text):
        return Search(position=whole(position[1]))
    # A key may hold anything, also spaces.
    if text.startswith("key:"):
        return Search(key=text.removeprefix("key:").strip())
    words = [word.partition(":") for word in text.split()]
    if not all(colon and name in PREFIXES for name, colon, _value in words):
        return Search(kind=text) if text.endswith("*") else Search(bare=text)
    found = {name: value for name, _colon, value in words}
    if len(found) < len(words) or not all(found.values()):
        return Search(problem=nonsense(text))
    return Search(stream=found.get("stream"), kind=found.get("kind"))


def nonsense(text: str) -> str:
    return _(
        "%(text)s cannot be searched for. Write a stream, a key, #123 for a position, "
        "kind:turn.* or stream:run-42."
    ) % {"text": shown(text)}
