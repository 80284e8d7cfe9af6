"""An event loop whose clock can be set forward."""

import asyncio


class Loop(asyncio.SelectorEventLoop):
    ahead = 0.0

    def time(self):
        return super().time() + self.ahead

    async def pass_time(self, seconds):
        """Let what is due by then happen, in steps, as it would in so much time."""
        end = self.time() + seconds
        while (left := end - self.time()) > 0:
            self.ahead += min(left, 0.5)
            await self.settle()

    async def settle(self):
        """Let everything run that can; what is done in threads has its real time."""
        for _ in range(10):
            await asyncio.sleep(0)
        done = asyncio.Event()
        self.call_soon(done.set)
        await done.wait()


def run(coroutine):
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(coroutine)
