"""The page of one event: what stands on it, and where one can go from there."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...models import Event
from ...types import wire_time
from ...visible import visible
from ...wire import dumps, encode
from ..shared.keyset import KeysetAdmin
from ..shared.kinds import chip
from ..shared.pages import api_of
from ..shared.payloads import pretty
from .search import FIELDS

# Characters of a payload that are shown.
MOST = 200_000
BUTTON = '<button type="button" class="button" data-copy data-copied="{}" hidden>{}</button>'
# Django's own stand-in for it is for lists alone.
NOTHING = "–"


class EventPage(KeysetAdmin):
    fields = (
        "position", "exactly", "what", "where", "number", "shown_key", "why", "beside", "payload_",
    )  # fmt: skip
    readonly_fields = fields

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """With the scope that it was found in."""
        if found := self.found(request, object_id):
            found[1].scope = found[0]
        return found and found[1]

    def json_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One event as the API has it, byte for byte."""
        found = self.found(request, object_id)
        if found is None:
            # What Django answers for any object that is not there.
            return self.change_view(request, object_id)
        scope, event = found
        query = scope.log.query(event.position - 1, 1, stream=event.stream)
        body = b"".join(map(encode, scope.log.backend.read(query).rows))
        headers = {"X-Content-Type-Options": "nosniff"}
        return HttpResponse(body, content_type="application/json", headers=headers)

    @admin.display(description=gettext_lazy("time"))
    def exactly(self, event: Any) -> SafeString:
        zone = localtime(event.timestamp).tzname()
        return format_html("{} {} · {}", moment(event, "microseconds"), zone, ago(event))

    @admin.display(description=gettext_lazy("kind"))
    def what(self, event: Event) -> SafeString:
        return chip(event.kind)

    @admin.display(description=gettext_lazy("stream"))
    def where(self, event: Any) -> str:
        name, log = event.stream, event.scope.name
        if not name:
            return NOTHING
        pk = event.scope.streams(name).values_list("pk", flat=True).first()
        its_events = self.address("event_changelist", log=log, stream=name)
        timeline = link(name, self.timeline(log, name, pk))
        return format_html("{} · {}", timeline, link(_("its events"), its_events))

    @admin.display(description=gettext_lazy("seq"))
    def number(self, event: Event) -> int | str:
        return event.seq or NOTHING

    @admin.display(description=gettext_lazy("key"))
    def shown_key(self, event: Event) -> str:
        return visible(event.key or NOTHING)

    @admin.display(description=gettext_lazy("context"))
    def why(self, event: Any) -> str:
        """Who and why, each with a link to its like."""
        found, log = [], event.scope.name
        for name, value in (event.context or {}).items():
            said = value if isinstance(value, str) else dumps(value)
            like = self.address("event_changelist", log=log, q=f"{name}:{said}")
            found.append((name, link(visible(said), like if name in FIELDS and said else None)))
        return pairs(found)

    @admin.display(description=gettext_lazy("neighbours"))
    def beside(self, event: Any) -> str:
        """Before and after it: in the log, for those who see all of it, and in its stream."""
        threads = [(_("In the log"), None)] if event.scope.everything else []
        if event.stream:
            threads.append((_("In the stream"), event.stream))
        found: list[tuple[str, SafeString]] = []
        for title, stream in threads:
            # One link of each kind: a page has one next page.
            previous, following = ("", "") if found else ("prev", "next")
            steps = [
                self.step(event, stream, _("‹ Previous"), "-position", previous),
                self.step(event, stream, _("Next ›"), "position", following),
            ]
            found.append((title, joined(steps)))
        return pairs(found)

    def step(self, event: Any, stream: str | None, title: str, order: str, rel: str) -> SafeString:
        at, scope = event.position, event.scope
        bound = {"upto": at - 1} if order == "-position" else {"above": at}
        rows = scope.events(stream, **bound).order_by(order).values_list("pk", "position")
        for pk, position in rows[:1]:
            address = self.address("event_change", pk, log=scope.name)
            return link(title, address, rel=rel, title=f"#{position}")
        return link(title, None)

    @admin.display(description=gettext_lazy("payload"))
    def payload_(self, event: Any) -> SafeString:
        """Indented, with a button that a script makes work; what is cut is whole as raw JSON."""
        text, log = pretty(event.payload), event.scope.name
        tools = [link(_("Raw JSON"), self.address("event_json", event.pk, log=log))]
        if address := api_of(event.position, log):
            tools.append(link(_("In the API"), address))
        if len(text) <= MOST:
            tools.insert(0, format_html(BUTTON, _("Copied"), _("Copy")))
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
