"""Ways to the server that has a log: one server, the master that Sentinel names, or a cluster's node.

    redis://host:6379/0   rediss://…   unix://…        one server
    redis+sentinel://host:26379,host:26379/name/0      the master that these sentinels call `name`
    redis+cluster://host:7000,host:7001                the node that has the log's slot

Nothing is sent twice on its own: an append whose answer was lost may be stored. But what a server
refuses before it does anything, and what was never sent, is tried again until the time is up.
"""

import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from redis import ConnectionPool
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry
from redis.sentinel import Sentinel

from ...exceptions import LogUnavailable
from ...internals import answers_within, is_silent

logger = logging.getLogger("events")

T = TypeVar("T")

# Seconds for a connection; for each answer of its beginning, and between two answers, of which the
# second may be WAIT's; and for the first answer, at the least and at the most.
CONNECT_TIMEOUT = 1.0
NEXT_TIMEOUT = 2.0
LEAST_TIMEOUT, ANSWER_TIMEOUT = 1.0, 10.0

# What a server says when it has done nothing: a replica, a node without that slot, one that loads its
# data, one whose cluster or replicas are not complete, one that a script keeps busy.
NOT_DONE = (
    "READONLY",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "NOREPLICAS",
    "BUSY",
)
LOST = (errors.ConnectionError, errors.TimeoutError, OSError)

Command = tuple[Any, ...]


class Unsent(Exception):
    """Nothing was done: there was no connection, or the server refused."""


def connection_options() -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": NEXT_TIMEOUT,
        # redis-py would repeat an append whose answer was lost.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        # As many as there are threads that emit; some versions stop at a hundred.
        "max_connections": 2**31,
    }


class Lines:
    """The connections to one server. redis-py's pool makes them; to have it lend one for each
    command and take it back costs more than the command."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool
        self.idle: deque[Any] = deque()
        self.address: object = None

    def take(self) -> Any:
        """A connection that is open, and on which nothing is left to be read."""
        try:
            connection = self.idle.pop()
        except IndexError:
            connection = self.pool.make_connection()
        if not is_silent(connection):
            self._open(connection)
        return connection

    def put_back(self, connection: Any) -> None:
        if address_of(connection) != self.address:
            # It leads to a master that is none any more, but may not know that yet.
            connection.disconnect()
        self.idle.append(connection)

    def close(self) -> None:
        """Those that nobody uses; they are opened again when they are needed."""
        for _ in range(len(self.idle)):
            with suppress(IndexError):
                connection = self.idle.popleft()
                connection.disconnect()
                self.idle.append(connection)

    def _open(self, connection: Any) -> None:
        try:
            connection.connect()
            if _has_more(connection):
                connection.disconnect()
                connection.connect()
        except BaseException:
            connection.disconnect()
            self.put_back(connection)
            raise
        address = address_of(connection)
        if address != self.address:
            # Sentinel has named another master: what is idle leads to the old one.
            self.address = address
            self.close()


def address_of(connection: Any) -> tuple[Any, Any]:
    return getattr(connection, "host", None), getattr(connection, "port", None)


def _has_more(connection: Any) -> bool:
    """Has its server closed it, or is something left that was no answer to anybody?"""
    try:
        return bool(connection.can_read())
    except LOST:
        return True


class Place:
    """Where one server is: its lines, and how to look for another when it is the wrong one."""

    def __init__(self, url: str) -> None:
        self.lines = Lines(ConnectionPool.from_url(url, **connection_options()))

    def lines_of(self, slot: int) -> Lines:
        return self.lines

    def look_again(self, slot: int, answer: str) -> None:
        """After an error: have the next attempt ask where the log is."""
        self.lines.close()


class Sentinels(Place):
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        name, _, database = parts.path.strip("/").partition("/")
        options = connection_options() | account_of(url)
        make: Any = Sentinel
        sentinels = make(hosts_of(parts.netloc, 26379), sentinel_kwargs=connection_options())
        master = sentinels.master_for(name, db=int(database or 0), **options)
        self.lines = Lines(master.connection_pool)


class Cluster(Place):
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.options = connection_options() | account_of(url)
        self.known = hosts_of(parts.netloc, 6379)
        self.nodes: dict[tuple[str, int], Lines] = {}
        self.masters: dict[int, tuple[str, int]] = {}

    def lines_of(self, slot: int) -> Lines:
        if slot not in self.masters:
            self.masters[slot] = self._master(slot)
        return self._lines(self.masters[slot])

    def look_again(self, slot: int, answer: str) -> None:
        self.masters.pop(slot, None)
        words = answer.split()
        if words[:1] == ["MOVED"]:
            host, _, port = words[2].rpartition(":")
            # A node that does not know how it is reached leaves the host out.
            if host not in ("", "?"):
                self.masters[slot] = host, int(port)

    def _lines(self, node: tuple[str, int]) -> Lines:
        if node not in self.nodes:
            pool = ConnectionPool(host=node[0], port=node[1], **self.options)
            self.nodes.setdefault(node, Lines(pool))
        return self.nodes[node]

    def _master(self, slot: int) -> tuple[str, int]:
        for node in random.sample([*self.known], len(self.known)):
            try:
                ranges = talk(self._lines(node), [("CLUSTER", "SLOTS")], LEAST_TIMEOUT)[0]
            except (*LOST, errors.RedisError):
                continue
            masters = [((one[2][0] or b"").decode() or node[0], one[2][1]) for one in ranges]
            self.known = [*dict.fromkeys([*self.known, *masters])]
            for one, master in zip(ranges, masters, strict=True):
                if one[0] <= slot <= one[1]:
                    return master
        raise errors.ConnectionError("no node of the cluster says who has the log's slot")


def account_of(url: str) -> dict[str, str | None]:
    """User and password of an address, where what is special stands as `%40`."""
    parts = urlsplit(url)
    given = {"username": parts.username, "password": parts.password}
    return {name: value and unquote(value) for name, value in given.items()}


def hosts_of(netloc: str, port: int) -> list[tuple[str, int]]:
    """The hosts of an address that may have several."""
    found = []
    for one in netloc.rpartition("@")[2].split(","):
        host, _, given = one.partition(":")
        found.append((host, int(given or port)))
    return found


KINDS: dict[str, Callable[[str], Place]] = {"redis+sentinel": Sentinels, "redis+cluster": Cluster}

# By process: a child of a fork must not speak on its parent's connections.
_places: dict[tuple[int, str], Place] = {}


def place_of(url: str) -> Place:
    key = os.getpid(), url
    if key not in _places:
        _places.setdefault(key, KINDS.get(urlsplit(url).scheme, Place)(url))
    return _places[key]


def talk(lines: Lines, commands: Sequence[Command], patience: float = ANSWER_TIMEOUT) -> list[Any]:
    """Send these down one connection, and have their answers; an error is an answer, too."""
    try:
        connection = lines.take()
    except LOST as error:
        raise Unsent(str(error)) from error
    try:
        connection.send_packed_command(pieces(packed(commands)), check_health=False)
        if not answers_within(connection, patience):
            raise errors.TimeoutError(f"no answer within {patience:.1f} s")
        return [_answer(connection) for _ in commands]
    except BaseException:
        # An answer that nobody has read must not be the next one's.
        connection.disconnect()
        raise
    finally:
        lines.put_back(connection)


def packed(commands: Sequence[Command]) -> bytes:
    """These commands as the protocol has them. redis-py's own way takes half as long as all the rest
    of an emit."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for value in command:
            if type(value) is str and len(value) < SHORT:
                parts.append(_short(value))
                continue
            text = value if isinstance(value, bytes) else str(value).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


