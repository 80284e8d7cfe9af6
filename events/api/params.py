"""Query parameters, read strictly: a number is ASCII digits, and comes once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from ..cursors import Query, Since
from ..exceptions import InvalidEvent
from ..log import EventLog
from ..validation import valid_stream

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


def read_params(log: EventLog, params: QueryDict, stream: str | None = None) -> ReadParams:
    """Check a request's parameters; `stream` is the one that the path names, and wins."""
    limit = whole(params, "limit")
    query = follow_params(log, params, stream, limit)
    wait = min(whole(params, "wait") or 0, MAX_WAIT)
    strict = choice(params, "on_gap", ["error"]) is not None
    return ReadParams(query, limit, wait, strict)


def follow_params(
    log: EventLog, params: QueryDict, stream: str | None = None, limit: int | None = None
) -> Query:
    """The parameters that say what is read, and from where."""
    kinds = params.getlist("kind")
    if len(kinds) > MAX_KINDS:
        raise ValidationError({"kind": [f"At most {MAX_KINDS} kinds."]})
    try:
        return log.query(
            since(params),
            limit,
            stream=stream if stream is not None else stream_name(params),
            kind=kinds or None,
            epoch=once(params, "epoch"),
        )
    except ValueError as error:
        # Everything else was checked above, so this is about the kinds.
        raise ValidationError({"kind": [str(error)]}) from None


def once(params: QueryDict, name: str) -> str | None:
    values = params.getlist(name)
    if len(values) > 1:
        raise ValidationError({name: ["Give this parameter once."]})
    return values[0] if values else None


def whole(params: QueryDict, name: str) -> int | None:
    text = once(params, name)
    if text is None:
        return None
    # Not int(): that takes Arabic digits, underscores and spaces for a number as well.
    if re.fullmatch(r"[0-9]{1,19}", text) and (number := int(text)) <= MAX_NUMBER:
        return number
    raise ValidationError({name: ["A whole number from 0 is required."]})


def since(params: QueryDict) -> Since:
    text = once(params, "since")
    if text is None or text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    try:
        return whole(params, "since") or 0
    except ValidationError:
        raise ValidationError(
            {"since": ["A position from 0, 'earliest' or 'latest' is required."]}
        ) from None


def stream_name(params: QueryDict) -> str | None:
    try:
        return valid_stream(once(params, "stream")) or None
    except InvalidEvent as error:
        raise ValidationError({"stream": [error.rule]}) from None


def choice(params: QueryDict, name: str, choices: list[str]) -> str | None:
    text = once(params, name)
    if text is None or text in choices:
        return text
    raise ValidationError({name: [f"This must be one of: {', '.join(choices)}."]})
