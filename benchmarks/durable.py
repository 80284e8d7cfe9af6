"""Durable streams over HTTP, beside a native POST and beside the protocol's reference server.

    python -m benchmarks.durable [--quick] [--json FILE] [--postgres URL]

All on uvicorn, with a real socket. An append is compared with a POST of the same event to the log's
own endpoint, in short turns. Then so many readers follow one stream over Server-Sent Events, which
is given fifty tokens a second; how late each is, each of them tells by the time that the token
carries. The reference server keeps its streams in memory; npm has to be there for it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import harness
from benchmarks.harness import DISPLAY, Report, Result
from tests.support.servers import Site, free_port, wait_until

SETTINGS = "tests.support.durable_settings"
REFERENCE = "@durable-streams/server@0.3.7"
TOKENS_A_SECOND = 50
JSON = {"Content-Type": "application/json"}
TIME = re.compile(rb'"t":([0-9.]+)')

SCRIPT = """
import { DurableStreamTestServer } from "@durable-streams/server";
await new DurableStreamTestServer({ port: Number(process.argv[2]), host: "127.0.0.1" }).start();
"""


def measure(report: Report, quick: bool) -> None:
    appends, readers, seconds = (100, 100, 3) if quick else (300, 500, 10)
    with reference(report) as rival:
        for alias in harness.aliases():
            with ours(alias) as address:
                appending(report, DISPLAY[alias], address, rival, appends)
                following(report, DISPLAY[alias], address, rival, readers, seconds)


# The servers


@contextmanager
def ours(alias: str) -> Iterator[str]:
    from django.db import connections

    found = connections.settings[alias]
    if alias == "sqlite":
        url = f"sqlite:///{found['NAME']}"
    else:
        user, host, port = found["USER"], found["HOST"], found["PORT"]
        url = f"postgres://{user}:{found['PASSWORD']}@{host}:{port}/{found['NAME']}"
    connections.close_all()
    # With a pool, as a site in earnest: to connect takes longer than to append.
    pool = {} if alias == "sqlite" else {"SITE_POOL": "10"}
    site = Site(
        url, DJANGO_SETTINGS_MODULE=SETTINGS, DEBUG="", SECRET_KEY="x", ALLOWED_HOSTS="*", **pool
    )
    site.manage("migrate", "-v0")
    with site.serve("uvicorn", options=["--no-access-log"]) as (_, address):
        yield address


@contextmanager
def reference(report: Report) -> Iterator[str | None]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        script = Path(folder) / "serve.mjs"
        script.write_text(SCRIPT)
        try:
            subprocess.run(
                ["npm", "install", "--silent", "--no-audit", "--prefix", folder, REFERENCE],
                check=True,
                capture_output=True,
                timeout=120,
            )
        except (OSError, subprocess.SubprocessError) as error:
            report.skip("the reference server", str(error))
            yield None
            return
        port = free_port()
        process = subprocess.Popen(["node", script, str(port)], cwd=folder)
        stack.callback(process.kill)
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: put(address, "there") == 201, process)
        yield address


def put(address: str, name: str) -> int:
    try:
        with connected(address) as request:
            return request("PUT", f"/v1/stream/{name}", b"")
    except OSError:
        return 0


Request = Callable[[str, str, bytes], int]


@contextmanager
def connected(address: str) -> Iterator[Request]:
    """One connection, which is kept."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)

    def request(method: str, path: str, body: bytes) -> int:
        connection.request(method, path, body, JSON)
        response = connection.getresponse()
        response.read()
        return response.status

    try:
        yield request
    finally:
        connection.close()


# Appending


