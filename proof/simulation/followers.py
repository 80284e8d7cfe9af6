"""Readers by `follow()`: slow, impatient, cut off, and back again at their last cursor."""

import asyncio
from contextlib import suppress

from events.live.tail import follow

from .account import Account
from .world import STREAMS

FILTERS = (None, None, None, "tick", "turn.*", ["turn.done", "tick"])


def wanted(world, since=None):
    """What a newcomer asks for."""
    chance, head = world.chance, world.ledger.head
    if since is None:
        since = chance.choice(
            ("earliest", "earliest", "latest", 0, chance.randrange(head + 1), head, head + 3)
        )
    epoch = None
    if isinstance(since, int) and world.maybe(0.2):
        epoch = chance.choice((world.ledger.epoch, "epoch0"))
    stream = chance.choice((None, None, "", *STREAMS))
    return {"since": since, "stream": stream, "kind": chance.choice(FILTERS), "epoch": epoch}


class Reader:
    """Comes and goes until all is quiet, and then comes to stay."""

    def __init__(self, world, log, number):
        self.world = world
        self.log = log
        self.who = f"{type(self).__name__.lower()}{number}"
        # What it asked for, and the account of where that led to.
        self.last = None
        self.account = None

    async def run(self):
        while self.world.is_faulty:
            await self.world.sleep(self.world.dials.span / 4)
            await self.visit(self.world.chance.random() * self.world.dials.span / 2)
        await self.stay()

    def asks(self):
        """For something new, or to go on where it was."""
        if self.last is not None and self.world.maybe(0.6):
            asked, account = self.last
            if account.life is not None and not account.ended:
                epoch = self.world.chance.choice((None, account.life.epoch))
                return {**asked, "since": account.cursor, "epoch": epoch}
        return wanted(self.world)

    def open_account(self, asked):
        self.account = Account(self.world, self.who, self.log.query(**asked))
        self.last = asked, self.account
        return self.account

    async def visit(self, seconds):
        """For so long, unless quiet comes first; then it is cut off in the middle of things."""
        task = asyncio.ensure_future(self.come())
        task.add_done_callback(self.check)
        await asyncio.wait([task], timeout=seconds)
        await self.leave(task)

    async def leave(self, task):
        task.cancel()
        await asyncio.wait([task])

    def check(self, task):
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            self.world.note(self.who, "failed", repr(error))
            self.world.failure = self.world.failure or error

    async def stay(self):
        task = asyncio.ensure_future(self.come())
        task.add_done_callback(self.check)
        try:
            await self.world.left.wait()
        finally:
            await self.leave(task)

    def settled(self, since):
        if self.account is not None:
            self.account.settled(since)


class Follower(Reader):
    async def come(self):
        account = self.open_account(self.asks())
        self.bell = asyncio.Event()
        way = self.world.chance.choice((self.by_next, self.by_take, self.by_peek))
        own = None if way == self.by_next else self.bell.set
        who = self.world.chance.choice((None, "one", "other"))
        async with follow(self.log.backend, account.query, own, who) as tail:
            try:
                while not account.ended:
                    await way(tail)
                    if self.world.is_faulty and self.world.maybe(0.3):
                        await self.world.sleep(1.5)
            finally:
                account.bookmark(tail.bookmark)

    async def by_next(self, tail):
        patience = self.world.chance.choice((None, 0.0, 0.01, 0.3))
        batch = None
        with suppress(TimeoutError):
            async with asyncio.timeout(patience if self.world.is_faulty else None):
                batch = await anext(tail, None)
        self.given(tail, batch)

    async def by_take(self, tail):
        """Gives up in the middle now and then, and asks again."""
        self.bell.clear()
        taking = asyncio.ensure_future(tail.take())
        try:
            patience = 0.1 * self.world.chance.random() ** 3 if self.world.is_faulty else None
            await asyncio.wait([taking], timeout=patience)
        finally:
            taking.cancel()
            await asyncio.wait([taking])
            # It may have been quicker than whoever gave it up.
            if not taking.cancelled():
                self.given(tail, taking.result())
        if not taking.cancelled() and taking.result() is None:
            await self.bell.wait()

    async def by_peek(self, tail):
        self.bell.clear()
        batch = tail.peek() or await tail.take()
        self.given(tail, batch)
        if batch is None:
            await self.bell.wait()

    def given(self, tail, batch):
        if batch is None:
            return
        account = self.account
        if account.life is None:
            account.begin(batch.cursor, batch.gap, tail.epoch)
            return
        if batch.gap:
            account.gap(batch.gap, tail.epoch)
        for entry in batch.entries:
            account.row(entry.row)
        if batch.end:
            account.end(batch.end, batch.cursor)
        elif batch.live:
            account.is_live(batch.cursor)
        else:
            account.advance(batch.cursor)
