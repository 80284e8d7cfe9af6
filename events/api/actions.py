"""Steps in a stream's life, over HTTP."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import (
    NotFound,
    PermissionDenied,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.request import Request
from rest_framework.response import Response

from ..exceptions import InvalidEvent
from ..internals import django_request
from ..lifecycle import KINDS
from ..origin import is_foreign
from ..streams import StreamHandle
from .base import LogView, existing

# The fields of each action's body, and their types.
FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "open": {"idle_timeout": (int, float, type(None))},
    "complete": {"payload": (dict, type(None))},
    "fail": {"reason": str},
    "stop": {"reason": str},
}


class StreamActionView(LogView):
    """Open a stream, have it wait or resume, or end it."""

    def post(self, request: Request, *, name: str, action: str, **kwargs: Any) -> HttpResponseBase:
        stream = self.stream_to_change(name)
        if action not in KINDS:
            raise NotFound
        must_be_meant(django_request(request))
        arguments = read_arguments(action, request.data)
        if action != "open":
            existing(stream)
        try:
            with self.as_actor():
                getattr(stream, action)(**arguments)
        except InvalidEvent:
            raise
        except ValueError as error:
            raise ValidationError({"idle_timeout": [str(error)]}) from None
        if not stream.log.policy.can_read(request.user, name):
            return Response({"stream": name})
        return Response(existing(stream).to_dict())

    def stream_to_change(self, name: str) -> StreamHandle:
        """The stream, if this user may emit to it. 404 for a user who may not even read it."""
        log = self.log
        try:
            stream = log.stream(name)
        except InvalidEvent:
            return self.named_stream(name)
        if not log.policy.can_emit(self.request.user, name):
            self.must_read(log, name)
            self.permission_denied(self.request)
        return stream


def must_be_meant(request: HttpRequest) -> None:
    """Refuse what a page of another site can have a browser send with the user's credentials: a
    form, or no body at all. The parser looks at the type of a body only if there is one."""
    if request.content_type:
        if request.content_type != "application/json":
            raise UnsupportedMediaType(request.content_type)
    elif is_foreign(request):
        raise PermissionDenied("Send this as application/json.")


def read_arguments(action: str, data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValidationError({"non_field_errors": ["Send a JSON object, or nothing."]})
    fields = FIELDS.get(action, {})
    for name, value in data.items():
        if name not in fields:
            known = f"Fields are: {', '.join(fields)}." if fields else "It takes no fields."
            raise ValidationError({"non_field_errors": [known]})
        if not isinstance(value, fields[name]) or isinstance(value, bool):
            raise ValidationError({name: ["This is not of the right type."]})
    return dict(data)
