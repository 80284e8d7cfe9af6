"""Just enough of HTTP and WebSocket for a client that costs much less than its server."""

from __future__ import annotations

import re

from benchmarks.rivals.message import mark

MARK = re.compile(rb"@fanout@(\d{7})@")
# What of a chunk may be the beginning of a mark that ends in the next.
OVERLAP = len(mark(0)) - 1

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
Control = tuple[int, bytes]


def numbers(data: bytes) -> list[int]:
    """The events in these bytes, in their order."""
    return [int(found) for found in MARK.findall(data)]


class Frames:
    """Walks from frame to frame, wherever the stream is cut, and looks at control frames only."""

    __slots__ = ("data_frames", "missing", "rest")

    def __init__(self) -> None:
        self.data_frames = 0
        # Bytes of the current data frame that have not come yet.
        self.missing = 0
        # The beginning of a frame whose header, or whose control data, has not come whole.
        self.rest = b""

    def feed(self, chunk: bytes) -> list[Control]:
        """Take in what was received; the control frames in it, as opcode and body."""
        if self.missing >= len(chunk):
            self.missing -= len(chunk)
            return []
        data = self.rest + chunk if self.rest else chunk
        at, end = self.missing, len(data)
        self.missing, self.rest = 0, b""
        controls: list[Control] = []
        while at < end:
            body, after = bounds(data, at, end)
            control = after and data[at] & 8
            if not after or (control and after > end):
                self.rest = data[at:]
                break
            if control:
                controls.append((data[at] & 15, data[body:after]))
            else:
                self.data_frames += 1
                self.missing = max(after - end, 0)
            at = after
        return controls


def bounds(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the body of the frame at `at` begins and ends; zeros if its header is not whole."""
    if at + 2 > end:
        return 0, 0
    length, body = data[at + 1] & 127, at + 2
    if length > 125:
        body += 2 if length == 126 else 8
        if body > end:
            return 0, 0
        length = int.from_bytes(data[at + 2 : body])
    return body, body + length


def frame(opcode: int, body: bytes) -> bytes:
    """A frame of a client, with a mask of zeros: it has to be masked, not hidden."""
    assert len(body) < 126
    return bytes((0x80 | opcode, 0x80 | len(body), 0, 0, 0, 0)) + body


def upgrade(port: int, path: str) -> bytes:
    """The opening of a WebSocket. No extension is offered, so nothing comes compressed."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def get(port: int, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n"
    ).encode()
