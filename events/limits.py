"""How much one user may have open in this process, so that nobody takes the site from the others.

Only what is open counts, and only here: the connections of a user, whatever their transport and
their log, and the subscriptions on them. Visitors who are not signed in count by their address.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Self
from weakref import WeakSet, WeakValueDictionary

from django.http import HttpRequest

from .policy import Policy

CONNECTIONS, SUBSCRIPTIONS = "connections", "subscriptions"
# Seconds after which somebody who has too many open may come back.
RETRY_AFTER = 15
# Seconds for which a client counts that reads nothing, should its server not tell that it has gone.
LONGEST = 3600.0
# Addresses of proxies, behind which many people are.
PROXIES = [
    *map(ip_network, ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
    *map(ip_network, ["169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"]),
]

_leaving: set[asyncio.Task[None]] = set()
_lock = threading.Lock()
# Kept by those that are in them: a key goes with the last.
_open: WeakValueDictionary[Hashable, "WeakSet[Held]"] = WeakValueDictionary()


class TooMany(Exception):
    """A user has as many open as one may have."""


class Held:
    """Something that is open, and counts until it is released. One that is forgotten, such as the
    response of a request that is cancelled on its way out, counts until it is garbage."""

    def __init__(self, who: Hashable | None = None, among: "WeakSet[Held] | None" = None) -> None:
        self.whose = who
        self.among = among
        self.receive: Callable[[], Awaitable[dict[str, Any]]] | None = None

    @property
    def who(self) -> Hashable:
        """Whose this is; of somebody who is not counted, nobody else's."""
        return self if self.whose is None else self.whose

    def release(self) -> None:
        if self.among is not None:
            self.among.discard(self)
            self.among = None

    def release_when_gone(self) -> None:
        """A server that has let go of a response keeps its socket until the client, which reads
        nothing, has gone: so long it counts, or a user could have any number of them."""
        if self.receive is None:
            self.release()
        else:
            task = asyncio.get_running_loop().create_task(self._gone(self.receive))
            _leaving.add(task)
            task.add_done_callback(_leaving.discard)

    async def _gone(self, receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        with self, suppress(Exception):
            async with asyncio.timeout(LONGEST):
                while (await receive())["type"] != "http.disconnect":
                    pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def hold(what: str, who: Hashable | None, bound: int | None) -> Held:
    """Count one more of `what`. Without `who` or a bound, nothing is counted."""
    if who is None or bound is None:
        return Held(who)
    with _lock:
        among = _open.setdefault((what, who), WeakSet())
        if len(among) >= bound:
            raise TooMany(f"At most {bound} {what} of one user. Come back later.")
        one = Held(who, among)
        among.add(one)
    return one


def whose(policy: Policy, user: Any, request: HttpRequest) -> Hashable | None:
    """Among whose connections does this one count? None: among nobody's."""
    if (count_as := getattr(policy, "count_as", None)) is not None:
        found: Hashable | None = count_as(user, request)
        return found
    if getattr(user, "is_authenticated", False) and getattr(user, "pk", None) is not None:
        return "user", user.pk
    return public_address(request.META.get("REMOTE_ADDR", ""))


def public_address(text: str) -> Hashable | None:
    """One client's address, if it is one; of IPv6 the network, of which a client has all addresses."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:  # such as that of a Unix socket
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if any(address in network for network in PROXIES):
        return None
    if isinstance(address, IPv6Address):
        return "address", int(address) >> 64
    return "address", str(address)