def appending(report: Report, display: str, address: str, rival: str | None, count: int) -> None:
    with ExitStack() as stack:
        request = stack.enter_context(connected(address))
        put(address, "appended")
        native = {"kind": "turn.token", "payload": {"data": {"n": 1}}, "stream": "native"}
        cases = [
            poster(request, "/v1/stream/appended", [{"n": 1}], 204),
            poster(request, "/api/events/?log=open", native, 201),
        ]
        durable, plain = harness.alternate(cases, count)
        compare(report, f"{display}: an append vs a native POST", durable, plain, 0.7)
        if rival is not None:
            put(rival, "appended")
            other = stack.enter_context(connected(rival))
            cases[1] = poster(other, "/v1/stream/appended", [{"n": 1}], 204)
            durable, theirs = harness.alternate(cases, count)
            compare(report, f"{display}: an append vs the reference's, in memory", durable, theirs)


def poster(request: Request, path: str, data: object, status: int) -> Callable[[], None]:
    body = json.dumps(data).encode()

    def post() -> None:
        found = request("POST", path, body)
        assert found == status, found

    return post


def compare(
    report: Report, name: str, ours: list[float], rival: list[float], target: float | None = None
) -> None:
    typical = [harness.milliseconds(median(some)) for some in (ours, rival)]
    report.add(Result(name, *typical, harness.times_as_fast(ours, rival), target))


# Following


def following(
    report: Report, display: str, address: str, rival: str | None, readers: int, seconds: int
) -> None:
    late = lateness(address, readers, seconds)
    theirs = None if rival is None else lateness(rival, readers, seconds)
    name = f"{display}: to {readers} readers, {TOKENS_A_SECOND} tokens/s, vs the reference's"
    report.add(
        Result(
            name,
            harness.milliseconds(median(late)),
            "" if theirs is None else harness.milliseconds(median(theirs)),
            # Of 30 ms.
            median(late) / 0.030,
            1.0,
            at_most=True,
            note=f"{len(late):,} of {readers * seconds * TOKENS_A_SECOND:,} tokens read; 99 % within "
            f"{harness.milliseconds(sorted(late)[len(late) * 99 // 100])}; the ratio is to 30 ms",
        )
    )


def lateness(address: str, readers: int, seconds: int) -> list[float]:
    """For each token and reader, the seconds from its append until it was read."""
    name = f"followed-{time.time_ns()}"
    put(address, name)
    # The readers have a process of their own: their work is not to be the writer's lateness.
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=read, args=(there, address, name, readers))
    process.start()
    assert here.recv() == "ready"
    with connected(address) as request:
        begun = time.time()
        for number in range(seconds * TOKENS_A_SECOND):
            time.sleep(max(0.0, begun + number / TOKENS_A_SECOND - time.time()))
            body = json.dumps([{"t": time.time()}]).encode()
            assert request("POST", f"/v1/stream/{name}", body) == 204
    time.sleep(1)
    here.send("enough")
    found: list[float] = here.recv()
    process.join()
    return found


def read(pipe: object, address: str, name: str, readers: int) -> None:
    asyncio.run(_read(pipe, address, name, readers))


class Reader(asyncio.Protocol):
    def __init__(self, head: bytes, late: list[float], begun: asyncio.Semaphore) -> None:
        self.head, self.late, self.begun = head, late, begun
        self.is_begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.head)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if not self.is_begun and b"upToDate" in data:
            self.is_begun = True
            self.begun.release()
        self.late.extend(now - float(found) for found in TIME.findall(data))


async def _read(pipe: object, address: str, name: str, readers: int) -> None:
    place = urlsplit(address)
    path = f"/v1/stream/{name}?offset=-1&live=sse"
    head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    late: list[float] = []
    begun = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    for _ in range(readers):
        await loop.create_connection(lambda: Reader(head, late, begun), place.hostname, place.port)
        await begun.acquire()
    pipe.send("ready")  # type: ignore[attr-defined]
    await loop.run_in_executor(None, pipe.recv)  # type: ignore[attr-defined]
    pipe.send(late)  # type: ignore[attr-defined]


if __name__ == "__main__":
    harness.main("Durable streams over HTTP.", measure)
