"""The endpoints. Each asks the policy first, and then the log."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.apps import apps
from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from ..cursors import Rows
from ..exceptions import InvalidEvent, LogDoesNotExist
from ..log import EventLog
from ..non_atomic import non_atomic
from ..parameters import choice, integer, log_named, stream_name
from ..streams import StreamHandle
from ..types import Status, StreamInfo
from . import export, waiting
from .errors import as_http
from .items import read_items
from .pagination import LedgerPagination, cursor_headers
from .parsers import EventParser
from .renderers import EntryRenderer, NDJSONRenderer, WirePage
from .sending import PIECE, is_asgi, streamed
from .waiting import give_back_thread


class LogView(APIView):
    """What the endpoints share: the log, its policy, and the host's settings for the rest.

    The policy is the only permission: with DEFAULT_PERMISSION_CLASSES beside it, this transport
    would give another answer than the others do. Handlers take any further keyword, such as the
    `version` of a host that has it in the path.
    """

    permission_classes = ()
    parser_classes = (EventParser,)

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return non_atomic(super().as_view(**initkwargs))

    @property
    def renderer_classes(self) -> list[type[BaseRenderer]]:  # type: ignore[override]
        """Ours in place of DRF's plain JSON, and whatever else the host renders."""
        hosts: Any = api_settings.DEFAULT_RENDERER_CLASSES
        return [EntryRenderer, *filter(is_of_use, hosts)]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What comes next is not what came last, and it is for this user. Without a word about it
        Django's own cache of a whole site would keep each page for ten minutes."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("Cache-Control", "private, no-cache")
        if is_asgi(request) and isinstance(response, Response):
            response.add_post_render_callback(self.without_thread)
        return response

    def without_thread(self, response: Response) -> HttpResponseBase:
        """The rendered response, to be sent while its request holds nothing that others want."""
        give_back_thread()
        if len(response.content) <= PIECE:
            return response
        return streamed(response, self.log.settings.send_timeout)

    def handle_exception(self, exc: Exception) -> Response:
        try:
            with as_http():
                raise exc
        except Exception as error:
            return super().handle_exception(error)

    @property
    def log(self) -> EventLog:
        try:
            return log_named(self.request.query_params)
        except LogDoesNotExist:
            raise NotFound from None

    def must_read(self, log: EventLog, stream: str | None) -> None:
        """Let only those go on who may read. A named stream that one may not read is not there."""
        if log.policy.can_read(self.request.user, stream):
            return
        if stream is not None and self.request.successful_authenticator:
            raise NotFound
        self.permission_denied(self.request)

    def must_emit(self, log: EventLog, streams: Iterable[str]) -> None:
        for stream in set(streams):
            if not log.policy.can_emit(self.request.user, stream or None):
                self.permission_denied(self.request)

    def named_stream(self, name: str) -> StreamHandle:
        """The stream that the path names, if it can be one and this user may read it."""
        log = self.log
        try:
            stream = log.stream(name)
        except InvalidEvent:
            # Nobody's stream. A policy is not asked about it: it may look names up in a database.
            if not self.request.successful_authenticator:
                self.must_read(log, None)
            raise NotFound from None
        self.must_read(log, name)
        return stream


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
            return export.response(source, paginator, self.request)
        found = paginator.read(source, self.request)
        params = paginator.params
        if params.wait and params.query.limit and not waiting.told(found):
            wait = waiting.Wait(paginator.log, params.query, found, params.wait)
            if is_asgi(self.request):
                return waiting.DeferredResponse(wait, partial(self.late_answer, paginator))
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
        name = stream_name(request.query_params)
        self.must_read(log, name)
        return self.page(log.stream(name) if name else log)

    def post(self, request: Request, **kwargs: Any) -> Response:
        log = self.log
        many = isinstance(request.data, list)
        try:
            items = read_items(request.data, log.settings.max_payload_bytes)
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
        info = log.info()
        body = {
            "log": info.name,
            "epoch": info.epoch,
            "head": info.head,
            "floor": info.floor,
            "count": info.count,
        }
        return Response(body)


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


def existing(stream: StreamHandle) -> StreamInfo:
    info = stream.log.backend.stream(stream.name)
    if info is None:
        raise NotFound
    return info


def is_of_use(renderer: type[BaseRenderer]) -> bool:
    """Is this one of the host's renderers that we need, and that can work here? The browsable API
    has its pages in DRF, as an app."""
    if issubclass(renderer, BrowsableAPIRenderer) and not apps.is_installed("rest_framework"):
        return False
    return renderer is not JSONRenderer
