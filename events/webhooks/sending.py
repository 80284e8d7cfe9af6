"""One POST, and the thread with an event loop in which many are under way."""

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import httpcore
import httpx

from . import conf
from .addresses import valid_url
from .guard import Forbidden, GuardedBackend
from .message import Message
from .models import MAX_ANSWER, MAX_TEXT
from .verdicts import Answer, retry_after

# Bytes of an answer that are read, so that its connection can be used again; and seconds for that.
MOST_READ = 65_536
READ_PATIENCE = 5.0
# Seconds for which a connection is kept without use: less than most servers do, so that it is not
# they who close it while the next request is on its way.
KEEP_ALIVE = 3.0


@cache
def tls() -> ssl.SSLContext:
    """Half a hundredth of a second, and a megabyte: one for all."""
    return httpx.create_ssl_context()


def new_pool() -> httpcore.AsyncConnectionPool:
    """The one connection of a line. A pool for all would search through all for each request."""
    return httpcore.AsyncConnectionPool(
        ssl_context=tls(),
        max_connections=1,
        keepalive_expiry=KEEP_ALIVE,
        network_backend=GuardedBackend(),
    )


async def post(pool: httpcore.AsyncConnectionPool, message: Message) -> Answer:
    """Never raises: what goes wrong is an answer without a status."""
    began = time.monotonic()
    status, told, text, wait = None, "", "", None
    try:
        async with asyncio.timeout(conf.seconds("TIMEOUT")):
            # Once more: the settings may be stricter by now than when it was saved.
            parts = valid_url(message.url)
            request: dict[str, Any] = {
                "headers": message.headers(parts.netloc, int(time.time())),
                "content": message.body,
                "extensions": {"timeout": phases()},
            }
            async with pool.stream("POST", message.url, **request) as response:
                status = response.status
                wait = retry_after(header(response, b"retry-after"))
                with contextlib.suppress(TimeoutError, httpcore.ReadTimeout):
                    async with asyncio.timeout(READ_PATIENCE):
                        text = await beginning(response)
    except Exception as error:
        # What comes after the status makes no difference any more.
        if status is None:
            told = reason(error)
    return Answer(status, round((time.monotonic() - began) * 1000), text, told, wait)


def phases() -> dict[str, float]:
    whole, connecting = conf.seconds("TIMEOUT"), conf.seconds("CONNECT_TIMEOUT")
    return {"connect": min(whole, connecting), "write": whole, "read": whole, "pool": whole}


def header(response: httpcore.Response, name: bytes) -> str | None:
    found = [value for key, value in response.headers if key.lower() == name]
    return found[0].decode("latin-1") if found else None


async def beginning(response: httpcore.Response) -> str:
    """The first KiB, as text that every database takes. Of more than `MOST_READ`, the rest is left
    unread, and the connection closed."""
    kept, size = b"", 0
    try:
        async for chunk in response.aiter_stream():
            size += len(chunk)
            kept = (kept + chunk)[:MAX_ANSWER]
            if size > MOST_READ:
                break
    except (httpcore.ReadError, httpcore.RemoteProtocolError):
        pass
    return kept.decode(errors="replace").replace("\0", "\ufffd")[:MAX_ANSWER]


def reason(error: Exception) -> str:
    if isinstance(error, Forbidden | ValueError):
        return str(error)[:MAX_TEXT]
    if isinstance(error, TimeoutError | httpcore.TimeoutException):
        return f"no answer in time ({str(error) or type(error).__name__})"[:MAX_TEXT]
    return f"{type(error).__name__}: {error}".strip(": ").replace("\0", "")[:MAX_TEXT]


def post_now(message: Message) -> Answer:
    """In this thread, for somebody who waits."""

    async def alone() -> Answer:
        async with new_pool() as pool:
            return await post(pool, message)

    return asyncio.run(alone())


class Sender:
    """A thread with an event loop. `done` is called in it with each answer."""

    def __init__(self, done: Callable[[Any, Answer], None]) -> None:
        self.done = done
        self.pools: dict[Hashable, httpcore.AsyncConnectionPool] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.new_event_loop()
        # Each request under way may have to look a name up, and some names are never found.
        names = ThreadPoolExecutor(int(conf.get("CONCURRENCY")), "events-webhooks-names")
        self.loop.set_default_executor(names)
        self.names = names
        self.thread = threading.Thread(target=self._run, name="events-webhooks", daemon=True)
        self.thread.start()

    def send(self, line: Hashable, message: Message, job: object) -> None:
        """A line has one request under way at a time, and keeps its connection between them."""
        self.loop.call_soon_threadsafe(self._begin, line, message, job)

    def forget(self, line: Hashable) -> None:
        """It has nothing more to send for now: close its connection."""
        self.loop.call_soon_threadsafe(self._close, line)

    def close(self) -> None:
        """What is under way is broken off: whoever closes has waited for it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(self._end())
        # A look-up that hangs is not waited for.
        self.names.shutdown(wait=False, cancel_futures=True)
        self.loop.close()

    async def _end(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for pool in self.pools.values():
            await pool.aclose()

    def _begin(self, line: Hashable, message: Message, job: object) -> None:
        pool = self.pools.get(line)
        try:
            if pool is None:
                pool = self.pools[line] = new_pool()
        except Exception as error:
            # The certificates cannot be read, for one. Somebody waits for an answer all the same.
            self.done(job, Answer(None, error=reason(error)))
        else:
            self._keep(self._post(pool, message, job))

    async def _post(
        self, pool: httpcore.AsyncConnectionPool, message: Message, job: object
    ) -> None:
        self.done(job, await post(pool, message))

    def _close(self, line: Hashable) -> None:
        pool = self.pools.pop(line, None)
        if pool is not None:
            self._keep(pool.aclose())

    def _keep(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
