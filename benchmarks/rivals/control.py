"""How a contender is told to emit: a line on a port of its own, beside what is measured.

A line `{"first": 1, "count": 40, "pause": null}` starts an emission inside the server process:
all together, or one after another with a pause. When it is over, a line answers with the moments
at which each emit was called and returned, and with the number of statements that the process has
sent to its database so far.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from django.db.backends.signals import connection_created

# Every statement passes here, whoever sends it.
statements = 0


def count(execute: Callable[..., object], *arguments: Any) -> object:
    global statements
    statements += 1
    return execute(*arguments)


def watch(connection: Any, **kwargs: Any) -> None:
    connection.execute_wrappers.append(count)


connection_created.connect(watch)

Emit = Callable[[range], Awaitable[object]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def controlled(application: Application, emit: Emit) -> Application:
    """The application, with the line opened when it is first called.

    Not at its start: daphne knows no lifespan.
    """
    opened: list[asyncio.Task[asyncio.Server]] = []

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if not opened:
            opened.append(asyncio.create_task(listen(emit)))
        await asyncio.shield(opened[0])
        # Not every application knows of it, and none needs it here.
        if scope["type"] != "lifespan":
            await application(scope, receive, send)

    return call


async def listen(emit: Emit) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            times = await obey(emit, **json.loads(line))
            answer = {"times": times, "statements": statements}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", int(os.environ["FANOUT_CONTROL"]))


async def obey(emit: Emit, first: int, count: int, pause: float | None) -> list[list[float]]:
    """When each was called and returned; of a burst, when all were."""
    numbers = range(first, first + count)
    if pause is None:
        return [await timed(emit, numbers)]
    times = []
    due = time.monotonic()
    for number in numbers:
        times.append(await timed(emit, range(number, number + 1)))
        due += pause
        await asyncio.sleep(max(due - time.monotonic(), 0))
    return times


async def timed(emit: Emit, numbers: range) -> list[float]:
    began = time.monotonic()
    await emit(numbers)
    return [began, time.monotonic()]
