"""The page of one event: what stands on it, and where one can go from there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...models import Event
from ...types import wire_time
from ...wire import dumps
from ..shared import links
from ..shared.kinds import chip
from ..shared.payloads import pretty
from ..shared.visible import visible
from .search import FIELDS
from .views import EventViews

# Characters of a payload that are shown.
MOST = 200_000
# Django's own stand-in for it is for lists alone.
NOTHING = "–"


class EventPage(EventViews):
    fields = (
        "position", "exactly", "what", "where", "number", "shown_key", "why", "beside", "payload_",
    )  # fmt: skip
    readonly_fields = fields

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """With the scope that it was found in."""
        if found := self.found(request, object_id):
            found[1].scope = found[0]
        return found and found[1]

    @admin.display(description=gettext_lazy("time"))
    def exactly(self, event: Any) -> SafeString:
        zone = localtime(event.timestamp).tzname()
        return format_html("{} {} · {}", moment(event, "microseconds"), zone, ago(event))

    @admin.display(description=gettext_lazy("kind"))
    def what(self, event: Event) -> SafeString:
        return chip(event.kind)

    @admin.display(description=gettext_lazy("stream"))
    def where(self, event: Any) -> str:
        name, site, log = event.stream, self.admin_site.name, event.scope.name
        if not name:
            return NOTHING
        pk = event.scope.streams(name).values_list("pk", flat=True).first()
        timeline = link(name, links.timeline(site, log, name, pk))
        return format_html(
            "{} · {}", timeline, link(_("its events"), links.events(site, log, stream=name))
        )

    @admin.display(description=gettext_lazy("seq"))
    def number(self, event: Event) -> int | str:
        return event.seq or NOTHING

    @admin.display(description=gettext_lazy("key"))
    def shown_key(self, event: Event) -> str:
        return visible(event.key or NOTHING)

    @admin.display(description=gettext_lazy("context"))
    def why(self, event: Any) -> str:
        """Who and why, each with a link to its like."""
        return pairs(
            (name, self.like(event, name, value)) for name, value in (event.context or {}).items()
        )

    def like(self, event: Any, name: str, value: object) -> SafeString:
        said = value if isinstance(value, str) else dumps(value)
        address = None
        if name in FIELDS and said:
            address = links.events(self.admin_site.name, event.scope.name, q=f"{name}:{said}")
        return link(visible(said), address)

    @admin.display(description=gettext_lazy("neighbours"))
    def beside(self, event: Any) -> str:
        """Before and after it: in the log, for those who see all of it, and in its stream."""
        threads = [(_("In the log"), None)] if event.scope.everything else []
        if event.stream:
            threads.append((_("In the stream"), event.stream))
        # One link of each kind: a page has one next page.
        rels = [("prev", "next"), ("", "")]
        return pairs(
            (
                title,
                joined(
                    [
                        self.step(event, stream, _("‹ Previous"), "-position", rel[0]),
                        self.step(event, stream, _("Next ›"), "position", rel[1]),
                    ]
                ),
            )
            for (title, stream), rel in zip(threads, rels, strict=False)
        )

    def step(self, event: Any, stream: str | None, title: str, order: str, rel: str) -> SafeString:
        at, scope = event.position, event.scope
        bound = {"upto": at - 1} if order == "-position" else {"above": at}
        rows = scope.events(stream, **bound).order_by(order).values_list("pk", "position")
        for pk, position in rows[:1]:
            address = links.within(self.admin_site.name, "event_change", pk, log=scope.name)
            return link(title, address, rel=rel, title=f"#{position}")
        return link(title, None)

    @admin.display(description=gettext_lazy("payload"))
    def payload_(self, event: Any) -> SafeString:
        """Indented, with a button that a script makes work; what is cut is whole as raw JSON."""
        text, log = pretty(event.payload), event.scope.name
        raw = links.within(self.admin_site.name, "event_json", event.pk, log=log)
        tools = [link(_("Raw JSON"), raw)]
        if address := links.api_of(event.position, log):
            tools.append(link(_("In the API"), address))
        if len(text) <= MOST:
            button = (
                '<button type="button" class="button" data-copy data-copied="{}" hidden>{}</button>'
            )
            tools.insert(0, format_html(button, _("Copied"), _("Copy")))
        return format_html(
            '<p class="events-tools">{}</p><pre class="events-payload">{}</pre>{}',
            joined(tools),
            text[:MOST],
            _("Cut here: the whole of it is the raw JSON.") if len(text) > MOST else "",
        )


def link(text: str, address: str | None, **attributes: str) -> SafeString:
    if not address:
        return format_html("<span>{}</span>", text)
    some = format_html_join("", ' {}="{}"', (pair for pair in attributes.items() if pair[1]))
    return format_html('<a href="{}"{}>{}</a>', address, some, text)


def joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join(" ", "{}", ((part,) for part in parts))


def pairs(some: Iterable[tuple[str, SafeString]]) -> str:
    rows = format_html_join("", "<li><span>{}</span> {}</li>", some)
    return format_html('<ul class="events-pairs">{}</ul>', rows) if rows else NOTHING


def moment(event: Any, precision: str) -> SafeString:
    """To be read, with how long ago that was when one points at it."""
    local = localtime(event.timestamp).replace(tzinfo=None)
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        wire_time(event.timestamp),
        ago(event),
        SafeString(' class="events-here"') if getattr(event, "is_wanted", False) else "",
        local.isoformat(" ", precision),
    )


def ago(event: Any) -> str:
    if datetime.now(UTC) - event.timestamp < timedelta(minutes=1):
        return _("less than a minute ago")
    return _("%(time)s ago") % {"time": timesince(event.timestamp)}
