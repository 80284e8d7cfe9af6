"""What a kind looks like: its family, the first part of its name, has a colour of its own."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

TONES = 12  # .events-tone-0 to .events-tone-11 in kinds.css


def family(kind: str) -> str:
    return kind.partition(".")[0]


def tone(kind: str) -> int:
    """FNV-1a of the family: the same colour today and tomorrow, with no list to maintain. Not
    hash(), which is another one in each process; and live.js has to find the same."""
    digest = 2_166_136_261
    for byte in family(kind).encode():
        digest = (digest ^ byte) * 16_777_619 % 2**32
    return digest % TONES


def chip(kind: str) -> SafeString:
    return format_html('<span class="events-kind events-tone-{}">{}</span>', tone(kind), kind)
