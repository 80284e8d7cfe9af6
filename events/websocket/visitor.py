"""Whom a socket belongs to: by its cookie or its ticket, when it is opened and from then on."""

from collections.abc import Hashable
from typing import Any

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from ..conf import DEFAULT_LOG
from ..limits import CONNECTIONS, Held, TooMany, hold, whose
from ..live import access
from ..log import logs
from ..origin import request_of
from ..tickets import BadTicket, in_query, redeem
from .frames import NOT_SIGNED_IN, TOO_MANY, Close


class Visitor:
    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.user = scope.get("user") or AnonymousUser()
        self.session = scope.get("session")
        # Whether the address asks for something to be subscribed to.
        self.ticket, self.has_query = in_query(scope.get("query_string", b""))
        # What the password has to go on being, of a user who came with a ticket.
        self.standing: object = None
        # Among whose connections and subscriptions these count.
        self.who: Hashable | None = None

    async def enter(self) -> Held:
        """Look at the ticket, if there is one, and count the connection."""
        if self.ticket is not None:
            await self._spend(self.ticket)
        settings = logs[DEFAULT_LOG].settings
        self.who = await self._whose()
        try:
            return hold(CONNECTIONS, self.who, settings.max_connections)
        except TooMany as error:
            raise Close(TOO_MANY, str(error)) from None

    async def _spend(self, ticket: str) -> None:
        """Be whom the ticket names, whatever the cookies of the handshake say."""
        try:
            self.user, self.session = await database_sync_to_async(redeem)(ticket)
        except BadTicket:
            raise Close(NOT_SIGNED_IN, "This ticket is not valid (any more).") from None
        self.standing = access.hash_of(self.user)

    async def _whose(self) -> Hashable | None:
        policy, request = logs[DEFAULT_LOG].policy, request_of(self.scope)
        if not hasattr(policy, "count_as"):
            return whose(policy, self.user, request)
        found: Hashable | None = await database_sync_to_async(whose)(policy, self.user, request)
        return found

    def renew(self, fresh: bool = False) -> Any:
        """The user, looked up again: the handshake may be long ago."""
        self.user = access.current(self.user, self.session, fresh=fresh, standing=self.standing)
        return self.user
