"""A payload to be read: folded, coloured, cut where it is long, and nothing in it alive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .visible import visible

# Folded open down to this depth, if there are no more members than that.
OPEN_DEPTH, OPEN_MEMBERS = 3, 50
# Characters of a text that are shown before it is cut, and values on a page.
LONG, START = 400, 200
MOST = 3_000


# Characters of a payload in its row.
EXCERPT = 140


def light(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Events with the `start` of their payload alone: the database cuts it, so that a page of
    large ones is light."""
    cut: QuerySet[Any] = rows.defer("payload").annotate(start=Left("payload", EXCERPT))
    return cut


def excerpt(start: str) -> str:
    return visible(start) + ("…" if len(start) == EXCERPT else "")


def render(payload: Any) -> SafeString:
    return format_html('<div class="events-json">{}</div>', Renderer().value(payload, 1))


def pretty(payload: Any) -> str:
    """The payload as it is copied: the same JSON, indented, with nothing invisible in it."""
    return "\n".join(
        visible(line) for line in json.dumps(payload, indent=2, ensure_ascii=False).split("\n")
    )


class Renderer:
    """One payload, and how many values may yet be shown: a list of a hundred thousand numbers is
    for the raw JSON."""

    def __init__(self) -> None:
        self.left = MOST

    def value(self, value: Any, depth: int) -> SafeString:
        self.left -= 1
        if isinstance(value, dict):
            rows = (self.member(name, one, depth) for name, one in value.items())
            return self.folded(rows, len(value), "{}", depth)
        if isinstance(value, list):
            rows = (self.row(self.value(one, depth + 1)) for one in value)
            return self.folded(rows, len(value), "[]", depth)
        return text(value) if isinstance(value, str) else plain(value)

    def member(self, name: str, value: Any, depth: int) -> SafeString:
        key = format_html('<span class="events-key">{}</span>: ', quoted(name))
        return self.row(key + self.value(value, depth + 1))

    def row(self, content: SafeString) -> SafeString:
        return format_html("<li>{}</li>", content)

    def folded(
        self, rows: Iterator[SafeString], count: int, brackets: str, depth: int
    ) -> SafeString:
        """A list of members that opens and closes without a script."""
        if not count:
            return mark(brackets)
        shown = list(self.affordable(rows))
        if len(shown) < count:
            note = _("… and %(count)s more in the raw JSON") % {"count": count - len(shown)}
            shown.append(format_html('<li class="events-more">{}</li>', note))
        is_open = depth <= OPEN_DEPTH and count <= OPEN_MEMBERS
        return format_html(
            "<details{}><summary>{}<span>{}</span></summary><ul>{}</ul>{}</details>",
            SafeString(" open") if is_open else "",
            mark(brackets[0]),
            ngettext("%(count)s member", "%(count)s members", count) % {"count": count},
            joined(shown),
            mark(brackets[1]),
        )

    def affordable(self, rows: Iterator[SafeString]) -> Iterator[SafeString]:
        while self.left > 0:
            if not (some := list(islice(rows, 1))):
                return
            yield from some


def joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def mark(bracket: str) -> SafeString:
    return format_html('<span class="events-bracket">{}</span>', bracket)


def plain(value: Any) -> SafeString:
    """A number, true, false or null."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    name = "number" if number else "null" if value is None else "boolean"
    return format_html('<span class="events-{}">{}</span>', name, json.dumps(value))


def text(value: str) -> SafeString:
    """A string, never a link: where it leads is the writer's choice. A long one is cut, and whole
    in a fold of its own."""
    whole = format_html('<span class="events-string">{}</span>', quoted(value))
    if len(value) <= LONG:
        return whole
    start = format_html('<span class="events-string">{}…</span>', quoted(value[:START])[:-1])
    length = ngettext("%(count)s character", "%(count)s characters", len(value))
    return format_html(
        '<details class="events-long"><summary>{} <span>{}</span></summary>{}</details>',
        start,
        length % {"count": len(value)},
        whole,
    )


def quoted(value: str) -> str:
    return visible(json.dumps(value, ensure_ascii=False))
