"""Webhooks to a thousand endpoints, of which a hundred are dead.

    python -m benchmarks.webhooks [--quick] [--json FILE] [--postgres URL]

One process delivers ten events to each endpoint. A dead one refuses the connection, or takes it and
says nothing. The healthy ones should hardly notice.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.harness import DISPLAY, Report, Result

FORK = multiprocessing.get_context("fork")
APPS = ["events.handlers", "events.webhooks"]
SETTINGS = {
    "WEBHOOKS_ALLOWED_NETWORKS": ["127.0.0.1/32"],
    "WEBHOOKS_ALLOW_HTTP": True,
    "WEBHOOKS_PORTS": None,
}
EACH, DEAD = 10, 0.1
# Of the time without the dead ones.
TARGET = 1.5
PATIENCE = 300.0
REFUSED = 1


def measure(report: Report, quick: bool) -> None:
    for alias in harness.aliases():
        count = 200 if quick else 1000
        with receiver() as (port, answered):
            hooks = Hooks(alias, count, port, answered)
            rounds = [
                (hooks.deliver(dead=False), hooks.deliver(dead=True))
                for _ in range(2 if quick else 1)
            ]
        without, beside = (median(some) for some in zip(*rounds, strict=True))
        events = round(count * (1 - DEAD)) * EACH
        what = f"{DISPLAY[alias]}: {events:,} events to {count} endpoints, {DEAD:.0%} of them dead, vs none"
        rates = f"{beside:.1f} s", f"{without:.1f} s, {events / without:,.0f}/s"
        report.add(Result(what, *rates, beside / without, TARGET, at_most=True))


class Hooks:
    def __init__(self, alias: str, count: int, port: int, answered: Any) -> None:
        from events import webhooks
        from events.log import logs

        self.alias, self.answered = alias, answered
        dead = round(count * DEAD)
        self.dead = []
        for number in range(count):
            place = port if number >= dead // 2 else REFUSED
            path = "dead" if number < dead else "well"
            url = f"http://127.0.0.1:{place}/{path}"
            one = webhooks.add(url, kinds=[f"n.n{number}"], log=alias, since=0)
            if number < dead:
                self.dead.append(one.pk)
        self.wanted = (count - dead) * EACH
        for _ in range(EACH):
            logs[alias].append_many({"kind": f"n.n{number}"} for number in range(count))

    def deliver(self, dead: bool) -> float:
        """From the start of a worker until the last healthy endpoint has its last event."""
        from events.handlers.models import Shard
        from events.webhooks.courier import Courier
        from events.webhooks.models import RECOVERED, Endpoint

        rows = Endpoint.objects.using(self.alias)
        rows.update(active=True, **RECOVERED)
        rows.filter(pk__in=self.dead).update(active=dead)
        Shard.objects.using(self.alias).update(cursor=0, lease_until=None)
        self.answered.value = 0
        courier = Courier()
        thread = threading.Thread(target=courier.run)
        began = time.perf_counter()
        thread.start()
        while self.answered.value < self.wanted and time.perf_counter() - began < PATIENCE:
            time.sleep(0.02)
        took = time.perf_counter() - began
        assert self.answered.value >= self.wanted, f"{self.answered.value} of {self.wanted}"
        # The dead ones need not be waited for.
        Endpoint.objects.using(self.alias).update(active=False)
        courier.stop()
        thread.join()
        return took


@contextmanager
def receiver() -> Iterator[tuple[int, Any]]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
    answered = FORK.Value("i", 0)
    process = FORK.Process(target=serve, args=(listening, answered), daemon=True)
    with harness.stopping(process):
        yield listening.getsockname()[1], answered
    listening.close()


class Answering(asyncio.Protocol):
    answered: Any

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, _, body = self.buffer.partition(b"\r\n\r\n")
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        if not length or len(body) < int(length):
            return
        self.buffer = b""
        if b"/well " in head:
            self.answered.value += 1
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def serve(listening: socket.socket, answered: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        Answering.answered = answered
        server = await loop.create_server(Answering, sock=listening)
        await server.serve_forever()

    asyncio.run(main())


if __name__ == "__main__":
    harness.main(__doc__ or "", measure, apps=APPS, **SETTINGS)
