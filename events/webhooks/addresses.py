"""Where a webhook may go: no way into the house.

An address is checked twice. What is known without the network, when an endpoint is saved; and the
IP address, in the moment in which it is connected to (`guard`), because a name may point elsewhere
by then.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from . import conf

Address = IPv4Address | IPv6Address

# Not public, whatever the version of Python says. Services about the machine itself that are outside
# of the link-local network: Azure's, Oracle's, Alibaba's; then the relays of 6to4.
ALSO_REFUSED = [
    ip_network(one)
    for one in (
        "168.63.129.16/32",
        "192.0.0.0/24",
        "100.64.0.0/10",
        "192.88.99.0/24",
        # IPv6: site-local, benchmarks, documentation, discard-only, segment routing.
        "fec0::/10",
        "2001:2::/48",
        "3fff::/20",
        "100::/64",
        "5f00::/16",
    )
]
# IPv6 in which an IPv4 address hides: compatible, mapped, translated, NAT64 (both), Teredo, 6to4.
WITH_IPV4 = [
    ip_network(one)
    for one in (
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
]


def is_public(address: Address) -> bool:
    if address.is_multicast or not address.is_global:
        return False
    refused = ALSO_REFUSED + WITH_IPV4
    return not any(address in one for one in refused if one.version == address.version)


def may_connect(address: Address, allowed: Iterable[conf.Network]) -> bool:
    """A zone (`fe80::1%eth0`) only has what is link-local."""
    if any(address in one for one in allowed if one.version == address.version):
        return True
    return not getattr(address, "scope_id", None) and is_public(address)


def valid_url(url: str) -> SplitResult:
    """The parts of an address that an endpoint may have; ValueError that says why not."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be ASCII without spaces: write other names in Punycode (xn--…)")
    parts = urlsplit(url)
    schemes = ("https", "http") if conf.get("ALLOW_HTTP") else ("https",)
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(one + '://' for one in schemes)}")
    if not parts.hostname:
        raise ValueError("must name a host")
    if "@" in parts.netloc or "\\" in url:
        raise ValueError("must have no user name, password or backslash")
    if "#" in url:
        raise ValueError("must have no fragment (#…)")
    ports = conf.get("PORTS")
    if ports is not None and port_of(parts) not in ports:
        raise ValueError(f"its port must be one of {', '.join(map(str, ports))}")
    try:
        literal = ip_address(parts.hostname)
    except ValueError:
        return parts
    if not may_connect(literal, conf.allowed_networks()):
        raise ValueError(f"{literal} is not a public address")
    return parts


def port_of(parts: SplitResult) -> int:
    # A port that is no number is a ValueError of its own.
    if parts.port is not None:
        return parts.port
    return 443 if parts.scheme == "https" else 80
