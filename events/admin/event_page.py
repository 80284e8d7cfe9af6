"""The page of one event: what stands on it, and where one can go from there."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..models import Event
from . import links, payloads
from .payloads import joined
from .scope import Scope


class EventPage:
    """An event with its neighbours, looked up when the page is made."""

    def __init__(self, event: Event, scope: Scope, site: str) -> None:
        self.event = event
        self.scope = scope
        self.site = site

    def link(self, title: str, address: str | None, rel: str = "", hint: str = "") -> SafeString:
        if not address:
            return format_html('<span class="events-none">{}</span>', title)
        some = [(name, value) for name, value in (("rel", rel), ("title", hint)) if value]
        attributes = format_html_join("", ' {}="{}"', some)
        return format_html('<a href="{}"{}>{}</a>', address, attributes, title)

    def to(self, event: tuple[int, int] | None) -> str | None:
        """The page of a neighbour, by its primary key and position."""
        if event is None:
            return None
        return links.within(self.site, "event_change", event[0], log=self.scope.name)

    def neighbours(self) -> SafeString:
        """Before and after it: in the log, for those who see all of it, and in its stream."""
        rows = []
        if self.scope.everything:
            rows.append(self.pair(_("In the log"), None, rel=True))
        if self.event.stream:
            rows.append(self.pair(_("In the stream"), self.event.stream, rel=not rows))
        return format_html('<ul class="events-neighbours">{}</ul>', joined(rows))

    def pair(self, title: str, stream: str | None, *, rel: bool) -> SafeString:
        before, after = self.beside(stream)
        return format_html(
            "<li><span>{}</span> {} {}</li>",
            title,
            self.link(_("‹ Previous"), self.to(before), "prev" if rel else "", told(before)),
            self.link(_("Next ›"), self.to(after), "next" if rel else "", told(after)),
        )

    def beside(self, stream: str | None) -> list[tuple[int, int] | None]:
        """The nearest below and above, each the first step of an index scan."""
        rows = self.scope.events(stream).values_list("pk", "position")
        position = self.event.position
        before = rows.filter(position__lt=position).order_by("-position")[:1]
        after = rows.filter(position__gt=position).order_by("position")[:1]
        return [next(iter(one), None) for one in (before, after)]

    def stream(self) -> SafeString:
        name = self.event.stream
        if not name:
            return format_html('<span class="events-none">{}</span>', _("none"))
        row = self.scope.streams(name).values_list("pk", flat=True)
        address = links.timeline(self.site, self.scope.name, name, next(iter(row), None))
        events = links.events(self.site, self.scope.name, stream=name)
        both = (self.link(name, address), self.link(_("its events"), events))
        return format_html("{} · {}", *both)

    def payload(self) -> SafeString:
        """With the tools that a script makes work, and the raw JSON for those without it."""
        raw = links.within(self.site, "event_json", self.event.pk, log=self.scope.name)
        tools = [self.link(_("Raw JSON"), raw)]
        if address := links.api_of(self.event.position, self.scope.name):
            tools.append(self.link(_("In the API"), address))
        return format_html(
            '<div class="events-payload" data-events-payload>'
            '<p class="events-tools"><button type="button" class="button" data-copy '
            'data-copied="{}" hidden>{}</button> {}</p>'
            '{}<textarea data-source readonly hidden aria-hidden="true">{}</textarea></div>',
            _("Copied"),
            _("Copy"),
            joined(tools),
            payloads.render(self.event.payload),
            payloads.pretty(self.event.payload),
        )


def told(neighbour: tuple[int, int] | None) -> str:
    return f"#{neighbour[1]}" if neighbour else ""
