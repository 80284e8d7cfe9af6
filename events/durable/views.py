"""The endpoint: each method of the protocol, what it asks the policy, and what it answers."""

from copy import copy
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException, AuthenticationFailed, NotFound
from rest_framework.request import Request

from ..api.authentication import TicketAuthentication
from ..api.items import read_bounded
from ..api.sending import PIECE, is_asgi, streamed
from ..api.sse import LiveView
from ..api.waiting import DeferredResponse, Wait
from ..conf import DEFAULT_LOG
from ..cursors import Query, Rows
from ..internals import django_request
from ..limits import Held
from ..log import EventLog, logs
from ..threads import give_back_thread
from . import content, creating, headers, offsets, protocol, reading
from .frames import Connection, Payloads
from .offsets import NOW, START
from .refusals import TRUE, Invalid, Missing, Refused

METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS"
WRITES = ("PUT", "POST", "DELETE")
LONG_POLL, SSE = "long-poll", "sse"
# What scripts of other origins may send and see. Which origins these are, is for a middleware to
# say, such as django-cors-headers.
SENT = (
    "Authorization, Content-Type, If-None-Match, Producer-Epoch, Producer-Id, Producer-Seq, "
    "Stream-Closed, Stream-Expires-At, Stream-Fork-Offset, Stream-Fork-Sub-Offset, "
    "Stream-Forked-From, Stream-Seq, Stream-TTL, X-CSRFToken"
)
SEEN = (
    "ETag, Location, Producer-Epoch, Producer-Expected-Seq, Producer-Received-Seq, Producer-Seq, "
    "Retry-After, Stream-Closed, Stream-Cursor, Stream-Expires-At, Stream-Next-Offset, "
    "Stream-SSE-Data-Encoding, Stream-TTL, Stream-Up-To-Date"
)
# A full page of a stream never changes; what is at its end does with the next append.
FULL, TAIL, NEVER = "private, max-age=60", "private, no-cache", "no-store"


class Refusal(APIException):
    """A refusal, as Django REST framework says it."""

    def __init__(self, error: Refused) -> None:
        super().__init__(str(error))
        self.status_code = error.status
        self.headers = error.headers


