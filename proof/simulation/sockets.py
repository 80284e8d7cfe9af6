"""WebSocket clients, of the real consumer: they subscribe, acknowledge in their own time, leave."""

import asyncio
import json

from django.contrib.auth.models import AnonymousUser

from events.live import window as windows
from events.types import Gap
from events.websocket import frames
from events.websocket.consumer import EventsConsumer

from .account import Account
from .followers import Reader, wanted
from .pipe import Pipe

# What a frame has beside its entries, at the most.
AROUND = 200


class Socket(Reader):
    """Every subscription has an account; the ids are never used again."""

    subscribed = 0
    accounts = {}

    async def come(self):
        self.accounts, self.closed, self.outstanding = {}, None, []
        # An acknowledgement on its way does not say of which epoch its position is.
        self.is_countable = True
        self.pipe = Pipe(self)
        # Seconds until it acknowledges, at the most; None if it never does.
        self.haste = self.world.chance.choice((0.0, 0.0, 1.0, None))
        self.incoming = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "query_string": b"", "headers": [], "user": AnonymousUser()}
        task = asyncio.ensure_future(EventsConsumer()(scope, self.incoming.get, self.pipe.send))
        try:
            await self.talk(task)
        finally:
            await self.hang_up(task)

    async def talk(self, task):
        for _ in range(self.world.chance.randrange(1, 5)):
            self.subscribe()
        while self.world.is_faulty and not task.done():
            await asyncio.wait([task], timeout=self.world.chance.random() * 2)
            self.do_something()
        if self.outstanding:
            self.acknowledge(self.outstanding[-1], self.incoming)
        await task

    def do_something(self):
        chance = self.world.chance.random()
        if chance < 0.3 and len(self.accounts) < 8:
            self.subscribe()
        elif chance < 0.5 and self.accounts:
            self.tell("unsubscribe", id=self.world.chance.choice(list(self.accounts)))
        elif chance < 0.6:
            self.tell("ping")

    async def hang_up(self, task):
        """Properly, or by being cut off; the server may be in the middle of a frame."""
        way = self.world.chance.randrange(3)
        self.pipe.broken = way == 1
        self.incoming.put_nowait({"type": "websocket.disconnect"})
        if way == 2:
            task.cancel()
        await asyncio.wait([task], timeout=30)
        self.world.require(task.done(), self.who, "the consumer does not end")
        self.accounts = {}

    def tell(self, type, **fields):
        text = json.dumps({"type": type, **fields})
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def subscribe(self):
        self.subscribed += 1
        asked, id = wanted(self.world), f"{self.who}.{self.subscribed}"
        # Over this way, no name asks for everything.
        asked["stream"] = asked["stream"] or None
        account = self.last
        if account is not None and account.life and not account.ended and self.world.maybe(0.5):
            asked |= {"since": account.cursor, "epoch": account.life.epoch}
        self.accounts[id] = self.last = Account(self.world, id, self.log.query(**asked))
        self.tell("subscribe", id=id, **asked)

    # What comes

    def received(self, message):
        if message["type"] == "websocket.close":
            self.closed = message["code"]
            slow = self.haste != 0.0 or self.pipe.stalls
            expected = self.closed == frames.TOO_SLOW and slow
            self.world.require(expected, self.who, "closed", message)
        elif message["type"] == "websocket.send":
            frame = json.loads(message["text"])
            account = self.accounts.get(frame.get("id"))
            getattr(self, f"on_{frame.pop('type')}")(account, frame, message["text"])

    def on_subscribed(self, account, frame, text):
        account.begin(frame["cursor"], frame["gap"] and Gap(**frame["gap"]), frame["epoch"])

    def on_gap(self, account, frame, text):
        epoch, _ = frame.pop("epoch"), frame.pop("id")
        account.gap(Gap(**frame), epoch)
        self.is_countable = self.is_countable and frame["reason"] != "epoch"

    def on_events(self, account, frame, text):
        size = sum(size for _, _, size in self.outstanding)
        held = size <= frames.MAX_UNACKNOWLEDGED or not self.is_countable
        self.world.require(held, self.who, "sent beyond what is acknowledged", size)
        several = len(frame["events"]) > 1
        small = len(text) <= windows.BATCH_BYTES + AROUND or not several
        self.world.require(small, self.who, "a large frame", len(text))
        for entry in frame["events"]:
            account.entry(entry)
        account.advance(frame["cursor"])
        self.outstanding.append((account.who, frame["events"][-1]["position"], len(text)))
        self.acknowledge_soon(self.outstanding[-1], self.incoming)

    def acknowledge_soon(self, sent, incoming):
        if not self.world.is_faulty or self.haste == 0.0:
            self.acknowledge(sent, incoming)
        elif self.haste is not None:
            late = self.world.chance.random() * self.haste
            self.world.later(late, self.acknowledge, sent, incoming)

    def acknowledge(self, sent, incoming):
        """This, and everything before it."""
        if incoming is self.incoming and sent in self.outstanding:
            del self.outstanding[: self.outstanding.index(sent) + 1]
            self.tell("ack", id=sent[0], position=sent[1])

    def on_live(self, account, frame, text):
        account.is_live(frame["cursor"])

    def on_end(self, account, frame, text):
        account.end(frame["reason"], frame["cursor"])

    def on_unsubscribed(self, account, frame, text):
        self.accounts.pop(frame["id"], None)

    def on_heartbeat(self, account, frame, text):
        for id, cursor in frame["cursors"].items():
            if id in self.accounts:
                self.accounts[id].bookmark(cursor)

    def on_epoch(self, account, frame, text):
        self.world.require(False, self.who, "a new term, and there is one server", text)

    def on_pong(self, account, frame, text):
        pass

    def settled(self, since):
        # Who reads no more is cut off, and not before its time.
        if self.pipe.stalls or self.closed:
            return
        for account in self.accounts.values():
            account.settled(since)
