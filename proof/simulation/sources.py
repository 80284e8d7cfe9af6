"""Clients of Server-Sent Events, of the real connection, on the way that frames take in life."""

import json
from contextlib import aclosing

from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from rest_framework.request import Request

from events.api.eventsource import Connection
from events.limits import CONNECTIONS, hold
from events.types import Gap

from .followers import Reader
from .pipe import Pipe

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


def request_of(is_daphne):
    http = ASGIRequest({**SCOPE, "asgi": {} if is_daphne else {"spec_version": "2.3"}}, None)
    http.user = AnonymousUser()
    return Request(http)


class Source(Reader):
    async def come(self):
        """Comes back as an EventSource does, until it is told not to."""
        asked = {**self.asks(), "epoch": None}
        while await self.connect(asked):
            asked = {**asked, "since": self.last_id}
            await self.world.sleep(0.2)

    async def connect(self, asked):
        account = self.open_account(asked)
        self.pipe, self.reconnects = Pipe(self), True
        request = request_of(is_daphne=self.world.maybe(0.3))
        self.named = self.world.maybe(0.5)
        self.connection = Connection(request, self.log, account.query, self.named)
        if self.world.maybe(0.8):
            self.connection.send = self.pipe.send
        response = self.connection.respond({}, hold(CONNECTIONS, None, None))
        async with aclosing(aiter(response)) as content:
            async for part in content:
                body = {"type": "http.response.body", "body": part, "more_body": True}
                await self.pipe.send(body)
        return self.reconnects

    def received(self, message):
        blocks = [fields_of(block) for block in message["body"].decode().split("\n\n")]
        blocks = [fields for fields in blocks if fields]
        if self.account.life is None:
            self.begins(blocks)
        for fields in blocks:
            self.last_id = int(fields.get("id", self.last_id))
            self.on_block(fields)
        account = self.account
        account.require(self.last_id <= account.cursor, "an id beyond it", self.last_id)

    def begins(self, blocks):
        """A gap comes behind the cursor that the reader has asked for."""
        self.last_id = cursor = int(blocks.pop(0)["id"])
        gap = blocks.pop(0) if blocks and blocks[0].get("event") == "gap" else None
        if gap is not None:
            self.last_id = int(gap.get("id", cursor))
            gap = Gap(**json.loads(gap["data"]))
        own = isinstance(self.account.query.since, int)
        self.account.begin(None if own else cursor, gap, self.connection.tail.epoch)

    def on_block(self, fields):
        account, name = self.account, fields.get("event")
        data = json.loads(fields.get("data", "null"))
        if name == "gap":
            account.gap(Gap(**data), self.connection.tail.epoch)
        elif name == "end":
            self.on_end(**data)
        elif data is not None:
            account.require(name == (data["kind"] if self.named else None), "a wrong name", name)
            account.require(int(fields["id"]) == data["position"], "a wrong id", fields["id"])
            account.entry(data)
        elif "id" in fields:
            account.bookmark(int(fields["id"]))

    def on_end(self, reason, reconnect):
        self.reconnects = reconnect
        if not reconnect:
            self.account.end(reason, self.last_id)
        else:
            self.account.note("sent away", reason)
            self.account.require(reason in ("max_age", "max_bytes"), "sent away", reason)


def fields_of(block):
    return dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
