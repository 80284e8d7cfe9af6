"""What is sent: one message, and all of its headers."""

from dataclasses import dataclass

from .signing import sign

AGENT = b"django-durable-events"


@dataclass(frozen=True, slots=True)
class Message:
    """What goes where. The id is the same for every attempt; the time is the attempt's."""

    url: str
    secrets: tuple[str, ...]
    id: str
    body: bytes

    def headers(self, host: str, seconds: int) -> list[tuple[bytes, bytes]]:
        """All that are sent: none of the site's, and no cookie."""
        signature = sign(self.secrets, self.id, seconds, self.body)
        return [
            (b"Host", host.encode()),
            (b"User-Agent", AGENT),
            (b"Accept", b"*/*"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(self.body)).encode()),
            (b"webhook-id", self.id.encode()),
            (b"webhook-timestamp", str(seconds).encode()),
            (b"webhook-signature", signature.encode()),
        ]
