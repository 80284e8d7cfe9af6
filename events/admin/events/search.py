"""What was typed into the search box."""

import re

from django.utils.translation import gettext as _

from ...validation import shown
from ...wire import dumps

POSITION = re.compile(r"#?([0-9]{1,30})")
# Of an event's context: who did it, and in the course of what.
FIELDS = ("actor", "request", "trace")
PREFIX = f"(?:stream|kind|key|{'|'.join(FIELDS)}):"


class Nonsense(ValueError):
    def __init__(self, text: str) -> None:
        said = _(
            "%(text)s cannot be searched for. Write a stream, a key, #123 for a position, "
            "kind:turn.*, stream:run-42 or actor:7."
        )
        super().__init__(said % {"text": shown(text)})


def parse(text: str) -> dict[str, str]:
    """`#123`, `key:abc`, `stream:run-42 kind:turn.*`, by names; or a word, under "": what that
    names has to be looked up."""
    if position := POSITION.fullmatch(text):
        return {"position": position[1]}
    if "\0" in text:
        raise Nonsense(text)
    if not re.match(PREFIX, text):
        return {"": text} if text else {}
    # A key may hold anything, also spaces.
    parts = [part.split(":", 1) for part in re.split(rf"\s+(?={PREFIX})", text)]
    found = {name: value.strip() for name, value in parts}
    if len(found) < len(parts) or not all(found.values()):
        raise Nonsense(text)
    return found


def spellings(name: str, value: str) -> tuple[str, ...]:
    """What is in the text of every context with this field, and in no other: a name is followed by
    a colon, and a quote within a value by none. The value may have been a number as well."""
    bare = f'"{name}":{value}'
    return dumps({name: value})[1:-1], f"{bare},", f"{bare}}}"
