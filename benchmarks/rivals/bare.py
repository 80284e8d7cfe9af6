"""The ceiling: no framework, no log. One text, made once, is sent to every socket in a loop."""

import json
from typing import Any

from benchmarks.rivals.control import controlled
from benchmarks.rivals.message import entry

sockets: set[Any] = set()


async def serve(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 404})
        await send({"type": "http.response.body"})
        return
    await receive()
    sockets.add(send)
    await send({"type": "websocket.accept"})
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sockets.discard(send)


async def emit(numbers: range) -> None:
    for number in numbers:
        message = {"type": "websocket.send", "text": json.dumps(entry(number))}
        for send in list(sockets):
            await send(message)


application = controlled(serve, emit)
