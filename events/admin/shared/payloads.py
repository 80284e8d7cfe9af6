"""A payload to be read: nothing in it is alive, and nothing hides."""

import json
import re
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from ...visible import visible

# Characters of a payload in its row.
EXCERPT = 140


def light(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Events with the `start` of their payload alone: the database cuts it, so that a page of
    large ones is light."""
    cut: QuerySet[Any] = rows.defer("payload").annotate(start=Left("payload", EXCERPT))
    return cut


def excerpt(start: str) -> SafeString:
    """With places between its members where a line may end: to a browser, compact JSON is one word."""
    text = escape(visible(start)) + ("…" if len(start) == EXCERPT else "")
    broken = mark_safe(re.sub("(,|&quot;:)", r"\1<wbr>", text))  # nosec B308 B703 # escaped above
    return format_html('<code class="events-excerpt">{}</code>', broken)


def pretty(payload: Any) -> str:
    """The same JSON, indented, with nothing invisible in it."""
    lines = json.dumps(payload, indent=2, ensure_ascii=False).split("\n")
    return "\n".join(map(visible, lines))
