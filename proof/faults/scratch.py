"""A database of the run's own: made and migrated before it, dropped after it."""

import os
import secrets
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = %s AND pid <> pg_backend_pid()"
)


def environment(url, log="default", name=""):
    """The environment of a process of the run; `name` is what PostgreSQL calls its session."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "proof.faults.settings",
        "DATABASE_URL": url,
        "HISTORY_LOG": log,
        "PGAPPNAME": name,
    }


@contextmanager
def scratch_database(server, folder):
    """The URL of a fresh, migrated database on a server; None stands for an SQLite file."""
    name = f"history_{os.getpid()}_{secrets.token_hex(4)}"
    if server is None:
        url = f"sqlite:///{folder}/{name}.sqlite3"
    else:
        url = urlsplit(server)._replace(path=f"/{name}").geturl()
    try:
        ask("make", url)
        yield url
    finally:
        ask("drop", url)


def ask(verb, url):
    """In a process of its own, since the settings of this one name other databases."""
    done = subprocess.run(
        [sys.executable, "-m", "proof.faults.scratch", verb],
        env=environment(url),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"could not {verb} the database:\n{done.stderr}"


def make(connection):
    from django.core.management import call_command

    if connection.vendor != "sqlite":
        execute(connection, f"CREATE DATABASE {named(connection)}")
    call_command("migrate", verbosity=0)


def drop(connection):
    if connection.vendor == "sqlite":
        for path in Path(connection.settings_dict["NAME"]).parent.glob(f"{file_name(connection)}*"):
            path.unlink()
        return
    if connection.vendor == "postgresql":
        execute(connection, TERMINATE, [connection.settings_dict["NAME"]])
    execute(connection, f"DROP DATABASE IF EXISTS {named(connection)}")


def execute(connection, sql, values=None):
    with connection._nodb_cursor() as cursor:
        cursor.execute(sql, values)


def named(connection):
    return connection.ops.quote_name(connection.settings_dict["NAME"])


def file_name(connection):
    return Path(connection.settings_dict["NAME"]).name


if __name__ == "__main__":
    import django
    from django.db import connection

    django.setup()
    {"make": make, "drop": drop}[sys.argv[1]](connection)
