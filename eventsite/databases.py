"""What DATABASE_URL becomes: the one variable that takes more than a cast."""

from pathlib import Path
from typing import Any

import environ

SQLITE_OPTIONS = {
    # Take the write lock when a transaction begins. SQLite's default takes it at the first write,
    # and then a transaction that has already read can fail at once instead of waiting its turn.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # Readers and the one writer do not wait for each other. `synchronous` stays at FULL, SQLite's
    # default: NORMAL is faster, but a power cut may take the last commits back, and their positions
    # would then be given out a second time.
    "init_command": "PRAGMA journal_mode=WAL;",
}


def database(url: str, base_dir: Path) -> dict[str, Any]:
    """Turn a `DATABASE_URL` into an entry of `DATABASES`; options in its query string win."""
    config = environ.Env.db_url_config(url)
    engine = config.get("ENGINE", "")
    options: dict[str, Any] = {}
    if engine.endswith(".sqlite3"):
        options = SQLITE_OPTIONS
        # A relative path starts at the project, not at the working directory: the site and the
        # simulator may be started from different places, and must not get a database each.
        if config["NAME"] != ":memory:":
            config["NAME"] = str(base_dir / config["NAME"])
    elif engine.endswith(".mysql"):
        use_pymysql_without_mysqlclient()
        options = {"charset": "utf8mb4"}
    return {**config, "OPTIONS": {**options, **config.get("OPTIONS", {})}}


def use_pymysql_without_mysqlclient() -> None:
    """Let PyMySQL stand in for mysqlclient, which is faster but has to be compiled."""
    try:
        import MySQLdb  # noqa: F401
    except ImportError:
        import pymysql

        pymysql.install_as_MySQLdb()