class DurableView(LiveView):
    """One durable stream."""

    # The protocol has a description of its own.
    schema = None
    body = b""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        view.serves_durable_streams = True
        return view

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The body first: REST framework reads it by its content type, which is the stream's here."""
        if request.method in ("PUT", "POST"):
            self.body = read_bounded(django_request(request), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)  # type: ignore[arg-type]
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """A ticket is a part of an address, which is logged: it opens what is read, and writes nothing."""
        super().perform_authentication(request)
        if request.method in WRITES and isinstance(
            request.successful_authenticator, TicketAuthentication
        ):
            raise AuthenticationFailed("A ticket writes nothing.")

    def handle_exception(self, exc: Exception) -> Any:
        return super().handle_exception(Refusal(exc) if isinstance(exc, Refused) else exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("X-Content-Type-Options", "nosniff")
        response.setdefault("Cross-Origin-Resource-Policy", "cross-origin")
        # Whoever writes a stream picks its type: a page of HTML must not act as its reader here.
        response.setdefault("Content-Security-Policy", "sandbox")
        response.setdefault("Access-Control-Expose-Headers", SEEN)
        return response

    @property
    def log(self) -> EventLog:
        """The one that the URLconf names."""
        name = self.kwargs.get("log", DEFAULT_LOG)
        if name in logs and logs[name].backend.in_database:
            return logs[name]
        raise NotFound

    @property
    def name(self) -> str:
        return headers.name_of(self.kwargs["path"])

    @property
    def root(self) -> str:
        return self.request.path.removesuffix(self.kwargs["path"])

    # Writing

    def put(self, request: Request, **kwargs: Any) -> HttpResponse:
        log = self.log
        try:
            name = self.name
        except Missing as error:
            raise Invalid(str(error)) from None
        self.must_emit(log, [name])
        wanted = headers.wanted(request.headers, self.body, self.root)
        if wanted.source is not None:
            self.must_read(log, wanted.source)
        with self.as_actor():
            answer = creating.create(log, name, wanted)
        response = self.written(answer)
        response["Content-Type"] = answer.row.content_type
        if answer.status == 201:
            response["Location"] = request.build_absolute_uri(request.path)
        return response

    def post(self, request: Request, **kwargs: Any) -> HttpResponse:
        log, name = self.log, self.name
        self.must_emit(log, [name])
        with self.as_actor():
            answer = protocol.append(log, name, headers.write(request.headers, self.body))
        return self.written(answer)

    def written(self, answer: protocol.Answer) -> HttpResponse:
        response = HttpResponse(status=answer.status)
        response["Stream-Next-Offset"] = answer.offset
        if answer.closed:
            response["Stream-Closed"] = TRUE
        if answer.producer:
            response["Producer-Epoch"] = str(answer.producer.epoch)
            response["Producer-Seq"] = str(answer.producer.seq)
        return response

    def delete(self, request: Request, **kwargs: Any) -> HttpResponse:
        log, name = self.log, self.name
        if not may_delete(log, request.user, name):
            self.permission_denied(request)
        with self.as_actor():
            protocol.delete(log, name)
        return HttpResponse(status=204)

    # Reading

    def find(self) -> reading.View:
        log, name = self.log, self.name
        self.must_read(log, name)
        return reading.find(log, name)

    def head(self, request: Request, **kwargs: Any) -> HttpResponse:
        view = self.find()
        offset = offsets.shown(view.state().epoch, view.tail)
        response = HttpResponse(content_type=view.row.content_type)
        response["Stream-Next-Offset"] = offset
        response["Cache-Control"] = NEVER
        if view.row.ttl is not None:
            response["Stream-TTL"] = str(view.row.ttl)
        if view.row.expires:
            response["Stream-Expires-At"] = view.row.expires
        if view.closed:
            response["Stream-Closed"] = TRUE
        return response

    def get(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        live, frames = self.only("live"), self.only("frames")
        if live not in (None, LONG_POLL, SSE):
            raise Invalid("live must be long-poll or sse")
        if frames not in (None, "payload"):
            raise Invalid("frames must be payload")
        text = self.only("offset")
        if text is None and live is not None and frames is None:
            raise Invalid("offset is missing")
        offset = offsets.parse(START if text is None else text)
        try:
            view = self.find()
        except (Missing, NotFound):
            if frames is None or text is not None:
                raise
            # A front end asks for an answer that nobody has begun.
            return HttpResponse(status=204)
        since = view.start(offset)
        protocol.touch(view.log, view.row)
        if frames is not None and text is None and view.closed:
            return HttpResponse(status=204)
        if frames is not None or live == SSE:
            return self.stream(view, since, Payloads if frames else Connection)
        page = view.page(since)
        if live == LONG_POLL:
            return self.poll(view, page)
        return self.answer(view, page, since, offset == NOW)

    def only(self, name: str) -> str | None:
        given = self.request.query_params.getlist(name)
        if len(given) > 1:
            raise Invalid(f"{name} is given more than once")
        return given[0] if given else None

    def answer(
        self, view: reading.View, page: reading.Page, since: int | None, now: bool = False
    ) -> HttpResponseBase:
        """What there is."""
        first = page.rows[0].position if page.rows else 0
        etag = f'"{view.row.pk}:{first}:{since}:{page.offset}:{int(page.closed)}"'
        if not now and self.request.headers.get("If-None-Match") == etag:
            response = HttpResponse(status=304)
        else:
            data = content.body(view.row.content_type, page.rows)
            response = HttpResponse(data, content_type=view.row.content_type)
        if not now:
            response["ETag"] = etag
        response["Cache-Control"] = NEVER if now else TAIL if page.up_to_date else FULL
        return self.to_send(self.standing(response, page))

    def standing(self, response: HttpResponse, page: reading.Page) -> HttpResponse:
        response["Stream-Next-Offset"] = page.offset
        if page.up_to_date:
            response["Stream-Up-To-Date"] = TRUE
        if page.closed:
            response["Stream-Closed"] = TRUE
        return response

    def to_send(self, response: HttpResponse) -> HttpResponseBase:
        """A large answer goes out while its request holds nothing that others want."""
        if len(response.content) <= PIECE or not is_asgi(self.request):
            return response
        held = self.hold_connection()
        give_back_thread()
        return streamed(response, self.log.settings.send_timeout, held)

    # Live

    def poll(self, view: reading.View, page: reading.Page) -> HttpResponseBase:
        """At once if there is something, or never will be; else as soon as there is."""
        if page.rows or page.closed or not page.up_to_date:
            return self.polled(view, page)
        query = Query(page.position, reading.ROWS, view.info.stream)
        found = view.log.backend.read(query)
        wait = Wait(view.log, query, found, view.log.settings.long_poll)
        held = self.hold_connection()
        late = partial(self.late, page.position)
        if is_asgi(self.request):
            if found.rows:
                held.release()
                return self.polled_again(page.position)
            return DeferredResponse(wait, late, held)
        with held:
            wait.in_this_thread()
        return self.polled_again(page.position)

    def late(self, since: int, found: Rows) -> HttpResponseBase:
        """What `dispatch` does with an answer or an error, for one that comes after it."""
        try:
            response: Any = self.polled_again(since)
        except Exception as error:
            response = self.handle_exception(error)
        response = self.finalize_response(self.request, response)
        return response.render() if hasattr(response, "render") else response  # type: ignore[no-any-return]

    def polled_again(self, since: int) -> HttpResponseBase:
        view = self.find()
        protocol.touch(view.log, view.row)
        return self.polled(view, view.page(since))

    def polled(self, view: reading.View, page: reading.Page) -> HttpResponseBase:
        if page.rows:
            data = content.body(view.row.content_type, page.rows)
            response = HttpResponse(data, content_type=view.row.content_type)
        else:
            response = HttpResponse(status=204)
        if not page.closed:
            response["Stream-Cursor"] = offsets.next_cursor(self.only("cursor"))
        return self.to_send(self.standing(response, page))

    def stream(
        self, view: reading.View, since: int | None, kind: type[Connection]
    ) -> HttpResponseBase:
        """Server-Sent Events. 400 and no 5xx where the server has none: clients repeat these."""
        if not is_asgi(self.request):
            raise Invalid("Server-Sent Events need ASGI; read with live=long-poll")
        view.check(since)
        held: Held = self.hold_connection()
        connection = kind(self.request, view, since, self.only("cursor"))
        return connection.respond(connection.headers(), held)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        response = HttpResponse(status=204)
        response["Allow"] = METHODS
        response["Access-Control-Allow-Methods"] = METHODS
        response["Access-Control-Allow-Headers"] = SENT
        return response


def payloads(request: HttpRequest, name: str, log: str = DEFAULT_LOG) -> HttpResponseBase:
    """What a view of the project's own answers when it has begun a stream: its payloads, from the
    first, as `?frames=payload` gives them. The policy is asked about the request's user."""
    asked = copy(request)
    asked.method = "GET"
    asked.GET = QueryDict("frames=payload&offset=-1")
    found: HttpResponseBase = DurableView.as_view()(asked, path=name.replace(":", "/"), log=log)
    return found


def may_delete(log: EventLog, user: Any, stream: str) -> bool:
    """The policy's own answer, if it has one; else Django's permission."""
    can_delete = getattr(log.policy, "can_delete", None)
    if can_delete is not None:
        return bool(can_delete(user, stream))
    return user is not None and bool(user.has_perm("events.delete_event"))
