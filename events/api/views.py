"""The endpoints that read the log and append to it."""

from dataclasses import asdict
from functools import partial
from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from ..cursors import Rows
from ..log import EventLog
from ..parameters import choice, integer, streams_asked
from ..streams import StreamHandle
from ..types import Status, StreamInfo
from . import export, waiting
from .base import LogView, existing
from .items import read_items
from .pagination import LedgerPagination
from .renderers import EntryRenderer, NDJSONRenderer, WirePage, cursor_headers, log_headers
from .sending import is_asgi


class EntriesView(LogView):
    """Read on from a cursor."""

    pagination_class = LedgerPagination

    @property
    def renderer_classes(self) -> list[type[BaseRenderer]]:  # type: ignore[override]
        first, *others = super().renderer_classes
        return [first, NDJSONRenderer, *others]

    def page(self, source: EventLog | StreamHandle) -> HttpResponseBase:
        paginator = self.pagination_class()
        if self.request.accepted_renderer.format == NDJSONRenderer.format:
            return export.response(source, paginator, self.request, self.hold_connection)
        found = paginator.read(source, self.request)
        params = paginator.params
        if params.wait and params.query.limit and not waiting.has_news(found):
            wait = waiting.Wait(paginator.log, params.query, found, params.wait)
            held = self.hold_connection()
            if is_asgi(self.request):
                return waiting.DeferredResponse(wait, partial(self.late_answer, paginator), held)
            with held:
                paginator.take(wait.in_this_thread())
        return self.answer(paginator)

    def answer(self, paginator: LedgerPagination) -> Response:
        page = WirePage(paginator.found.rows, paginator.standing())
        # The browsable API shows what the first renderer makes of the data.
        ours = self.request.accepted_renderer.format in (EntryRenderer.format, "api")
        return Response(page if ours else page.to_data(), headers=cursor_headers(paginator.found))

    def late_answer(self, paginator: LedgerPagination, found: Rows) -> HttpResponseBase:
        """What `dispatch` does with an answer or an error, for one that comes after it."""
        try:
            paginator.take(found)
            response = self.answer(paginator)
        except Exception as error:
            response = self.handle_exception(error)
        return self.finalize_response(self.request, response).render()  # type: ignore[no-any-return]


class EventsView(EntriesView):
    """The log itself: read it, and append to it."""

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        log = self.log
        self.must_read(log, *streams_asked(request.query_params))
        return self.page(log)

    def post(self, request: Request, **kwargs: Any) -> Response:
        log = self.log
        many = isinstance(request.data, list)
        try:
            with self.as_actor():
                items = read_items(request.data, log.settings)
        except ValidationError:
            self.must_emit(log, [""])
            raise
        self.must_emit(log, [item.stream for item in items])
        entries = [entry.to_dict() for entry in log.backend.append(items)]
        return Response(entries if many else entries[0], status=201)


class HeadView(LogView):
    """Where the log stands."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        log = self.log
        self.must_read(log, None)
        info = asdict(log.info())
        headers = log_headers(info["head"], info["head"], info["epoch"])
        return Response({"log": info.pop("name"), **info}, headers=headers)


class StreamsView(LogView):
    """The streams, most recently active first."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        log = self.log
        self.must_read(log, None)
        params = request.query_params
        status = choice(params, "status", [status.value for status in Status])
        limit = integer(params, "limit")
        limit = log.settings.page_size if limit is None else limit
        limit = max(1, min(limit, log.settings.max_page_size))
        before, after = integer(params, "before"), integer(params, "after")
        found = log.backend.streams(
            limit + 1, before=before, after=after, status=Status(status) if status else None
        )
        # One more than asked for tells whether the page has a neighbour on that side.
        more = len(found) > limit
        if after is None:
            found, older, newer = found[:limit], more, before is not None
        else:
            found, older, newer = found[-limit:], True, more
        return Response(
            {
                "next": self.link("before", found[-1]) if found and older else None,
                "previous": self.link("after", found[0]) if found and newer else None,
                "results": [stream.to_dict() for stream in found],
            }
        )

    def link(self, name: str, stream: StreamInfo) -> str:
        url = self.request.build_absolute_uri()
        url = remove_query_param(remove_query_param(url, "before"), "after")
        return replace_query_param(url, name, stream.last_position)


class StreamView(LogView):
    """One stream."""

    def get(self, request: Request, *, name: str, **kwargs: Any) -> Response:
        return Response(existing(self.named_stream(name)).to_dict())


class StreamEventsView(EntriesView):
    """One stream's events."""

    def get(self, request: Request, *, name: str, **kwargs: Any) -> HttpResponseBase:
        stream = self.named_stream(name)
        existing(stream)
        return self.page(stream)
