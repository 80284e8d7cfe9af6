"""Tickets over HTTP: the endpoint that gives them out, and what takes one in place of all that the
host signs users in with."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from ..internals import django_request
from ..tickets import GOOD_FOR, BadTicket, is_account, issue, redeem
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


class TicketAuthentication(BaseAuthentication):
    """The user that a ticket names; `request.auth` is the session that it names, or an empty one."""

    def __init__(self, ticket: str) -> None:
        self.ticket = ticket

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        try:
            return redeem(self.ticket)
        except BadTicket:
            raise AuthenticationFailed("This ticket is not valid (any more).") from None

    def authenticate_header(self, request: Request) -> str:
        """Without it, the answer would be 403."""
        return "Ticket"
