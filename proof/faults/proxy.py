"""A TCP proxy that can stop forwarding without closing: its connections are then half open."""

import asyncio
import threading
from contextlib import suppress

from tests.support.servers import free_port


class Proxy:
    """Between clients and one server, in a thread of its own."""

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.links = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.do(self.listen())
        return self

    def __exit__(self, *error):
        self.do(self.leave())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def freeze(self):
        """Forward nothing more of what is open now, and tell nobody. New connections pass."""
        for link in list(self.links):
            link.frozen = True

    def drop(self):
        """Close everything that is open."""
        self.do(self.close_links())

    async def listen(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", self.port, backlog=2048)

    async def leave(self):
        self.server.close()
        await self.close_links()

    async def close_links(self):
        links = list(self.links)
        for link in links:
            link.task.cancel()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)

    async def accept(self, reader, writer):
        link = Link((reader, writer))
        self.links.add(link)
        try:
            await link.run(self.target)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.links.discard(link)


class Link:
    """One connection of a client's, and ours to the server."""

    def __init__(self, client):
        self.client = client
        self.frozen = False
        self.task = asyncio.current_task()

    async def run(self, port):
        writers = [self.client[1]]
        try:
            server = await asyncio.open_connection("127.0.0.1", port)
            writers.append(server[1])
            pumps = [self.pump(self.client[0], server[1]), self.pump(server[0], self.client[1])]
            tasks = [asyncio.ensure_future(pump) for pump in pumps]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for writer in writers:
                writer.close()

    async def pump(self, reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.pass_if_thawed()
                writer.write(data)
                await writer.drain()
        await self.pass_if_thawed()

    async def pass_if_thawed(self):
        if self.frozen:
            await asyncio.get_running_loop().create_future()  # for ever
