"""The EVENTS setting, read once: a `LogSettings` for each log, and what was wrong with it.

A mistake in a setting never stops a site from starting: the default takes its place, and
`manage.py check` says so.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from json import JSONEncoder
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from .encoding import DJANGOS, Encoder

logger = logging.getLogger("events")

DEFAULT_LOG = "default"

BACKENDS = {
    "database": "events.backends.database.DatabaseBackend",
    "redis": "events.backends.redis.RedisBackend",
    "memory": "events.backends.memory.MemoryBackend",
    "disabled": "events.backends.disabled.DisabledBackend",
    "off": "events.backends.disabled.DisabledBackend",
    "none": "events.backends.disabled.DisabledBackend",
}

# The process's own memory is not a place to keep everything for ever.
MEMORY_DEFAULTS = {"TTL": 3600, "MAX_ENTRIES": 10_000}

OPTIONS = ("using", "clock", "lock_timeout", "sequence", "notify", "url", "prefix", "wait")
SEQUENCE = ("background", "inline")

# What a Channels group name may hold, since a log's group is called `events.<log>`.
LOG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Clock = Callable[[], float]


class Problem(NamedTuple):
    """Something in the setting that a default had to stand in for, or that cannot work."""

    id: str
    message: str
    hint: str


@dataclass(frozen=True)
class LogSettings:
    """One log's settings as they are read, and what each is if nothing is said. Seconds are floats,
    and None means unbounded."""

    name: str
    # As it is given, or the path of its class.
    backend: str = "database"
    ttl: float | None = None
    max_entries: int | None = None
    # What PostgreSQL still keeps in a handful of TOAST chunks, and a WebSocket frame carries.
    max_payload_bytes: int = 65_536
    policy: str = "events.policy.DefaultPolicy"
    page_size: int = 100
    max_page_size: int = 1000
    poll_interval: float = 0.25
    # Shorter than the 30 s and 60 s after which common proxies cut a silent connection.
    heartbeat_interval: float = 15
    stream_max_seconds: float = 600
    window: int = 1000
    idle_timeout: float | None = 300
    # Nothing is guessed: how a date or an amount is written is a decision.
    encoder: Encoder | None = None
    # As long as common proxies wait for a client.
    send_timeout: float = 60
    # Of one user and in one process: many tabs, and no storm.
    max_connections: int | None = 100
    max_subscriptions: int | None = 1000
    keep_unhandled: bool = False
    # Of a Durable Streams reader: shorter than common proxies wait.
    long_poll: float = 20
    options: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = time.time
    problems: tuple[Problem, ...] = field(default=(), compare=False)


# The keys of a log's dictionary: all but its name, and what is made of others.
KEYS = {field.name.upper(): field for field in fields(LogSettings)[1:-2]}
DEFAULTS = {key: getattr(LogSettings(""), field.name) for key, field in KEYS.items()}
WHOLE = [key for key, field in KEYS.items() if field.type in (int, int | None)]
SECONDS = [key for key, field in KEYS.items() if field.type in (float, float | None)]
OPTIONAL = [key for key in (*WHOLE, *SECONDS) if KEYS[key].type in (int | None, float | None)]

# Of the units of a duration.
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


@cache
def log_settings() -> dict[str, LogSettings]:
    """Every configured log. `default` is always there."""
    configured = getattr(settings, "EVENTS", None)
    if not isinstance(configured, Mapping):
        configured = {}
    return {
        name: _Reader(str(name), raw if isinstance(raw, Mapping) else {}).read()
        for name, raw in {DEFAULT_LOG: {}, **configured}.items()
    }


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "EVENTS":
        log_settings.cache_clear()


class _Reader:
    """Reads one log's dictionary and notes the problems on the way."""

    def __init__(self, name: str, raw: Mapping[str, Any]) -> None:
        self.name = name
        self.raw = raw
        self.defaults = DEFAULTS
        self.options: Mapping[str, Any] = {}
        self.problems: list[Problem] = []

    def read(self) -> LogSettings:
        backend = self.backend()
        if backend == BACKENDS["memory"]:
            self.defaults = {**DEFAULTS, **MEMORY_DEFAULTS}
        self.options = self.read_options()
        self.unknown_keys()
        values = {key.lower(): self.number(key, whole=True) for key in WHOLE}
        values |= {key.lower(): self.number(key, whole=False) for key in SECONDS}
        if values["page_size"] > values["max_page_size"]:
            if "PAGE_SIZE" in self.raw:
                self.note("W003", "PAGE_SIZE is more than MAX_PAGE_SIZE", "Raise MAX_PAGE_SIZE.")
            values["page_size"] = values["max_page_size"]
        return LogSettings(
            name=self.name,
            backend=backend,
            policy=self.raw.get("POLICY", self.defaults["POLICY"]),
            keep_unhandled=self.switch("KEEP_UNHANDLED"),
            options=self.options,
            encoder=self.encoder(),
            clock=self.clock(),
            problems=tuple(self.problems),
            **values,
        )

    def note(self, id: str, message: str, hint: str) -> None:
        self.problems.append(Problem(id, f"EVENTS[{self.name!r}]: {message}.", hint))

    def unknown_keys(self) -> None:
        for key in self.raw:
            if key not in DEFAULTS:
                self.note("W001", f"unknown key {key!r}", f"Known keys: {', '.join(DEFAULTS)}.")
        for key in self.options:
            if key not in OPTIONS:
                self.note("W001", f"unknown option {key!r}", f"Known: {', '.join(OPTIONS)}.")

    def backend(self) -> str:
        given = self.raw.get("BACKEND", DEFAULTS["BACKEND"])
        path = given.strip() if isinstance(given, str) else ""
        known = BACKENDS.get(path.lower())
        if known:
            return known
        if isinstance(imported(path), type):
            return path
        logger.warning(
            "EVENTS[%r] names an unknown backend %r; using 'database'.", self.name, given
        )
        self.note(
            "W002",
            f"unknown backend {given!r}; the log is kept in the database",
            f"Use one of {', '.join(BACKENDS)}, or the dotted path of a class.",
        )
        return BACKENDS["database"]

    def number(self, key: str, *, whole: bool) -> Any:
        """A bound. One that is not a positive number is noted, and the default stands in."""
        default = self.defaults[key]
        value = self.raw.get(key, default)
        if value is None and key in OPTIONAL:
            return None
        number = positive(value, whole=whole)
        if number is not None:
            return number
        self.note(
            "W003",
            f"{key} is {self.raw.get(key)!r}, which is no positive "
            f"{'whole number' if whole else 'number of seconds'}; using {default!r}",
            f"Give {key} a positive value, or leave it out.",
        )
        return default

    def switch(self, key: str) -> bool:
        default: bool = self.defaults[key]
        value = self.raw.get(key, default)
        if isinstance(value, bool):
            return value
        self.note("W003", f"{key} is {value!r}; using {default}", "Give it True or False.")
        return default

    def read_options(self) -> Mapping[str, Any]:
        options = self.raw.get("OPTIONS", {})
        if not isinstance(options, Mapping):
            self.note("W010", "OPTIONS is not a dictionary", "Write 'OPTIONS': {'using': …}.")
            return {}
        sequence, timeout = options.get("sequence", SEQUENCE[0]), options.get("lock_timeout", 1)
        if sequence not in SEQUENCE:
            self.note(
                "W003",
                f"OPTIONS['sequence'] is {sequence!r}; using {SEQUENCE[0]!r}",
                f"Give it one of {', '.join(SEQUENCE)}, or leave it out.",
            )
        if (seconds := positive(timeout, whole=False)) is None:
            self.note(
                "W003",
                f"OPTIONS['lock_timeout'] is {timeout!r}, which is no positive number of seconds",
                "Give it a positive value, or leave it out.",
            )
            return {key: value for key, value in options.items() if key != "lock_timeout"}
        return {**options, "lock_timeout": seconds} if "lock_timeout" in options else options

    def encoder(self) -> Encoder | None:
        given = self.raw.get("ENCODER")
        if given is None:
            return None
        encoder = imported(given) if isinstance(given, str) else given
        if isinstance(encoder, type) and issubclass(encoder, JSONEncoder):
            return encoder
        self.note(
            "W012",
            f"ENCODER is {given!r}, which is no json.JSONEncoder; payloads have to be JSON",
            f"Give it the dotted path of one, such as {DJANGOS}.",
        )
        return None

    def clock(self) -> Clock:
        clock = self.options.get("clock", time.time)
        if isinstance(clock, str):
            clock = imported(clock)
        if callable(clock):
            return clock  # type: ignore[no-any-return]
        self.note(
            "W004",
            f"the clock {self.options['clock']!r} cannot be called; using time.time",
            "Give OPTIONS['clock'] a callable, or its dotted path, that answers epoch seconds.",
        )
        return time.time


def positive(value: object, *, whole: bool) -> Any:
    """A bound as a number, a duration in seconds; None if it is not a positive one."""
    if isinstance(value, str) and not whole:
        try:
            value = parse_duration(value)
        except ValueError:
            return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    types = int if whole else (int, float)
    if isinstance(value, types) and not isinstance(value, bool) and 0 < value < 2**53:
        return value if whole else float(value)
    return None


def parse_duration(text: str) -> timedelta:
    """`90` (seconds), `30s`, `15m`, `12h` or `7d` as a timedelta."""
    match = re.fullmatch(r"([0-9]{1,12})([smhd]?)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write 90, 30s, 15m, 12h or 7d")
    try:
        return timedelta(seconds=int(match[1]) * UNITS[match[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None


def imported(path: str) -> Any:
    """What a dotted path names, or None. `.x` is a ValueError to Python, and `..x` a TypeError."""
    try:
        return import_string(path)
    except (ImportError, ValueError, TypeError):
        return None
