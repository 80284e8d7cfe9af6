"""The other side of webhooks, as a process: it verifies, remembers, and behaves as badly as it is told.

    python -m tests.support.receiver PORT NOTES

What an address does stands in its path: `/ok`, `/slow/0.5`, `/hang`, `/status/429/Retry-After:7`,
`/redirect/http://…`, `/large`, `/early`, `/half`, `/some/7` (a position that it refuses with 422),
`/fail/7` (with 500), `/drip`, `/every/9/hang` (every ninth time as that path says, and else well).
A note is a line of JSON; `nth` counts the requests of an address.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path


async def answer(path, body, writer, nth):
    verb, *rest = path.partition("?")[0].strip("/").split("/", 2)
    if verb == "every":
        verb, *rest = ("ok",) if nth % int(rest[0]) else rest[1].split("/")
    position = json.loads(body)["data"].get("position")
    if verb == "slow":
        await asyncio.sleep(float(rest[0]))
    if verb == "hang":
        await asyncio.sleep(3600)
    if verb == "early":
        return b""
    if verb == "half":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    if verb == "drip":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-drip: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
    if verb == "large":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000
    if verb == "redirect":
        return f"HTTP/1.1 302 Found\r\nLocation: {rest[0]}/{rest[1]}\r\nContent-Length: 0\r\n\r\n".encode()
    if verb == "status":
        more = f"{rest[1]}\r\n" if len(rest) > 1 else ""
        return f"HTTP/1.1 {rest[0]} Told\r\n{more}Content-Length: 4\r\n\r\ntold".encode()
    if verb in ("some", "fail") and str(position) in rest[0].split(","):
        status = 422 if verb == "some" else 500
        return f"HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver:
    def __init__(self, notes):
        self.notes = Path(notes).open("a", buffering=1)  # noqa: SIM115  (until it is killed)
        self.counts = Counter()

    async def serve(self, reader, writer):
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        note = {"method": method, "path": path, "headers": headers, "body": body.decode()}
        self.counts[path] += 1
        note |= {
            "nth": self.counts[path],
            "at": time.time(),
            "peer": writer.get_extra_info("peername")[0],
        }
        self.notes.write(json.dumps(note) + "\n")
        told = await answer(path, body, writer, note["nth"])
        if told:
            writer.write(told)
            await writer.drain()
        # Whoever answers with less than it has announced closes.
        return bool(told) and not told.endswith(b"half")


async def main(port, notes):
    receiver = Receiver(notes)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
