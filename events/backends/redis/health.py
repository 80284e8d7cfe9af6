"""What `manage.py check --database default` says of a log's server."""

from collections.abc import Iterator
from typing import Any

from channels.layers import get_channel_layer
from redis import exceptions as errors

from ...conf import LogSettings, Problem
from ...exceptions import LogUnavailable
from .client import Client, code_of

# Sharded channels, `ZRANGE … BYSCORE` and scripts that replicate what they do.
LEAST = 7


def problems(client: Client, settings: LogSettings) -> Iterator[Problem]:
    where = f"EVENTS[{settings.name!r}]"
    try:
        info = _info(client)
    except LogUnavailable as error:
        yield Problem("W014", f"{where}: {error}", "Is OPTIONS['url'] right, and the server up?")
        return
    except errors.ResponseError as error:
        yield Problem(
            "E004",
            f"{where}: its user may not ask the server how it stands: {error}",
            "The scripts tell a promoted server by INFO: allow it, +info in the ACL.",
        )
        return
    yield from _unfit(where, info)
    yield from _losing(where, info, settings)


def _unfit(where: str, info: dict[str, str]) -> Iterator[Problem]:
    version = info.get("redis_version", "0")
    if int(version.partition(".")[0]) < LEAST:
        yield Problem(
            "E005",
            f"{where}: the server is Redis {version}",
            f"It has to be Redis {LEAST}.0 or newer, or Valkey.",
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Problem(
            "E006",
            f"{where}: the server evicts keys when its memory is full ({policy}), and a log with them",
            "Set maxmemory-policy to noeviction: an emit then fails, and nothing is lost.",
        )


def _losing(where: str, info: dict[str, str], settings: LogSettings) -> Iterator[Problem]:
    replicas, wait = int(info.get("connected_slaves", "0")), settings.options.get("wait", 0)
    if info.get("aof_enabled") == "0":
        yield Problem(
            "W015",
            f"{where}: the server keeps no append-only file, so a restart loses events",
            "Set appendonly to yes.",
        )
    if replicas and not wait:
        yield Problem(
            "W016",
            f"{where}: a failover loses what was not replicated yet",
            "Give OPTIONS['wait'] the number of replicas that have to confirm. Readers are told of "
            "what is lost.",
        )
    if wait > replicas:
        yield Problem(
            "W017",
            f"{where}: OPTIONS['wait'] is {wait}, and {replicas} replicas are connected: no emit is "
            "confirmed",
            "Add replicas, or lower it.",
        )
    if replicas and info.get("min_replicas_to_write") == "0":
        yield Problem(
            "W018",
            f"{where}: a server that is cut off goes on taking events that will be taken back",
            "Set min-replicas-to-write to 1, and min-replicas-max-lag.",
        )
    if _shares(settings):
        yield Problem(
            "W019",
            f"{where}: the channel layer has the same server and database",
            "A flush of the layer is then one of the log: give each its own.",
        )


def _info(client: Client) -> dict[str, str]:
    answers = client.send([("INFO",), ("CONFIG", "GET", "min-replicas-to-write")])
    if isinstance(answers[0], Exception):
        raise errors.ResponseError(f"{code_of(answers[0])} {answers[0]}")
    lines = answers[0].decode().splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    if not isinstance(answers[1], Exception) and answers[1]:
        info["min_replicas_to_write"] = answers[1][1].decode()
    return info


def _shares(settings: LogSettings) -> bool:
    try:
        layer: Any = get_channel_layer()
    except Exception:
        return False
    hosts = getattr(layer, "_config", None) or getattr(layer, "hosts", None) or []
    return any(
        isinstance(one, dict) and one.get("address") == settings.options.get("url") for one in hosts
    )
