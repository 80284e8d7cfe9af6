"""Who does something, and why: kept with every event that is emitted meanwhile.

    with events.context(actor="7", request="a1b2"):
        emit("order.paid", {…})

Contexts are nested, the inner one wins, and each belongs to its thread or task. What was emitted
in a transaction keeps the context of the emit. Readers over the wire are not shown it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from .exceptions import InvalidEvent
from .validation import MAX_KIND, shown, valid_payload

NAME = re.compile(r"[a-z][a-z0-9_]*")
MAX_FIELDS = 16
MAX_VALUE = 256
MAX_BYTES = 2048

Scalar = str | int | float | bool | None


class User(NamedTuple):
    """How to find out who acts; None is nobody. Asked when something is emitted, because a request
    begins before its user is known."""

    ask: Callable[[], str | None]
    aask: Callable[[], Awaitable[str | None]]


class Ambient(NamedTuple):
    fields: Mapping[str, Scalar]
    # The same as it is stored.
    text: str | None
    # Unless the fields have an actor.
    user: User | None
    outer: "Ambient | None"

    def by(self, actor: str | None) -> str | None:
        """The text, with the actor that its user turned out to be."""
        return self.text if actor is None else valid_context({"actor": actor, **self.fields})


_ambient: ContextVar[Ambient | None] = ContextVar("events_context", default=None)


class context:
    """`with context(actor=…, request=…, trace=…, **more):` and the same with `async with`."""

    def __init__(self, /, **fields: Scalar) -> None:
        self.fields = fields
        # Whoever acts, to be asked for when something is emitted.
        self.user: User | None = None
        self.text = valid_context(fields)

    @classmethod
    def caused_by(cls, position: int, trace: Any) -> "context":
        """Of what a handler emits. The text is made at hand: it is made for every entry."""
        if trace:
            return cls(cause=position, trace=trace)
        made = cls.__new__(cls)
        made.fields, made.user, made.text = {"cause": position}, None, f'{{"cause":{position}}}'
        return made

    def __enter__(self) -> None:
        outer = _ambient.get()
        fields, text, user = self.fields, self.text, self.user
        if outer is not None:
            fields, user = {**outer.fields, **fields}, user or outer.user
            text = valid_context(fields)
        user = None if "actor" in fields else user
        _ambient.set(Ambient(fields, text, user, outer))

    def __exit__(self, *raised: object) -> None:
        # Not a token of `set`: one object may be entered in several tasks at once.
        ambient = _ambient.get()
        _ambient.set(ambient and ambient.outer)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *raised: object) -> None:
        self.__exit__()


def current() -> str | None:
    """The context as it is stored with an event that is emitted now; None if there is none."""
    ambient = _ambient.get()
    if ambient is None:
        return None
    return ambient.by(ambient.user and ambient.user.ask())


async def acurrent() -> str | None:
    """The same in an event loop, where a user must not be asked for synchronously."""
    ambient = _ambient.get()
    if ambient is None:
        return None
    return ambient.by(ambient.user and await ambient.user.aask())


def actor_of(user: Any) -> str | None:
    """What is noted of a user: the primary key, or None for nobody."""
    key = getattr(user, "pk", None)
    return str(key) if key is not None and user.is_authenticated else None


def valid_context(fields: Mapping[str, Any]) -> str | None:
    """The fields as compact JSON text; None if there are none."""
    if not fields:
        return None
    if len(fields) > MAX_FIELDS:
        raise InvalidEvent("context", f"has {len(fields)} fields; at most {MAX_FIELDS} are allowed")
    for name, value in fields.items():
        if len(name) > MAX_KIND or not NAME.fullmatch(name):
            raise InvalidEvent("context", f"{shown(name)} must be lower snake case, like actor")
        if not isinstance(value, (str, int, float)) and value is not None:
            raise InvalidEvent(
                f"context.{name}", f"must be a string, number, boolean or None, not {shown(value)}"
            )
        if isinstance(value, str) and len(value) > MAX_VALUE:
            raise InvalidEvent(
                f"context.{name}", f"is {len(value)} characters; at most {MAX_VALUE} are allowed"
            )
    try:
        return valid_payload(dict(fields), MAX_BYTES)
    except InvalidEvent as error:
        raise InvalidEvent(error.place.replace("payload", "context", 1), error.rule) from None
