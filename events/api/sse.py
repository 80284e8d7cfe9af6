"""Server-Sent Events: a log as a response that does not end.

The view is synchronous, so that authentication and throttles are DRF's own, in one hop. The
response's body is an async generator, which gives thread and connection back before it waits.
"""

from dataclasses import replace
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from ..cursors import Query, only_stream
from ..internals import django_request
from ..log import EventLog
from ..parameters import as_position, choice, follow_params, streams_asked
from ..tickets import PARAMETER, given
from ..types import TERMINAL, Gap, StreamInfo
from .authentication import TicketAuthentication
from .base import LogView, existing
from .eventsource import CONTENT_TYPE, HEADERS, Connection
from .renderers import EntryRenderer, cursor_headers


class NeedsASGI(APIException):
    status_code = status.HTTP_501_NOT_IMPLEMENTED
    default_detail = (
        "Server-Sent Events need ASGI, and this site is served through WSGI, where each reader "
        "would occupy a worker. Serve it with daphne or uvicorn, or poll with `wait`."
    )
    default_code = "needs_asgi"


class LiveView(LogView):
    """The log, live."""

    def perform_authentication(self, request: Request) -> None:
        """With a ticket nothing else is looked at: a bad one is no reason to try the cookie."""
        ticket = given(request.query_params.getlist(PARAMETER))
        if ticket is not None:
            request.authenticators = [TicketAuthentication(ticket)]
        super().perform_authentication(request)

    def get_authenticate_header(self, request: Request) -> str:
        """Of whatever has failed to know the user."""
        authenticators: Any = request.authenticators
        return (authenticators and authenticators[0].authenticate_header(request)) or ""

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        """Only errors are rendered by DRF, as JSON: `Accept: text/event-stream` fits no renderer."""
        return EntryRenderer(), EntryRenderer.media_type

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        log = self.log
        streams = streams_asked(request.query_params)
        self.must_read(log, *streams)
        # A set waits for streams that do not exist yet.
        name = only_stream(streams)
        return self.follow(log, existing(log.stream(name)) if name else None)

    def follow(self, log: EventLog, stream: StreamInfo | None) -> HttpResponseBase:
        if not isinstance(django_request(self.request), ASGIRequest):
            raise NeedsASGI
        params = self.request.query_params
        query = follow_params(log, params, stream.stream if stream else None)
        query = resumed(query, self.request)
        found = log.backend.read(replace(query, limit=0))
        if stream is not None and has_seen_all(query, stream, found.gap):
            # This tells an EventSource not to come back.
            return HttpResponse(status=status.HTTP_204_NO_CONTENT, headers=cursor_headers(found))
        named = choice(params, "named", ["0", "1"]) != "0"
        headers = {**HEADERS, **cursor_headers(found)}
        if self.request.method == "HEAD":
            return HttpResponse(content_type=CONTENT_TYPE, headers=headers)
        connection = Connection(self.request, log, query, named)
        connection.epoch = found.state.epoch
        return connection.respond(headers, self.hold_connection())


class StreamLiveView(LiveView):
    """One stream, live, to its end."""

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        stream = self.named_stream(kwargs["name"])
        return self.follow(self.log, existing(stream))


def resumed(query: Query, request: Request) -> Query:
    """From the cursor of an EventSource that reconnects. Anything but a position replays the whole
    log: better twice than not at all."""
    text = request.headers.get("Last-Event-ID")
    if text is None:
        return query
    position = as_position(text)
    return replace(query, since="earliest" if position is None else position, last=None)


def has_seen_all(query: Query, stream: StreamInfo, gap: Gap | None) -> bool:
    """Does a reader come back at the end of a stream that has ended? A cursor of another epoch, or
    beyond the head, belongs to another log: that reader must get its gap."""
    return (
        stream.status in TERMINAL
        and (gap is None or gap.reason == "pruned")
        and isinstance(query.since, int)
        and query.since >= stream.last_position
    )
