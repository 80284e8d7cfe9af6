"""What an event may be. A breach is an `InvalidEvent` that names the rule and the place."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sized
from functools import lru_cache
from typing import Any, NamedTuple

from . import hooks
from .conf import LogSettings
from .encoding import Encoder, encoded, not_json
from .exceptions import InvalidEvent
from .types import Row
from .wire import dumps

KIND = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")
MAX_STREAM = 128
STREAM = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MAX_STREAM - 1}}}")
MAX_KIND = 100
MAX_KEY = 128
MAX_DEPTH = 20
# Beyond it a JavaScript reader would see another number than the one that was written.
MAX_INTEGER = 2**53 - 1

# Names that mean something to an EventSource or to our own protocols.
RESERVED = frozenset({"end", "gap", "error", "open", "message"})

ITEM_FIELDS = ("kind", "payload", "stream", "key")


class Item(NamedTuple):
    """An event that keeps every rule, its payload already the JSON text that is stored."""

    kind: str
    stream: str
    text: str
    key: str | None
    # Seconds; of a stream that is opened by it.
    idle_timeout: float | None = None
    # Who and why, as JSON text; see `events.context`.
    context: str | None = None

    def at(self, position: int, seq: int, micros: int) -> Row:
        """The entry that it becomes."""
        kind, stream, text, key, _, context = self
        return Row(position, kind, stream, seq, micros, text, key, context)


class _Breach(Exception):
    """A rule broken inside a payload; each level on the way out adds its own key."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.path: list[object] = []


def valid_item(
    settings: LogSettings,
    context: str | None,
    kind: object,
    payload: object,
    stream: object,
    key: object,
) -> Item:
    """One event, by the rules of a log."""
    return Item(
        valid_kind(kind),
        valid_stream(stream),
        valid_payload(payload, settings.max_payload_bytes, settings.encoder),
        valid_key(key),
        None,
        context,
    )


def valid_items(settings: LogSettings, items: object, context: str | None = None) -> list[Item]:
    """A list of `(kind, payload)` pairs or dictionaries, each checked."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise InvalidEvent("items", "must be a list of (kind, payload) pairs or dictionaries")
    found = []
    for index, item in enumerate(items):
        try:
            found.append(valid_item(settings, context, *_fields(item)))
        except InvalidEvent as error:
            joint = "" if error.place[:1] in ("", "[") else "."
            raise InvalidEvent(f"items[{index}]{joint}{error.place}", error.rule) from None
    return found


def _fields(item: object) -> Iterable[Any]:
    """What an item has under ITEM_FIELDS."""
    if isinstance(item, (tuple, list)) and 1 <= len(item) <= 2:
        return (*item, None, None, None)[:4]
    if not isinstance(item, (dict, Mapping)):
        raise InvalidEvent("", "must be a (kind, payload) pair or a dictionary")
    for name in item:
        if name not in ITEM_FIELDS:
            place = shown_path([name]).removeprefix(".")
            raise InvalidEvent(place, f"is none of {', '.join(ITEM_FIELDS)}")
    if "kind" not in item:
        raise InvalidEvent("kind", "is missing")
    return map(item.get, ITEM_FIELDS)


def valid_text(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidEvent(place, f"must be a string, not {type(value).__name__}")
    return str.__str__(value)


def valid_kind(kind: object) -> str:
    return _kind(kind if type(kind) is str else valid_text("kind", kind))


@lru_cache(maxsize=1024)
def _kind(kind: str) -> str:
    if len(kind) > MAX_KIND:
        raise InvalidEvent("kind", f"must be at most {MAX_KIND} characters, not {len(kind)}")
    if not KIND.fullmatch(kind):
        raise InvalidEvent(
            "kind", f"{kind!r} must be dotted lower snake case, like turn.started or job_done"
        )
    if kind in RESERVED or kind.startswith(tuple(hooks.reserved_kinds)):
        raise InvalidEvent("kind", f"{kind!r} is reserved")
    return kind


def valid_stream(stream: object) -> str:
    """A stream's name; "" (or None) stands for no stream."""
    if stream is None or stream == "":
        return ""
    return _stream(stream if type(stream) is str else valid_text("stream", stream))


@lru_cache(maxsize=1024)
def _stream(stream: str) -> str:
    if not STREAM.fullmatch(stream):
        raise InvalidEvent(
            "stream",
            f"{shown(stream)} must be 1 to 128 of A-Z a-z 0-9 . _ : - and start with a letter "
            "or a digit",
        )
    return stream


def valid_key(key: object) -> str | None:
    if key is None:
        return None
    key = valid_text("key", key)
    if not 1 <= len(key) <= MAX_KEY:
        raise InvalidEvent("key", f"must be 1 to {MAX_KEY} characters, not {len(key)}")
    try:
        _check_text(key)
    except _Breach as breach:
        raise InvalidEvent("key", breach.rule) from None
    return key


