"""What `manage.py check` says about the logs.

events.E001   a log's name cannot be used
events.E002   a log names a database that DATABASES does not have, or one that cannot keep it
events.E003   a policy that cannot be imported, or lacks can_read or can_emit
events.W001   an unknown key in EVENTS
events.W002   an unknown backend; the database stands in
events.W003   a bound that is not positive; its default stands in
events.W004   a clock that cannot be called
events.W005   SQLite without WAL: readers and writers lock each other out
events.W006   SQLite without IMMEDIATE transactions: a write can fail at once
events.W007   isolation above READ COMMITTED: emits retry where they need not
events.W008   a log that lives elsewhere than `default`
events.W009   no TTL and no MAX_ENTRIES: the log grows for ever (with --deploy)
events.W010   EVENTS is not a dictionary of dictionaries
events.W011   a middleware that cannot be asynchronous: each request that waits keeps a thread
events.W012   an ENCODER that is no json.JSONEncoder; payloads have to be JSON
events.W013   PostgreSQL's notices do not arrive, as behind a pooler (with --database)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import import_string

from .conf import BACKENDS, LOG_NAME, LogSettings, imported, log_settings
from .live.notifier import carrier

# Django's own engines that have no dialect here. A third party's may be one of ours, wrapped.
UNFIT = ("oracle", "dummy")
STRICT = ("repeatable read", "serializable")


@register("events")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    configured = getattr(settings, "EVENTS", {})
    messages: list[CheckMessage] = []
    if not isinstance(configured, Mapping) or not all(
        isinstance(log, Mapping) for log in configured.values()
    ):
        messages.append(
            Warning(
                "EVENTS is not a dictionary of dictionaries; defaults stand in.",
                hint='Write EVENTS = {"default": {"BACKEND": "database"}}.',
                id="events.W010",
            )
        )
    for log in log_settings().values():
        messages += [
            Warning(problem.message, hint=problem.hint, id=f"events.{problem.id}")
            for problem in log.problems
        ]
        if not LOG_NAME.fullmatch(log.name):
            messages.append(
                Error(
                    f"EVENTS: a log cannot be called {log.name!r}.",
                    hint="Use 1 to 64 of A-Z a-z 0-9 . _ and -, as Channels groups do.",
                    id="events.E001",
                )
            )
    return messages


@register("events")
def check_databases(**kwargs: Any) -> list[CheckMessage]:
    """By the settings alone: `check` should not need a database to be up."""
    stored = [log for log in log_settings().values() if log.backend == BACKENDS["database"]]
    messages = [message for log in stored for message in _check_place(log)]
    for alias in dict.fromkeys(_alias(log) for log in stored):
        if alias in connections.settings:
            messages += _check_database(alias)
    return messages


@register("events", Tags.database)
def check_notices(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Do hints between processes arrive? Asked of the databases that are to be asked."""
    stored = [log for log in log_settings().values() if log.backend == BACKENDS["database"]]
    asked = [log.name for log in stored if _alias(log) in (databases or ())]
    carriers = {found.alias: found for name in asked if (found := carrier(name))}
    return [
        Warning(
            f"The database {alias!r} delivers no notices: events of one process reach the readers "
            "of another within POLL_INTERVAL.",
            hint="A pooler that works by transactions does that. Set CHANNEL_LAYERS, or OPTIONS: "
            "'notify': False.",
            id="events.W013",
        )
        for alias, found in carriers.items()
        if not found.hints_arrive()
    ]


@register("events", deploy=True)
def check_bounds(**kwargs: Any) -> list[CheckMessage]:
    return [
        Warning(
            f"EVENTS[{log.name!r}] has neither TTL nor MAX_ENTRIES: it grows for ever.",
            hint="Set TTL or MAX_ENTRIES, and run `manage.py prune_events` regularly.",
            id="events.W009",
        )
        for log in log_settings().values()
        if log.backend == BACKENDS["database"] and log.ttl is None and log.max_entries is None
    ]


