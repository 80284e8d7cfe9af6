"""An `asyncio.Event` for one task that waits: cheaper, and may ring many times."""

import asyncio


class Bell:
    """`wait()` returns as soon as it has rung once since it was last silenced."""

    def __init__(self) -> None:
        self.rung = False
        self.waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self.rung = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def silence(self) -> None:
        self.rung = False

    async def wait(self) -> None:
        if not self.rung:
            self.waiting = asyncio.get_running_loop().create_future()
            try:
                await self.waiting
            finally:
                self.waiting = None