def valid_payload(payload: object, max_bytes: int, encoder: Encoder | None = None) -> str:
    """The payload as compact JSON text. What the encoder gives has to keep every rule, too."""
    if payload is None:
        return "{}"
    if encoder is not None:
        _check_payload(payload, _Walk(max_bytes, _pass_over))
        payload = _encode(payload, max_bytes, encoder)
    if type(payload) is not dict or _room_in(payload, 1, max_bytes) < 0:
        _check_payload(payload, _Walk(max_bytes, _refuse))
    text = dumps(payload)
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        _check_payload(payload, _Walk(max_bytes, _refuse))
        raise
    if "\\u0000" in text:
        _check_payload(payload, _Walk(max_bytes, _refuse))
    if size > max_bytes:
        raise InvalidEvent("payload", f"is {size} bytes as JSON; at most {max_bytes} are allowed")
    return text


def _room_in(container: Any, depth: int, room: int) -> int:
    """How many more members there may be than these; below 0 if the container has to be looked at
    by `_check`, which can say what is wrong, and knows more types that are right.

    Nearly every payload passes here, in less than half of the time. What is wrong with its texts
    shows in the JSON.
    """
    room -= len(container)
    if depth > MAX_DEPTH or room < 0:
        return -1
    members = container
    if type(container) is dict:
        for key in container:
            if type(key) is not str:
                return -1
        members = container.values()
    for member in members:
        kind = type(member)
        if kind is str or kind is bool or member is None:
            continue
        if kind is dict or kind is list:
            room = _room_in(member, depth + 1, room)
            if room < 0:
                return -1
        elif kind is int:
            if not -MAX_INTEGER <= member <= MAX_INTEGER:
                return -1
        elif kind is float:
            if not math.isfinite(member):
                return -1
        else:
            return -1
    return room


def _encode(payload: object, max_bytes: int, encoder: Encoder) -> object:
    try:
        return encoded(payload, encoder)
    except Exception as error:

        def find(value: object) -> None:
            try:
                encoded(value, encoder)
            except Exception as error:
                name = type(value).__name__
                raise _Breach(f"is a {name}, which ENCODER refuses: {shown(error)}") from None

        _check_payload(payload, _Walk(max_bytes, find))
        raise InvalidEvent("payload", f"is refused by ENCODER: {shown(error)}") from None


class _Walk:
    """What is done with a value that JSON does not have, and how many members there may yet be:
    each takes a byte at least, and a payload that holds one list many times over never ends."""

    __slots__ = ("foreign", "left")

    def __init__(self, left: int, foreign: Callable[[object], None]) -> None:
        self.left = left
        self.foreign = foreign


def _refuse(value: object) -> None:
    raise _Breach(not_json(value))


def _pass_over(value: object) -> None:
    """What the encoder makes of it is checked afterwards."""


def _check_payload(payload: object, walk: _Walk) -> None:
    if not isinstance(payload, dict):
        raise InvalidEvent("payload", f"must be a dict, not {type(payload).__name__}")
    try:
        _check(payload, 1, walk)
    except _Breach as breach:
        raise InvalidEvent("payload" + shown_path(reversed(breach.path)), breach.rule) from None


def _check(value: object, depth: int, walk: _Walk) -> None:
    """Look at a value and all that is in it."""
    if isinstance(value, str):
        _check_text(value)
    elif value is None or value is True or value is False:
        pass
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise _Breach("is an integer beyond ±(2**53 - 1); send it as a string")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Breach("must not be NaN or Infinity")
    elif isinstance(value, dict):
        _check_container(value, depth, walk)
        for key, member in value.items():
            if not isinstance(key, str):
                raise _Breach(f"has a key that is no string: {shown(key)}")
            try:
                _check_text(key)
                _check(member, depth + 1, walk)
            except _Breach as breach:
                breach.path.append(key)
                raise
    elif isinstance(value, (list, tuple)):
        _check_container(value, depth, walk)
        for index, member in enumerate(value):
            try:
                _check(member, depth + 1, walk)
            except _Breach as breach:
                breach.path.append(index)
                raise
    else:
        walk.foreign(value)


def _check_container(value: Sized, depth: int, walk: _Walk) -> None:
    if depth > MAX_DEPTH:
        raise _Breach(f"is nested more than {MAX_DEPTH} deep")
    walk.left -= len(value)
    if walk.left < 0:
        raise _Breach("is too large, or holds one value many times over")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise _Breach("must not contain NUL")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Breach("must not contain a lone surrogate") from None


def shown(value: object) -> str:
    """What was given, short enough for an error and safe to print anywhere."""
    try:
        text = ascii(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def shown_path(path: Iterable[object]) -> str:
    """`.items[3].price`: plain names with a dot, anything else in brackets."""
    return "".join(
        f".{step}"
        if isinstance(step, str) and step.isascii() and step.isidentifier() and len(step) <= 60
        else f"[{shown(step)}]"
        for step in path
    )
