"""A ticket in place of all that the host signs users in with."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ..tickets import BadTicket, redeem


class TicketAuthentication(BaseAuthentication):
    """The user that a ticket names; `request.auth` is the session that it names, or an empty one."""

    def __init__(self, tickets: list[str]) -> None:
        # Two are as good as none.
        self.ticket = tickets[0] if len(tickets) == 1 else ""

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        try:
            return redeem(self.ticket)
        except BadTicket:
            raise AuthenticationFailed("This ticket is not valid (any more).") from None

    def authenticate_header(self, request: Request) -> str:
        """Without it, the answer would be 403."""
        return "Ticket"
