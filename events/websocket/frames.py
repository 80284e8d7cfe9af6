"""What travels over a WebSocket: JSON objects with a `type`, in text frames."""

import json
from collections import deque
from functools import partial
from typing import Any, NamedTuple

from ..live.window import Batch

# Bytes of one frame from a client.
MAX_FRAME = 64 * 1024
# Characters of a subscription's id, which is sent back with every frame.
MAX_ID = 128
# Bytes of answers that wait to be sent.
MAX_ANSWERS = 256 * 1024
# Unacknowledged bytes beyond which nothing is sent to a client. As one more batch may follow what
# is just below, the sum stays within a mebibyte.
MAX_UNACKNOWLEDGED = 2**20 - 2**18 - 1024

# Close codes, with what the client should do.
BAD_FRAME = 4400  # mend the client
NOT_SIGNED_IN = 4401  # sign in
FORBIDDEN = 4403  # do not come back as this user
TOO_SLOW = 4408  # come back with `since`
TOO_MANY = 4429  # come back later, and ask for less
RESTARTS = 1012  # come back within so many milliseconds as the reason says
TRY_LATER = 1013


class Close(Exception):
    """The connection ends, and this is why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        # A close frame has room for 123 bytes.
        self.reason = reason.encode("ascii", "replace").decode()[:123]


def parse(message: dict[str, Any]) -> dict[str, Any]:
    """A frame of a client's. What is no JSON object with a type ends the connection."""
    text = message.get("text")
    if text is None:
        raise Close(BAD_FRAME, "Frames are text.")
    if len(text) > MAX_FRAME or len(text.encode(errors="replace")) > MAX_FRAME:
        raise Close(BAD_FRAME, "The frame is too large.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise Close(BAD_FRAME, "The frame is no JSON.") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise Close(BAD_FRAME, "A frame is an object with a type.")
    return frame


def control(type: str, **fields: Any) -> str:
    """A frame of ours. ASCII, because an id may hold half a character that UTF-8 does not have."""
    return json.dumps({"type": type, **fields}, separators=(",", ":"))


def error(id: Any, code: str, detail: str) -> str:
    """An error about the subscription `id`, if that can be one's id."""
    return control("error", id=id if is_id(id) else None, code=code, detail=detail)


def is_id(id: Any) -> bool:
    return isinstance(id, str) and len(id) <= MAX_ID


class Packed(NamedTuple):
    """A batch as a frame, and its size in bytes."""

    text: str
    size: int


def pack(id: str, batch: Batch) -> Packed:
    """The entries of a batch for the subscription `id`; made once for all with this id."""
    known: Packed | None = batch.forms.get(id)
    return known or batch.once(id, partial(_pack, id))


def _pack(id: str, batch: Batch) -> Packed:
    start = f'{{"type":"events","id":{json.dumps(id)},"events":['
    entries = ",".join(entry.text for entry in batch.entries)
    end = f'],"cursor":{batch.cursor}}}'
    size = sum(entry.size + 1 for entry in batch.entries) + len(start) + len(end)
    return Packed(f"{start}{entries}{end}", size)


class Unacknowledged:
    """What was sent and not acknowledged, oldest first: one queue for a socket, because an
    acknowledgement says that everything before it has arrived as well."""

    def __init__(self) -> None:
        self.sent: deque[tuple[str, int, int]] = deque()
        self.size = 0

    @property
    def has_room(self) -> bool:
        return self.size <= MAX_UNACKNOWLEDGED

    def add(self, id: str, position: int, size: int) -> None:
        self.sent.append((id, position, size))
        self.size += size

    def has(self, id: str, position: int) -> bool:
        """Is something of this subscription up to there, or beyond, not acknowledged yet?"""
        return any(sent_id == id and sent >= position for sent_id, sent, _ in self.sent)

    def release(self, id: str, position: int) -> bool:
        """Take an acknowledgement; was there something to release? Looked for from the newest:
        after a change of epoch, positions begin anew."""
        for newer, (sent_id, sent_position, _) in enumerate(reversed(self.sent)):
            if sent_id == id and sent_position <= position:
                for _ in range(len(self.sent) - newer):
                    self.size -= self.sent.popleft()[2]
                return True
        return False
