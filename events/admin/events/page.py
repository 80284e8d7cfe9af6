"""The page of one event: what stands on it, and where one can go from there."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Subquery
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ...models import Event, Log
from ...wire import dumps
from ..shared import links
from ..shared.payloads import pretty
from ..shared.scope import Scope
from ..shared.visible import visible
from .search import FIELDS

# Characters of a payload on its page.
MOST = 200_000


class EventPage:
    """An event with its neighbours, looked up when the page is made."""

    def __init__(self, event: Event, scope: Scope, site: str) -> None:
        self.event = event
        self.scope = scope
        self.site = site
        self.keys: dict[int, int] = {}

    def link(self, title: str, address: str | None, rel: str = "", hint: str = "") -> SafeString:
        if not address:
            return format_html("<span>{}</span>", title)
        some = [(name, value) for name, value in (("rel", rel), ("title", hint)) if value]
        attributes = format_html_join("", ' {}="{}"', some)
        return format_html('<a href="{}"{}>{}</a>', address, attributes, title)

    def neighbours(self) -> SafeString:
        """Before and after it: in the log, for those who see all of it, and in its stream."""
        threads = [(_("In the log"), None)] if self.scope.everything else []
        if self.event.stream:
            threads.append((_("In the stream"), self.event.stream))
        positions = self.positions([stream for _title, stream in threads])
        rows = [
            # One link of each kind: a page has one next page.
            self.pair(title, *positions[number], rel=not number)
            for number, (title, _stream) in enumerate(threads)
        ]
        return format_html('<ul class="events-pairs">{}</ul>', joined(rows))

    def pair(self, title: str, before: int | None, after: int | None, *, rel: bool) -> SafeString:
        return format_html(
            "<li><span>{}</span> {} {}</li>",
            title,
            self.link(_("‹ Previous"), self.to(before), "prev" if rel else "", told(before)),
            self.link(_("Next ›"), self.to(after), "next" if rel else "", told(after)),
        )

    def to(self, position: int | None) -> str | None:
        if position is None:
            return None
        pk = self.keys[position]
        return links.within(self.site, "event_change", pk, log=self.scope.name)

    def positions(self, streams: list[str | None]) -> list[tuple[int | None, int | None]]:
        """The nearest below and above, in each of these: all of them in one query, in which each
        is the first step of an index scan; and their primary keys in another."""
        log = Log.objects.using(self.scope.alias).filter(pk=self.scope.pk)
        sides = [side for stream in streams for side in self.sides(stream)]
        found = next(iter(log.values_list(*sides)), ()) if sides else ()
        there = [position for position in found if position is not None]
        rows = Event.objects.using(self.scope.alias).filter(
            log_id=self.scope.pk, position__in=there
        )
        self.keys = dict(rows.values_list("position", "pk"))
        # What went in between is no neighbour any more.
        known = [position if position in self.keys else None for position in found]
        return list(zip(known[::2], known[1::2], strict=True))

    def sides(self, stream: str | None) -> tuple[Subquery, Subquery]:
        position = self.event.position
        before = self.scope.events(stream, upto=position - 1).order_by("-position")
        after = self.scope.events(stream, above=position).order_by("position")
        return Subquery(before.values("position")[:1]), Subquery(after.values("position")[:1])

    def stream(self) -> SafeString:
        name = self.event.stream
        if not name:
            return format_html('<span class="events-none">{}</span>', _("none"))
        row = self.scope.streams(name).values_list("pk", flat=True)
        address = links.timeline(self.site, self.scope.name, name, next(iter(row), None))
        events = links.events(self.site, self.scope.name, stream=name)
        both = (self.link(name, address), self.link(_("its events"), events))
        return format_html("{} · {}", *both)

    def context(self) -> SafeString | None:
        """Who and why, each with a link to its like."""
        rows = [
            format_html("<li><span>{}</span> {}</li>", name, self.like(name, value))
            for name, value in (self.event.context or {}).items()
        ]
        return format_html('<ul class="events-pairs">{}</ul>', joined(rows)) if rows else None

    def like(self, name: str, value: object) -> SafeString:
        said = value if isinstance(value, str) else dumps(value)
        found = f"{name}:{said}" if name in FIELDS and said else None
        address = found and links.events(self.site, self.scope.name, q=found)
        return self.link(visible(said), address)

    def payload(self) -> SafeString:
        """Indented, with a button that a script makes work; what is cut is whole as raw JSON."""
        text = pretty(self.event.payload)
        whole = len(text) <= MOST
        raw = links.within(self.site, "event_json", self.event.pk, log=self.scope.name)
        tools = [self.link(_("Raw JSON"), raw)]
        if address := links.api_of(self.event.position, self.scope.name):
            tools.append(self.link(_("In the API"), address))
        if whole:
            button = (
                '<button type="button" class="button" data-copy data-copied="{}" hidden>{}</button>'
            )
            tools.insert(0, format_html(button, _("Copied"), _("Copy")))
        return format_html(
            '<p class="events-tools">{}</p><pre class="events-payload">{}</pre>{}',
            joined(tools),
            text[:MOST],
            "" if whole else _("Cut here: the whole of it is the raw JSON."),
        )


def joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join(" ", "{}", ((part,) for part in parts))


def told(position: int | None) -> str:
    return "" if position is None else f"#{position}"