@register("events")
def check_policies(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"EVENTS[{log.name!r}]: {log.policy!r} is no policy: {problem}.",
            hint="Name a class with can_read(user, stream) and can_emit(user, stream).",
            id="events.E003",
        )
        for log in log_settings().values()
        if (problem := _policy_problem(log.policy))
    ]


@register("events")
def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Under ASGI, Django runs such a middleware, and all that is inside it, in a thread."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    return [
        Warning(
            f"{path} cannot be asynchronous: a request that waits for events keeps a thread.",
            hint="See sync_and_async_middleware in Django's documentation of middleware.",
            id="events.W011",
        )
        for path in settings.MIDDLEWARE
        # One that is not there is the server's to complain of, when it starts.
        if (found := imported(path)) and not getattr(found, "async_capable", False)
    ]


def _policy_problem(path: str) -> str:
    try:
        policy = import_string(path)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return str(error)
    missing = [name for name in ("can_read", "can_emit") if not hasattr(policy, name)]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _alias(log: LogSettings) -> str:
    return str(log.options.get("using", DEFAULT_DB_ALIAS))


def _check_place(log: LogSettings) -> Iterator[CheckMessage]:
    alias = _alias(log)
    if alias not in connections.settings:
        yield Error(
            f"EVENTS[{log.name!r}] uses the database {alias!r}, which DATABASES does not have.",
            hint=f"Known: {', '.join(connections.settings)}.",
            id="events.E002",
        )
        return
    if _engine(connections.settings[alias]) in UNFIT:
        yield Error(
            f"EVENTS[{log.name!r}] uses the database {alias!r}, which cannot keep a log.",
            hint="Use PostgreSQL, MariaDB, MySQL or SQLite.",
            id="events.E002",
        )
    if alias != DEFAULT_DB_ALIAS:
        yield Warning(
            f"EVENTS[{log.name!r}] lives in the database {alias!r}.",
            hint="An emit is atomic with transactions on that database only, not on `default`. "
            "Add events.W008 to SILENCED_SYSTEM_CHECKS if that is what you want.",
            id="events.W008",
        )


def _check_database(alias: str) -> Iterator[CheckMessage]:
    database = connections.settings[alias]
    if _engine(database).startswith("sqlite"):
        yield from _check_sqlite(alias, database)
    if _isolation(database["OPTIONS"]) in STRICT:
        yield Warning(
            f"The database {alias!r} works above READ COMMITTED.",
            hint="Appends use READ COMMITTED all the same, but a read inside a transaction of "
            "yours keeps showing the log as it was when that began; and on MariaDB, SERIALIZABLE "
            "lets such a read keep every append waiting until that transaction ends.",
            id="events.W007",
        )


def _check_sqlite(alias: str, database: Mapping[str, Any]) -> Iterator[CheckMessage]:
    options = database["OPTIONS"]
    if "wal" not in str(options.get("init_command", "")).lower():
        yield Warning(
            f"The SQLite database {alias!r} is not told to use a write-ahead log, so that "
            "readers and writers lock each other out.",
            hint="OPTIONS: 'init_command': 'PRAGMA journal_mode=WAL;'",
            id="events.W005",
        )
    if str(options.get("transaction_mode", "")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        yield Warning(
            f"The SQLite database {alias!r} begins its transactions DEFERRED: an emit after a "
            "read fails at once if somebody else wrote in between.",
            hint="OPTIONS: 'transaction_mode': 'IMMEDIATE'",
            id="events.W006",
        )


def _engine(database: Mapping[str, Any]) -> str:
    return str(database["ENGINE"]).rpartition(".")[2]


def _isolation(options: Mapping[str, Any]) -> str:
    """`serializable` for MariaDB's text as well as for psycopg's enumeration."""
    level = options.get("isolation_level", "")
    return str(getattr(level, "name", level)).lower().replace("_", " ")
