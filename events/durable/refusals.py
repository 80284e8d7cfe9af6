"""How the protocol says no. Each refusal knows its status and its headers."""

from ..exceptions import EventsError, StreamClosed

TRUE = "true"


class Refused(EventsError):
    """A request that the protocol does not allow; nothing was stored."""

    status = 409

    def __init__(self, message: str, **headers: object) -> None:
        super().__init__(message)
        # `stream_closed="true"` is the header Stream-Closed.
        self.headers = {
            name.replace("_", "-").title(): str(value) for name, value in headers.items()
        }


class Invalid(Refused):
    status = 400


class Stale(Refused):
    """A producer that another one, of a later epoch, has taken the place of."""

    status = 403


class Missing(Refused):
    status = 404


class NotDurable(Refused):
    """A stream of the log's own: it can be read, and is written by other ways."""

    status = 405


class Conflicting(Refused):
    pass


class Forked(Refused):
    """A stream cannot go while others stand on it."""


class Closed(Refused, StreamClosed):
    """Nothing more can be appended. The offset is where the stream ends."""

    def __init__(self, name: str, offset: str) -> None:
        super().__init__(
            f"the stream {name!r} is closed", stream_closed=TRUE, stream_next_offset=offset
        )


class Lost(Refused):
    """What comes after an offset is not there any more; or the stream itself is not."""

    status = 410


class TooLarge(Refused):
    status = 413
