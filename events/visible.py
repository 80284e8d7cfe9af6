"""Text that cannot play tricks: what would not be seen, or would move what is, is spelled out."""

import re

# Control characters and ANSI's escape, bidi controls, line separators, and what has no width; but
# not the joiners U+200C and U+200D, with which emoji and several scripts are written.
SUSPECT = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    r"\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff"
    r"\uffa0\ufff9-\ufffb\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """The same with each such character as JSON spells it, so that JSON stays the JSON it was."""
    return SUSPECT.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
