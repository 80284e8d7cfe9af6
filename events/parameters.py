"""What a reader asks for, in a query string or in a WebSocket frame, read strictly: a number is
ASCII digits, and comes once. Each transport says in its own way what is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from .base_log import BaseLog
from .conf import DEFAULT_LOG
from .cursors import BadParameter, Query, valid_streams
from .log import EventLog, logs

MAX_NUMBER = 2**63 - 1
MAX_WAIT = 30
# Kinds in one request: more make a slow query, and nobody needs them.
MAX_KINDS = 100


@dataclass(frozen=True)
class ReadParams:
    """What a `GET` asks for. `limit` is None when it was not given."""

    query: Query
    limit: int | None
    wait: int
    strict: bool


def read_params(log: BaseLog, params: QueryDict, stream: str | None = None) -> ReadParams:
    """Check a request's parameters; `stream` is the one that the path names, and wins."""
    limit = integer(params, "limit")
    query = follow_params(log, params, stream, limit)
    wait = min(integer(params, "wait") or 0, MAX_WAIT)
    strict = choice(params, "on_gap", ["error"]) is not None
    return ReadParams(query, limit, wait, strict)


def follow_params(
    log: BaseLog, params: QueryDict, stream: str | None = None, limit: int | None = None
) -> Query:
    """The parameters that say what is read, and from where."""
    text = once(params, "since")
    position = as_position(text or "")
    streams = stream if stream is not None else streams_asked(params) or None
    kinds, epoch, last = params.getlist("kind"), once(params, "epoch"), integer(params, "last")
    return _query(log, text if position is None else position, limit, streams, kinds, epoch, last)


def frame_query(log: BaseLog, frame: Mapping[str, Any]) -> Query:
    """The same, asked for by the members of a JSON object."""
    names = ("since", "stream", "kind", "epoch", "last")
    since, stream, kind, epoch, last = map(frame.get, names)
    if not isinstance(epoch, str | None):
        raise BadParameter("epoch", "must be a string")
    return _query(log, since, None, None if stream in ("", [""]) else stream, kind, epoch, last)


def _query(
    log: BaseLog, since: Any, limit: int | None, streams: Any, kinds: Any, epoch: Any, last: Any
) -> Query:
    if isinstance(kinds, list) and len(kinds) > MAX_KINDS:
        raise BadParameter("kind", f"must be at most {MAX_KINDS} kinds")
    if last is not None and since is not None:
        raise BadParameter("last", "stands in place of since: give one of them")
    if isinstance(since, int) and since > MAX_NUMBER:
        raise BadParameter("since", f"must be at most {MAX_NUMBER}")
    since = "earliest" if since is None else since
    return log.query(since, limit, stream=streams, kind=kinds, epoch=epoch, last=last)


def log_named(params: QueryDict) -> EventLog:
    return logs[once(params, "log") or DEFAULT_LOG]


def once(params: QueryDict, name: str) -> str | None:
    values = params.getlist(name)
    if len(values) > 1:
        raise BadParameter(name, "must be given once")
    return values[0] if values else None


def integer(params: QueryDict, name: str) -> int | None:
    text = once(params, name)
    if text is None:
        return None
    number = as_position(text)
    if number is None:
        raise BadParameter(name, "must be a whole number from 0")
    return number


def as_position(text: str) -> int | None:
    """Not int(): that takes Arabic digits, underscores and spaces for a number as well."""
    number = int(text) if re.fullmatch(r"[0-9]{1,19}", text) else -1
    return number if 0 <= number <= MAX_NUMBER else None


def streams_asked(params: QueryDict) -> tuple[str, ...]:
    """Names and prefixes; none stand for the whole log, as an empty name does here."""
    patterns = valid_streams(params.getlist("stream") or [""])
    return () if patterns == ("",) else patterns


def choice(params: QueryDict, name: str, choices: list[str]) -> str | None:
    text = once(params, name)
    if text is None or text in choices:
        return text
    raise BadParameter(name, f"must be one of: {', '.join(choices)}")
