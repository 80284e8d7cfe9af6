"""Connections to addresses that may be connected to, and to no others.

The name is looked up here, each address is checked, and the checked address itself is connected to:
nothing looks the name up again. A proxy would do that, so none is used.
"""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import httpcore

from . import conf
from .addresses import Address, may_connect

# Addresses of one name that are tried.
TRIES = 4


class Forbidden(Exception):
    """The address is not one that may be connected to."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Makes httpcore's connections, all of them by addresses that were checked."""

    def __init__(self) -> None:
        self.inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        allowed = conf.allowed_networks()
        try:
            async with asyncio.timeout(timeout):
                found = await addresses_of(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"the name {host} was not found in time") from None
        permitted = [one for one in found if may_connect(one, allowed)][:TRIES]
        if not permitted:
            raise Forbidden(f"{host} is at {found[0]}, which is not a public address")
        share = None if timeout is None else timeout / len(permitted)
        for address in permitted:
            try:
                stream = await self.inner.connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            # What the socket itself says: should anything above ever look the name up again.
            peer = ip_address(stream.get_extra_info("server_addr")[0])
            if not may_connect(peer, allowed):
                await stream.aclose()
                raise Forbidden(f"{host} is at {peer}, which is not a public address")
            return stream
        raise failure

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        raise Forbidden("an endpoint is no socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def addresses_of(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name {host} is not known: {error}") from None
    return list(dict.fromkeys(ip_address(one[4][0]) for one in found))