def pieces(data: bytes) -> list[bytes]:
    """A socket's timeout is for all of what it is given at once, however much that is."""
    if len(data) <= PIECE:
        return [data]
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]


# Bytes that are sent within NEXT_TIMEOUT, or the line is taken for a dead one.
PIECE = 2**18

# Characters of what is worth remembering: keys of logs, kinds and fields come again and again.
SHORT = 64


@lru_cache(maxsize=4096)
def _short(value: str) -> bytes:
    text = value.encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except (errors.ResponseError, errors.BusyLoadingError) as error:
        return error
    except errors.ConnectionError as error:
        # So redis-py says, of a master that Sentinel has named, that it is a replica by now.
        if isinstance(error.__context__, errors.ReadOnlyError):
            raise Unsent(str(error)) from error
        raise


class Client:
    """Speaks to the server of one log."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self.url = url
        self.slot = key_slot(key.encode())
        self.timeout = timeout

    @property
    def place(self) -> Place:
        return place_of(self.url)

    def send(
        self, commands: Sequence[Command], *, again: bool = True, timeout: float | None = None
    ) -> list[Any]:
        """The answers to these commands. With `again`, they are repeated if the answers were lost;
        without, that is an error which says that nobody knows."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            try:
                return self._attempt(commands, deadline, again)
            except Unsent as error:
                failure: Exception = error
            except LOST as error:
                self.place.look_again(self.slot, "")
                if not again:
                    lost = LogUnavailable(
                        f"Redis did not answer ({error}): whether the events were stored is not "
                        "known. With a key, to emit them again is safe"
                    )
                    lost.may_be_stored = True
                    raise lost from error
                failure = error
            if time.monotonic() > deadline:
                raise LogUnavailable(f"Redis cannot be had: {failure}") from failure
            time.sleep(random.uniform(0.01, 0.1))  # nosec B311 # no secret

    def _attempt(self, commands: Sequence[Command], deadline: float, again: bool) -> list[Any]:
        place = self.place
        # A server that stands still keeps nobody longer than one that is away.
        left = deadline - time.monotonic()
        patience = min(max(LEAST_TIMEOUT, left), ANSWER_TIMEOUT)
        try:
            answers = talk(place.lines_of(self.slot), commands, patience)
        except Unsent:
            place.look_again(self.slot, "")
            raise
        # What refuses the WAIT after a script says nothing of the script, which was done.
        for answer in answers if again else answers[:1]:
            if isinstance(answer, Exception) and code_of(answer) in NOT_DONE:
                place.look_again(self.slot, f"{code_of(answer)} {answer}")
                raise Unsent(str(answer)) from answer
        return answers


# The first words of these errors, which redis-py takes away.
CODES: dict[type[Exception], str] = {
    errors.MovedError: "MOVED",
    errors.AskError: "ASK",
    errors.TryAgainError: "TRYAGAIN",
    errors.ClusterDownError: "CLUSTERDOWN",
    errors.MasterDownError: "MASTERDOWN",
    errors.ReadOnlyError: "READONLY",
    errors.BusyLoadingError: "LOADING",
    errors.NoScriptError: "NOSCRIPT",
}


def code_of(error: Exception) -> str:
    """The word with which the server began what it said."""
    return CODES.get(type(error)) or str(error).partition(" ")[0]
