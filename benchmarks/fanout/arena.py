"""Every contender's server and its clients, and the turns that they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from benchmarks import harness
from benchmarks.fanout.crowd import Broken, Crowd, Hall
from benchmarks.fanout.server import Contender, Server

# Clients that a server has seen before its memory is looked at.
FIRST = 20
# For what a server does once it has sent everything, such as to end its tasks.
SETTLE = 0.05


@dataclass
class Turn:
    """So many deliveries, in so much time and with so much of the server's processor."""

    deliveries: int
    seconds: float
    cpu: float


class Camp:
    """One contender: its server, its clients, and the number of its next event."""

    def __init__(self, contender: Contender, server: Server, hall: Hall) -> None:
        self.contender = contender
        self.server = server
        self.hall = hall
        self.crowd = Crowd(hall, server.port, contender.door)
        self.next = 1
        self.faults: Counter[str] = Counter()
        self.memory = 0.0

    def grow(self, clients: int) -> None:
        """Have so many subscribers; the first time, see what an idle one costs in memory."""
        fresh = not self.crowd.clients
        if fresh:
            self.crowd.grow(FIRST, self.contender.path)
        before = self.server.memory()
        self.crowd.grow(clients, self.contender.path)
        if fresh:
            self.hall.rest(0.2)
            self.memory = (self.server.memory() - before) / (clients - FIRST)

    def burst(self, count: int) -> Turn:
        """All together; over when every client has the last."""
        return self.timed(count, lambda: self.send(count))

    def paced(self, count: int) -> Turn:
        """One after another, each when every client has the one before."""

        def work() -> None:
            for _ in range(count):
                self.send(1)

        return self.timed(count, work)

    def send(self, count: int) -> None:
        first, self.next = self.next, self.next + count
        self.crowd.expect(self.next - 1)
        self.server.order(first, count)
        self.crowd.wait()
        self.server.answer()

    def timed(self, count: int, work: Callable[[], None]) -> Turn:
        first = self.next
        cpu, began = self.server.cpu(), monotonic()
        work()
        seconds = monotonic() - began
        self.hall.rest(SETTLE)
        cpu = self.server.cpu() - cpu
        self.faults += self.crowd.faults(range(first, self.next))
        return Turn(count * len(self.crowd.clients), seconds, cpu)

    def steady(self, count: int, pause: float) -> tuple[list[float], list[float]]:
        """At a fixed pace. Seconds until each client had each event, from when its emit was
        called, and from when that returned, which is after the commit."""
        first, self.next = self.next, self.next + count
        self.crowd.expect(self.next - 1)
        self.server.order(first, count, pause)
        self.crowd.wait()
        times = self.server.answer()["times"]
        return delays([self.crowd], first, times)


def delays(
    crowds: list[Crowd], first: int, times: list[list[float]]
) -> tuple[list[float], list[float]]:
    """Of every event at every client, since its emit was called and since that returned."""
    called, returned = [], []
    for crowd in crowds:
        for client in crowd.clients:
            for number, moment in client.arrivals():
                began, ended = times[number - first]
                called.append(moment - began)
                returned.append(max(moment - ended, 0.0))
        crowd.forget()
    expected = len(times) * sum(len(crowd.clients) for crowd in crowds)
    if len(called) != expected:
        raise Broken(f"{len(called)} of {expected} deliveries came")
    return called, returned


class Arena:
    """The camps that are up. One that fails is sent home with a printed reason."""

    def __init__(self, report: harness.Report, hall: Hall, folder: Path, stack: ExitStack) -> None:
        self.report = report
        self.hall = hall
        self.folder = folder
        self.stack = stack
        self.camps: dict[str, Camp] = {}

    def admit(self, contender: Contender, environment: Mapping[str, str]) -> None:
        try:
            server = Server(contender, self.folder, environment)
        except Broken as error:
            return self.report.skip(contender.title, str(error))
        self.stack.callback(server.stop)
        self.camps[contender.log] = Camp(contender, server, self.hall)

    def grow(self, names: list[str], clients: int) -> None:
        for name in names:
            self.safely(name, lambda camp: camp.grow(clients))

    def compete(
        self, names: list[str], act: Callable[[Camp], Turn], rounds: int
    ) -> dict[str, list[Turn]]:
        """Turns of all, in alternating order. Who fails in one has none."""
        turns: dict[str, list[Turn]] = {name: [] for name in names if name in self.camps}
        order = list(turns)
        for _ in range(rounds):
            for name in order:
                if turn := self.safely(name, act):
                    turns[name].append(turn)
            order.reverse()
        return {name: some for name, some in turns.items() if name in self.camps}

    def safely(self, name: str, act: Callable[[Camp], Turn | None]) -> Turn | None:
        camp = self.camps.get(name)
        if camp is None:
            return None
        try:
            return act(camp)
        except Broken as error:
            self.report.skip(
                f"{camp.contender.title}, from here on", f"{error}; {camp.server.last()}"
            )
            del self.camps[name]
            camp.crowd.leave()
            camp.server.stop()
            return None


def each(turns: list[Turn], what: str) -> list[float]:
    """Seconds for a delivery, or seconds of processor, by round."""
    return [getattr(turn, what) / turn.deliveries for turn in turns]


def typical(turns: list[Turn], what: str) -> float:
    return median(each(turns, what))
