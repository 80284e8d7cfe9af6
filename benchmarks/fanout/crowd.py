"""Many clients in one thread: one epoll, and for each chunk that arrives a search for a mark.

A client costs a few microseconds a chunk, several times less than any server that sends to it.
Chunks are kept as they came; what was in them, and when, is looked up when the clock has stopped.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.fanout import frames
from benchmarks.rivals.message import mark

# Connections that are being opened at one time: daphne's queue for them is 50 long.
AT_ONCE = 40
# Bytes after which ours is told how far we are; it stops at four times as many.
ACK_AFTER = 256 * 1024
CHUNK = 1 << 18
# Chunks below which it is worth while to wait for more, and for how long. Waiting in the epoll would
# let every chunk wake us, and it is the server whose processor pays for that.
FEW, NAP = 64, 0.0005
PATIENCE = 120.0

POSITION = re.compile(rb'"position":(\d+),')


class Broken(Exception):
    """A server has closed a connection, refused one, or not sent what it should have."""


@dataclass(eq=False, slots=True)
class Client:
    """One connection. `tail` is the end of what came before, since a mark may be cut in two."""

    crowd: Crowd
    sock: socket.socket
    request: bytes
    opening: bytes = b""
    opened: bool = False
    frames: frames.Frames | None = None
    tail: bytes = b""
    goal: bytes = b""
    unacked: int = 0
    chunks: list[tuple[float, bytes]] = field(default_factory=list)

    def numbers(self) -> list[int]:
        """The events that came, in the order in which they did."""
        return frames.numbers(b"".join(data for _, data in self.chunks))

    def arrivals(self) -> Iterator[tuple[int, float]]:
        """Each event, and when the last of its mark came."""
        tail = b""
        for moment, data in self.chunks:
            text = tail + data
            for number in frames.numbers(text):
                yield number, moment
            tail = text[-frames.OVERLAP :]


@dataclass(frozen=True)
class Door:
    """How to become a subscriber: what to ask for, and what says that one is."""

    path: str
    ready: re.Pattern[bytes]
    websocket: bool = True
    acks: bool = False


class Crowd:
    """The clients of one server."""

    def __init__(self, hall: Hall, port: int, door: Door) -> None:
        self.hall = hall
        self.port = port
        self.door = door
        self.clients: list[Client] = []
        self.opening = 0
        self.goal = b""
        self.waiting = 0
        # Why it cannot go on. It is this crowd that hears of it, whoever is being measured.
        self.broken = ""
        # Whether to keep what comes; a long replay is only counted.
        self.keep = True
        self.counted = 0

    def grow(self, count: int, path: str | None = None) -> None:
        """Open more connections, until there are `count` that are all subscribed."""
        deadline = time.monotonic() + PATIENCE
        while self.opening or len(self.clients) < count:
            while self.opening < AT_ONCE and len(self.clients) < count:
                self.hall.enter(self, path or self.door.path)
            self.pump(deadline)

    def expect(self, number: int, clients: int | None = None) -> None:
        """Begin to look out for this event; of so many clients, if they are yet to come."""
        self.goal = mark(number).encode()
        self.waiting = len(self.clients) if clients is None else clients

    def wait(self) -> None:
        """Until every client has the event that is looked out for."""
        deadline = time.monotonic() + PATIENCE
        while self.waiting:
            self.pump(deadline)

    def pump(self, deadline: float) -> None:
        self.hall.pump(deadline)
        if self.broken:
            raise Broken(self.broken)

    def faults(self, expected: Iterable[int]) -> Counter[str]:
        """Compare what every client got with what was sent, and forget it."""
        wanted = list(expected)
        found: Counter[str] = Counter()
        for client in self.clients:
            came = client.numbers()
            if came != wanted:
                unique = set(came)
                found["lost"] += len(set(wanted) - unique)
                found["twice"] += len(came) - len(unique)
                found["out of order"] += came != sorted(came)
            client.chunks.clear()
        return +found

    def forget(self) -> None:
        for client in self.clients:
            client.chunks.clear()

    def leave(self) -> None:
        for client in self.clients:
            self.hall.remove(client)
        self.clients.clear()
        self.opening = 0


class Hall:
    """The epoll that all crowds share, so that pings are answered whoever is being measured."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        # One for all: a new one of this size for every chunk costs more than the system call.
        self.buffer = bytearray(CHUNK)
        self.view = memoryview(self.buffer)

    def enter(self, crowd: Crowd, path: str) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", crowd.port))
        ask = frames.upgrade if crowd.door.websocket else frames.get
        client = Client(crowd, sock, ask(crowd.port, path))
        crowd.clients.append(client)
        crowd.opening += 1
        self.clients[sock.fileno()] = client
        self.epoll.register(sock, select.EPOLLOUT)

    def remove(self, client: Client) -> None:
        if self.clients.pop(client.sock.fileno(), None):
            self.epoll.unregister(client.sock)
            client.sock.close()

    def pump(self, deadline: float) -> None:
        """Take in what has come, or wait for something."""
        events = self.epoll.poll(0, 1024)
        if len(events) < FEW:
            if not events and time.monotonic() > deadline:
                raise Broken("its clients waited in vain")
            time.sleep(NAP)
        for number, kinds in events:
            client = self.clients[number]
            try:
                if kinds & select.EPOLLOUT:
                    client.sock.send(client.request)
                    self.epoll.modify(number, select.EPOLLIN)
                    continue
                size = client.sock.recv_into(self.buffer)
                if not size:
                    raise Broken("a client was cut off")
                data = self.view[:size].tobytes()
                if client.opened:
                    take(client, data)
                else:
                    self.open(client, data)
            except BlockingIOError:
                continue
            except (OSError, Broken) as error:
                client.crowd.broken = client.crowd.broken or str(error)
                self.remove(client)

    def open(self, client: Client, data: bytes) -> None:
        """Before the client is subscribed: the answer to its request, and what says that it is."""
        client.opening += data
        head, end, rest = client.opening.partition(b"\r\n\r\n")
        door = client.crowd.door
        if not end or not door.ready.search(client.opening):
            return
        if head.split(b" ", 2)[1] not in (b"101", b"200"):
            raise Broken(f"a client was refused: {client.opening[:300]!r}")
        client.opened = True
        client.crowd.opening -= 1
        if door.websocket:
            client.frames = frames.Frames()
        client.opening = b""
        if rest:
            take(client, rest)

    def rest(self, seconds: float) -> None:
        """Let time pass, without going deaf."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.pump(until + PATIENCE)

    def close(self) -> None:
        for client in list(self.clients.values()):
            self.remove(client)
        self.epoll.close()


def take(client: Client, data: bytes) -> None:
    """What is done for every chunk: as little as possible."""
    crowd = client.crowd
    if client.frames is not None:
        for opcode, body in client.frames.feed(data):
            answer(client, opcode, body)
    text = client.tail + data
    if crowd.keep:
        client.chunks.append((time.monotonic(), data))
    else:
        crowd.counted += len(frames.MARK.findall(text))
    if client.goal is not crowd.goal and crowd.goal in text:
        client.goal = crowd.goal
        crowd.waiting -= 1
    client.tail = text[-frames.OVERLAP :]
    if crowd.door.acks:
        client.unacked += len(data)
        if client.unacked >= ACK_AFTER:
            acknowledge(client, text)


def acknowledge(client: Client, text: bytes) -> None:
    """Say how far we are. What is still under way of that entry comes before anybody notices."""
    if found := POSITION.findall(text):
        client.sock.send(
            frames.frame(frames.TEXT, b'{"type":"ack","id":"","position":%s}' % found[-1])
        )
        client.unacked = 0


def answer(client: Client, opcode: int, body: bytes) -> None:
    if opcode == frames.PING:
        client.sock.send(frames.frame(frames.PONG, body))
    elif opcode == frames.CLOSE:
        raise Broken(f"a server closed a socket: {body!r}")


@contextmanager
def hall() -> Iterator[Hall]:
    made = Hall()
    try:
        yield made
    finally:
        made.close()
