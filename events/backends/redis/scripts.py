"""The scripts that a server runs for us, and the names of a log's keys.

All keys of a log have its name in braces, so a cluster keeps them on one shard, and one script may
touch all of them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import exceptions as errors

from ...exceptions import LogUnavailable
from ...types import Status
from .client import Client, code_of

FOLDER = Path(__file__).parent / "lua"
STATUSES = tuple(Status)


class Script:
    def __init__(self, name: str, before: Sequence[str] = ("common", "states")) -> None:
        self.text = "".join((FOLDER / f"{part}.lua").read_text() for part in (*before, name))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def run(
        self,
        client: Client,
        keys: Sequence[str],
        arguments: Sequence[object] = (),
        *,
        again: bool = True,
        timeout: float | None = None,
        wait: tuple[int, int] | None = None,
    ) -> Any:
        """What the script answers; with `wait`, replicas and milliseconds, a pair of that and of how
        many replicas have it by then."""
        parts = (len(keys), *keys, *arguments)
        more = [("WAIT", *wait)] if wait else []
        answers = client.send([("EVALSHA", self.sha, *parts), *more], again=again, timeout=timeout)
        if isinstance(answers[0], Exception) and code_of(answers[0]) == "NOSCRIPT":
            # A server that was restarted, or promoted. EVAL also loads it.
            answers = client.send(
                [("EVAL", self.text, *parts), *more], again=again, timeout=timeout
            )
        if isinstance(answers[0], Exception):
            raise refused(answers[0])
        # A server that is demoted while it waits answers with an error: nobody has confirmed.
        confirmed = [0 if isinstance(one, Exception) else one for one in answers[1:]]
        return [answers[0], *confirmed] if wait else answers[0]


APPEND = Script("append")
EMIT = Script("emit", ["common"])
BEGIN = Script("begin")
STREAM = Script("stream")
MOMENTS = Script("moments")
STREAMS = Script("streams")
PRUNE = Script("prune")
DELETE = Script("delete")
SWEEP = Script("sweep")
COME_BACK = Script("come_back")
RENEW = Script("renew")
ADOPT = Script("adopt")
ADOPT_STREAMS = Script("adopt_streams")
VIEW = Script("view")


class Keys:
    """The keys of one log."""

    def __init__(self, prefix: str, log: str) -> None:
        self.base = f"{prefix}{{{log}}}:"
        # Head, floor, time of the newest entry, epoch, terms, the server that wrote last, token.
        self.log = self.base + "h"
        # The entries, with `<position>-0` for an id; which of them have a key.
        self.entries = self.base + "s"
        self.used = self.base + "i"
        # By stream: its state; by last position all streams, and those of a status; deadlines.
        self.states = self.base + "t"
        self.recent = self.base + "r"
        self.deadlines = self.base + "d"
        self.by_status = {status: f"{self.recent}:{status}" for status in STATUSES}
        # Lists of deleted streams' positions that are still to go.
        self.deletions = self.base + "g"
        self.hints = self.base + "hints"
        self.list_base = self.base + "x:"
        self.list_width = len(self.list_base.encode())

    def positions(self, stream: str) -> str:
        return self.list_base + stream

    def placed(self, database: str) -> str:
        """Which rows of a database's outbox have their places and are not known to be deleted."""
        return f"{self.base}o:{database}"

    def deletion(self, token: str) -> str:
        return f"{self.base}z:{token}"


def call(client: Client, *commands: tuple[Any, ...], timeout: float | None = None) -> list[Any]:
    """Plain commands, as one view."""
    if len(commands) == 1:
        answers = [client.send(commands, timeout=timeout)]
    else:
        answers = client.send([("MULTI",), *commands, ("EXEC",)], timeout=timeout)
    if any(isinstance(answer, errors.OutOfMemoryError) for answer in answers):
        keys = [key for _, key, *_ in commands]
        parts = [part for name, _, *rest in commands for part in (name, len(rest), *rest)]
        answers = [VIEW.run(client, keys, parts, timeout=timeout)]
    for answer in answers:
        if isinstance(answer, Exception):
            raise refused(answer)
    found: list[Any] = answers[-1]
    for answer in found:
        if isinstance(answer, errors.ResponseError):
            raise refused(answer)
    return found


def refused(answer: Exception) -> LogUnavailable:
    """What a server says that is full, cannot save, or was demoted: nobody above knows its errors."""
    error = LogUnavailable(f"Redis refused: {answer}")
    error.__cause__ = answer
    return error
