"""What a reader asks for, in a query string or in a WebSocket frame, read strictly: a number is
ASCII digits, and comes once. Each transport says in its own way what is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from .base_log import BaseLog
from .conf import DEFAULT_LOG
from .cursors import Query, Since, Streams, valid_streams
from .exceptions import InvalidEvent
from .log import EventLog, logs

MAX_NUMBER = 2**63 - 1
MAX_WAIT = 30
# Kinds in one request: more make a slow query, and nobody needs them.
MAX_KINDS = 100


class BadParameter(ValueError):
    """A parameter that breaks a rule; `name` is the one that the client knows."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name}: {rule}")
        self.name = name
        self.rule = rule


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
    since = valid_since(text if position is None else position)
    last = valid_last(log, integer(params, "last"), text)
    streams = stream if stream is not None else streams_asked(params) or None
    return _query(log, since, limit, streams, params.getlist("kind"), once(params, "epoch"), last)


def frame_query(log: BaseLog, frame: Mapping[str, Any]) -> Query:
    """The same, asked for by the members of a JSON object."""
    since, stream, kind, epoch = map(frame.get, ("since", "stream", "kind", "epoch"))
    if not isinstance(stream, str | list | None):
        raise BadParameter("stream", "A string or a list of strings is required.")
    if not isinstance(epoch, str | None):
        raise BadParameter("epoch", "A string is required.")
    if not isinstance(kind, str | list | None):
        raise BadParameter("kind", "A string or a list of strings is required.")
    kinds = [kind] if isinstance(kind, str) else kind
    streams = _streams(stream if isinstance(stream, list) else [stream or ""])
    last = valid_last(log, frame.get("last"), since)
    return _query(log, valid_since(since), None, streams or None, kinds, epoch, last)


def _query(
    log: BaseLog,
    since: Since,
    limit: int | None,
    streams: Streams,
    kinds: list[Any] | None,
    epoch: str | None,
    last: int | None,
) -> Query:
    if kinds and len(kinds) > MAX_KINDS:
        raise BadParameter("kind", f"At most {MAX_KINDS} kinds.")
    try:
        return log.query(since, limit, stream=streams, kind=kinds or None, epoch=epoch, last=last)
    except InvalidEvent as error:
        raise BadParameter(error.place, error.rule) from None
    except ValueError as error:
        # Everything else was checked above, so this is about the kinds.
        raise BadParameter("kind", str(error)) from None


def log_named(params: QueryDict) -> EventLog:
    return logs[once(params, "log") or DEFAULT_LOG]


def once(params: QueryDict, name: str) -> str | None:
    values = params.getlist(name)
    if len(values) > 1:
        raise BadParameter(name, "Give this parameter once.")
    return values[0] if values else None


def integer(params: QueryDict, name: str) -> int | None:
    text = once(params, name)
    if text is None:
        return None
    number = as_position(text)
    if number is None:
        raise BadParameter(name, "A whole number from 0 is required.")
    return number


def as_position(text: str) -> int | None:
    """Not int(): that takes Arabic digits, underscores and spaces for a number as well."""
    number = int(text) if re.fullmatch(r"[0-9]{1,19}", text) else -1
    return number if 0 <= number <= MAX_NUMBER else None


def valid_since(since: object) -> Since:
    if since is None or since == "earliest":
        return "earliest"
    if since == "latest":
        return "latest"
    if isinstance(since, int) and not isinstance(since, bool) and 0 <= since <= MAX_NUMBER:
        return since
    raise BadParameter("since", "A position from 0, 'earliest' or 'latest' is required.")


def valid_last(log: BaseLog, last: object, since: object) -> int | None:
    if last is None:
        return None
    if since is not None:
        raise BadParameter("last", "Give this or `since`, not both.")
    most = log.settings.max_page_size
    if isinstance(last, int) and not isinstance(last, bool) and 1 <= last <= most:
        return last
    raise BadParameter("last", f"A whole number from 1 to {most} is required.")


def streams_asked(params: QueryDict) -> tuple[str, ...]:
    """Names and prefixes; none stand for the whole log, as an empty name does here."""
    return _streams(params.getlist("stream") or [""])


def _streams(given: list[Any]) -> tuple[str, ...]:
    try:
        patterns = valid_streams(given)
    except InvalidEvent as error:
        raise BadParameter("stream", error.rule) from None
    return () if patterns == ("",) else patterns


def choice(params: QueryDict, name: str, choices: list[str]) -> str | None:
    text = once(params, name)
    if text is None or text in choices:
        return text
    raise BadParameter(name, f"This must be one of: {', '.join(choices)}.")
