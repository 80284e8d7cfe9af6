"""What the endpoints share. Each asks the policy first, and then the log."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotFound
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from ..context import actor_of, context
from ..exceptions import InvalidEvent, LogDoesNotExist
from ..internals import django_request
from ..limits import Held, TooMany
from ..log import EventLog
from ..non_atomic import non_atomic, own_transactions_only
from ..parameters import log_named
from ..policy import may_read
from ..streams import StreamHandle
from ..threads import give_back_thread
from ..types import StreamInfo
from .errors import as_http
from .items import EventParser
from .renderers import EntryRenderer
from .sending import PIECE, hold_connection, is_asgi, streamed


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
        """Each answer is private and soon stale; without this header Django's site cache would
        keep it for ten minutes."""
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
        try:
            # Of what was written, the client is told in any case: it would write it again.
            held = self.hold_connection() if self.request.method == "GET" else Held()
        except TooMany as error:
            refusal = self.finalize_response(self.request, self.handle_exception(error))
            return refusal.render()  # type: ignore[no-any-return]
        return streamed(response, self.log.settings.send_timeout, held)

    def handle_exception(self, exc: Exception) -> Response:
        try:
            with as_http():
                raise exc
        except Exception as error:
            with own_transactions_only():
                response = super().handle_exception(error)
            # Not set here: REST framework's own come last, and its Allow is of all methods of a view.
            self.headers = {**self.headers, **getattr(error, "headers", {})}
            return response

    @property
    def log(self) -> EventLog:
        try:
            return log_named(self.request.query_params)
        except LogDoesNotExist:
            raise NotFound from None

    def hold_connection(self) -> Held:
        return hold_connection(self.log, self.request.user, django_request(self.request))

    def must_read(self, log: EventLog, *streams: str | None) -> None:
        """Refuse who may not read: 404 for named streams, as if one did not exist, else 401 or 403."""
        if may_read(log.policy, self.request.user, streams):
            return
        if any(streams) and self.request.successful_authenticator:
            raise NotFound
        self.permission_denied(self.request)

    def as_actor(self) -> context:
        """What is emitted within is noted as this user's."""
        actor = actor_of(self.request.user)
        return context() if actor is None else context(actor=actor)

    def must_emit(self, log: EventLog, streams: Iterable[str]) -> None:
        for stream in set(streams):
            if not log.policy.can_emit(self.request.user, stream or None):
                self.permission_denied(self.request)

    def named_stream(self, name: str) -> StreamHandle:
        """The stream that the path names, if such a name is valid and this user may read it."""
        log = self.log
        try:
            stream = log.stream(name)
        except InvalidEvent:
            # No stream can have this name, so don't ask the policy: it may look it up in a database.
            if not self.request.successful_authenticator:
                self.must_read(log, None)
            raise NotFound from None
        self.must_read(log, name)
        return stream


def existing(stream: StreamHandle) -> StreamInfo:
    info = stream.log.backend.stream(stream.name)
    if info is None:
        raise NotFound
    return info


def is_of_use(renderer: type[BaseRenderer]) -> bool:
    """Do we use this renderer of the host's? Not the browsable API where DRF, which has its
    templates, is not installed as an app."""
    if issubclass(renderer, BrowsableAPIRenderer) and not apps.is_installed("rest_framework"):
        return False
    return renderer is not JSONRenderer
