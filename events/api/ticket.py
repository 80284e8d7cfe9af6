"""The endpoint that gives tickets out."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..internals import django_request
from ..tickets import GOOD_FOR, is_account, issue
from .base import LogView


class TicketView(LogView):
    """A ticket for whoever the project's authentication classes know. The policy is asked when it
    is spent."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        if not getattr(request.user, "is_authenticated", False):
            self.permission_denied(request)
        if not is_account(request.user):
            self.permission_denied(request, message="A ticket needs a user account.")
        ticket = issue(request.user, getattr(django_request(request), "session", None))
        headers = {"Cache-Control": "no-store"}
        return Response({"ticket": ticket, "expires_in": GOOD_FOR}, status=201, headers=headers)
