"""What `manage.py check` says about the logs, by the ids that docs/reference/checks.md explains."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import import_string

from .conf import BACKENDS, LOG_NAME, LogSettings, imported, log_settings
from .live.group import channel_layer
from .live.notifier import carrier

# Django's own engines that have no dialect here. A third party's may be one of ours, wrapped.
UNFIT = ("oracle", "dummy")
# What keeps everything unless it is told otherwise.
GROWING = (BACKENDS["database"], BACKENDS["redis"])
STRICT = ("repeatable read", "serializable")

Said = Iterator[CheckMessage]


@register("events")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """By the settings alone: `check` should not need a database to be up."""
    return [*_check_logs(), *_check_databases(), *_check_middleware()]


@register("events", Tags.database)
def check_notices(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Do hints between processes arrive? Asked of the databases that are to be asked."""
    asked = [log.name for log in _stored() if _alias(log) in (databases or ())]
    layer = channel_layer()
    carriers = {found.alias: found for name in asked if (found := carrier(name, layer))}
    return [
        said(
            "W013",
            f"The database {alias!r} delivers no notices: events of one process reach the readers "
            "of another within POLL_INTERVAL.",
            "A pooler that works by transactions does that. Set CHANNEL_LAYERS, or OPTIONS: "
            "'notify': False.",
        )
        for alias, found in carriers.items()
        if not found.hints_arrive()
    ]


@register("events", Tags.database)
def check_stores(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """What servers of their own say of the logs that they keep."""
    asked = [
        log
        for log in log_settings().values()
        if log.backend == BACKENDS["redis"] and (log.options.get("using") is None or databases)
    ]
    return [
        said(problem.id, f"{problem.message}.", problem.hint)
        for log in asked
        for problem in import_string(log.backend)(log).problems()
    ]


@register("events", deploy=True)
def check_bounds(**kwargs: Any) -> list[CheckMessage]:
    return [
        said(
            "W009",
            f"EVENTS[{log.name!r}] has neither TTL nor MAX_ENTRIES: it grows for ever.",
            "Set TTL or MAX_ENTRIES, and run `manage.py prune_events` regularly.",
        )
        for log in log_settings().values()
        if log.backend in GROWING and log.ttl is None and log.max_entries is None
    ]


def said(id: str, message: str, hint: str) -> CheckMessage:
    severity = Error if id.startswith("E") else Warning
    return severity(message, hint=hint, id=f"events.{id}")


def _check_logs() -> Said:
    configured = getattr(settings, "EVENTS", {})
    logs = configured.values() if isinstance(configured, Mapping) else [None]
    if not all(isinstance(log, Mapping) for log in logs):
        yield said(
            "W010",
            "EVENTS is not a dictionary of dictionaries; defaults stand in.",
            'Write EVENTS = {"default": {"BACKEND": "database"}}.',
        )
    for log in log_settings().values():
        yield from (said(*problem) for problem in log.problems)
        if not LOG_NAME.fullmatch(log.name):
            yield said(
                "E001",
                f"EVENTS: a log cannot be called {log.name!r}.",
                "Use 1 to 64 of A-Z a-z 0-9 . _ and -, as Channels groups do.",
            )
        if problem := _policy_problem(log.policy):
            yield said(
                "E003",
                f"EVENTS[{log.name!r}]: {log.policy!r} is no policy: {problem}.",
                "Name a class with can_read(user, stream) and can_emit(user, stream).",
            )


def _policy_problem(path: str) -> str:
    try:
        policy = import_string(path)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return str(error)
    missing = [name for name in ("can_read", "can_emit") if not hasattr(policy, name)]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _check_middleware() -> Said:
    """Under ASGI, Django runs such a middleware, and all that is inside it, in a thread."""
    for path in settings.MIDDLEWARE if getattr(settings, "ASGI_APPLICATION", None) else ():
        # One that is not there is the server's to complain of, when it starts.
        if (found := imported(path)) and not getattr(found, "async_capable", False):
            yield said(
                "W011",
                f"{path} cannot be asynchronous: a request that waits for events keeps a thread.",
                "See sync_and_async_middleware in Django's documentation of middleware.",
            )


def _stored() -> list[LogSettings]:
    return [log for log in log_settings().values() if log.backend == BACKENDS["database"]]


def _alias(log: LogSettings) -> str:
    return str(log.options.get("using", DEFAULT_DB_ALIAS))


def _check_databases() -> Said:
    for log in log_settings().values():
        # Where what is emitted in a transaction waits for its commit.
        if log.backend == BACKENDS["redis"] and log.options.get("using", "") is not None:
            yield from _check_place(log.name, _alias(log))
    for log in _stored():
        yield from _check_place(log.name, _alias(log))
        yield from _check_apart(log.name, _alias(log))
    for alias in dict.fromkeys(map(_alias, _stored())):
        if alias in connections.settings:
            yield from _check_database(alias, connections.settings[alias])


def _check_place(log: str, alias: str) -> Said:
    if alias not in connections.settings:
        yield said(
            "E002",
            f"EVENTS[{log!r}] uses the database {alias!r}, which DATABASES does not have.",
            f"Known: {', '.join(connections.settings)}.",
        )
        return
    if _engine(connections.settings[alias]) in UNFIT:
        yield said(
            "E002",
            f"EVENTS[{log!r}] uses the database {alias!r}, which cannot keep a log.",
            "Use PostgreSQL, MariaDB, MySQL or SQLite.",
        )


def _check_apart(log: str, alias: str) -> Said:
    if alias != DEFAULT_DB_ALIAS and alias in connections.settings:
        yield said(
            "W008",
            f"EVENTS[{log!r}] lives in the database {alias!r}.",
            "An emit is atomic with transactions on that database only, not on `default`. "
            "Add events.W008 to SILENCED_SYSTEM_CHECKS if that is what you want.",
        )


def _check_database(alias: str, database: Mapping[str, Any]) -> Said:
    options = database["OPTIONS"]
    sqlite = _engine(database).startswith("sqlite")
    if sqlite and "wal" not in str(options.get("init_command", "")).lower():
        yield said(
            "W005",
            f"The SQLite database {alias!r} is not told to use a write-ahead log, so that "
            "readers and writers lock each other out.",
            "OPTIONS: 'init_command': 'PRAGMA journal_mode=WAL;'",
        )
    transactions = str(options.get("transaction_mode", "")).upper()
    if sqlite and transactions not in ("IMMEDIATE", "EXCLUSIVE"):
        yield said(
            "W006",
            f"The SQLite database {alias!r} begins its transactions DEFERRED: an emit after a "
            "read fails at once if somebody else wrote in between.",
            "OPTIONS: 'transaction_mode': 'IMMEDIATE'",
        )
    if _isolation(options) in STRICT:
        yield said(
            "W007",
            f"The database {alias!r} works above READ COMMITTED.",
            "Appends use READ COMMITTED all the same, but a read inside a transaction of "
            "yours keeps showing the log as it was when that began; and on MariaDB, SERIALIZABLE "
            "lets such a read keep every append waiting until that transaction ends.",
        )


def _engine(database: Mapping[str, Any]) -> str:
    return str(database["ENGINE"]).rpartition(".")[2]


def _isolation(options: Mapping[str, Any]) -> str:
    """`serializable` for MariaDB's text as well as for psycopg's enumeration."""
    level = options.get("isolation_level", "")
    return str(getattr(level, "name", level)).lower().replace("_", " ")
