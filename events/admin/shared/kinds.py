"""What a kind looks like, on every page: its family, the first part of its name, has a hue, and each
of a family a shade."""

import re

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

# Classes of the style sheet.
TONES, SHADES = 12, 6
OTHER = "events-other"


def family(kind: str) -> str:
    return kind.partition(".")[0]


def look(kind: str) -> str:
    """The same today and tomorrow, with no list to maintain."""
    return f"events-tone-{digest(family(kind)) % TONES} events-shade-{digest(kind) % SHADES}"


def digest(text: str) -> int:
    """FNV-1a: hash() is another one in each process."""
    found = 2_166_136_261
    for byte in text.encode():
        found = (found ^ byte) * 16_777_619 % 2**32
    return found


def chip(kind: str) -> SafeString:
    """With places between its parts where a line may end."""
    parts = mark_safe(re.sub("[._](?=.)", r"\g<0><wbr>", escape(kind)))  # nosec B308 B703 # escaped
    return format_html('<span class="events-kind {}">{}</span>', look(kind), parts)
