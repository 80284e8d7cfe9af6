"""The settings, all of which begin with `WEBHOOKS_`. Read anew each time: a test may change them."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.conf import settings

DAY = 86_400

DEFAULTS: dict[str, Any] = {
    # How long deliveries are kept.
    "KEEP": timedelta(days=30),
    # Networks that endpoints may be in although they are not public.
    "ALLOWED_NETWORKS": (),
    "ALLOW_HTTP": False,
    # None allows every port.
    "PORTS": (80, 443, 8080, 8443),
    # Seconds for a whole delivery, and of these for name, connection and TLS.
    "TIMEOUT": 20,
    "CONNECT_TIMEOUT": 5,
    # Requests under way in one process.
    "CONCURRENCY": 200,
    # Seconds until the next attempt, and the next. What Standard Webhooks gives as its example.
    "RETRY": (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, DAY),
    # How long an endpoint may answer nothing with success before it is switched off.
    "GIVE_UP": timedelta(days=5),
    # How long a secret goes on signing after another has taken its place.
    "OVERLAP": timedelta(days=1),
    # Endpoints that a user may make over HTTP.
    "PER_USER": 20,
}

Network = IPv4Network | IPv6Network


def get(name: str) -> Any:
    return getattr(settings, f"WEBHOOKS_{name}", DEFAULTS[name])


def seconds(name: str) -> float:
    value = get(name)
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def allowed_networks() -> list[Network]:
    return [ip_network(one) for one in get("ALLOWED_NETWORKS")]
