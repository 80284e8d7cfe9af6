"""What the benchmarks share: scratch databases, fair rounds, and a table of results.

A figure by itself says little about software and much about the machine, so every target is a
ratio. Contenders take short turns (A B, B A, A B, …), a ratio is taken within each round, and
the median of the rounds counts: what disturbs the machine disturbs both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings

POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
MARIADB = "mysql://root@127.0.0.1:3306/mysql"
SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;",
}
DISPLAY = {"postgres": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}

Databases = dict[str, dict[str, Any]]


@dataclass
class Result:
    """One line of the table. Without a target it is there for information.

    The name says what the two figures are: "this vs that".
    """

    name: str
    ours: str
    rival: str
    ratio: float | None = None
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None or self.ratio is None:
            return None
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target

    @property
    def goal(self) -> str:
        return "" if self.target is None else f"{'≤' if self.at_most else '≥'} {self.target:g}"


class Report:
    """The results of a run. Lines are printed as they come, since some take a minute."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.results: list[Result] = []
        self.skipped: list[str] = []
        # With `--json -` stdout is for the JSON alone.
        self.out = sys.stderr if options.json == "-" else sys.stdout
        self._say("what", "first", "second", "ratio", "target", "met")

    def add(self, result: Result) -> None:
        self.results.append(result)
        met = {None: "", True: "yes", False: "NO"}[result.met]
        ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
        self._say(result.name, result.ours, result.rival, ratio, result.goal, met)
        if result.note:
            print(f"    {result.note}", file=self.out, flush=True)

    def skip(self, what: str, why: str) -> None:
        self.skipped.append(f"{what}: {why}")
        print(f"skipped {what}: {why}", file=self.out, flush=True)

    def _say(self, name: str, *columns: str) -> None:
        line = f"{name:<58}" + "".join(f"{column:>12}" for column in columns)
        print(line.rstrip(), file=self.out, flush=True)

    def finish(self) -> None:
        """Write the JSON, if it was asked for."""
        if self.options.json:
            text = json.dumps(self._document(), indent=2, ensure_ascii=False)
            if self.options.json == "-":
                print(text)
            else:
                Path(self.options.json).write_text(text + "\n")

    def _document(self) -> dict[str, Any]:
        return {
            "python": platform.python_version(),
            "django": django.get_version(),
            "sqlite": sqlite3.sqlite_version,
            "cpus": os.cpu_count(),
            "quick": self.options.quick,
            "skipped": self.skipped,
            "results": [{**asdict(result), "met": result.met} for result in self.results],
        }


# Options and databases


def parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--postgres",
        default=POSTGRES,
        metavar="URL",
        help="a server on which a scratch database may be made and dropped (%(default)s)",
    )
    made.add_argument(
        "--mariadb",
        default=MARIADB,
        metavar="URL",
        help="the same on MariaDB, for what is measured there (%(default)s)",
    )
    made.add_argument("--sqlite", metavar="FOLDER", help="where the scratch file goes (a new one)")
    made.add_argument("--only", choices=DISPLAY, help="measure on this database alone")
    made.add_argument("--quick", action="store_true", help="small sizes; the ratios are rough")
    made.add_argument("--json", metavar="FILE", help="also write the results here; - for stdout")
    return made


def main(description: str, measure: Callable[[Report, bool], None], **more: Any) -> None:
    """Run one benchmark script: databases, measurements, report, clean up."""
    options = parser(description).parse_args()
    # A terminated run cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with scratch(options, **more) as report:
            measure(report, options.quick)
            report.finish()
    except KeyboardInterrupt:
        sys.exit("interrupted; the scratch databases are gone")


@contextmanager
def scratch(
    options: argparse.Namespace, with_mariadb: bool = False, **more: Any
) -> Iterator[Report]:
    """Databases with the tables in them, for as long as the block runs."""
    servers = {"postgres": postgres, **({"mariadb": mariadb} if with_mariadb else {})}
    report = Report(options)
    databases: Databases = {}
    with ExitStack() as stack:
        if options.only in (None, "sqlite"):
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=options.sqlite))
            databases["sqlite"] = sqlite(Path(folder) / "events.sqlite3")
        for alias, server in servers.items():
            if options.only in (None, alias):
                try:
                    address = getattr(options, alias)
                    databases[alias] = stack.enter_context(server(address))
                except Unavailable as error:
                    report.skip(DISPLAY[alias], str(error))
        configure(databases, **more)
        from django.db import connections

        stack.callback(connections.close_all)
        for alias in databases:
            create_tables(alias)
        yield report


class Unavailable(Exception):
    """A server that does not answer, or does not let us in."""


def sqlite(path: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": SQLITE}


@contextmanager
def postgres(url: str) -> Iterator[dict[str, Any]]:
    """A database of our own on that server, dropped at the end."""
    try:
        import psycopg
    except ImportError as error:
        raise Unavailable(f"psycopg is not installed ({error})") from None
    parts = urlsplit(url)
    address: dict[str, Any] = {
        "host": parts.hostname or "",
        "port": parts.port or 5432,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    name = f"events_benchmark_{os.getpid()}"
    try:
        server = psycopg.connect(
            **address, dbname=parts.path.strip("/"), autocommit=True, connect_timeout=3
        )
        server.execute(f"CREATE DATABASE {name}")
    except psycopg.Error as error:
        raise Unavailable(f"{parts.hostname}: {' '.join(str(error).split())}") from None
    try:
        yield {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            **{key.upper(): value for key, value in address.items()},
        }
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()


@contextmanager
def mariadb(url: str) -> Iterator[dict[str, Any]]:
    """The same on MariaDB."""
    try:
        from eventsite.databases import use_pymysql_without_mysqlclient

        use_pymysql_without_mysqlclient()
        import MySQLdb
    except ImportError as error:
        raise Unavailable(f"no driver is installed ({error})") from None
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 3306
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    name = f"events_benchmark_{os.getpid()}"
    try:
        server = MySQLdb.connect(host=host, port=port, user=user, password=password)
        server.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    except MySQLdb.Error as error:
        raise Unavailable(f"{host}: {' '.join(str(error).split())}") from None
    try:
        yield {
            "ENGINE": "django.db.backends.mysql",
            "NAME": name,
            **{"HOST": host, "PORT": port, "USER": user, "PASSWORD": password},
        }
    finally:
        server.query(f"DROP DATABASE {name}")
        server.close()


def configure(databases: Databases, **more: Any) -> None:
    """Settings with one log for each database, named like it. Child processes call it as well."""
    apps = ["django.contrib.contenttypes", "django.contrib.auth", "events"]
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.dummy"}, **databases},
        INSTALLED_APPS=[*more.pop("apps", []), *apps],
        EVENTS=more.pop("events", {})
        or {
            alias: {"OPTIONS": {"using": alias}, "POLICY": "benchmarks.rival.Anybody"}
            for alias in databases
        },
        ROOT_URLCONF="events.urls",
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        LOGGING_CONFIG=None,
        **more,
    )
    django.setup()


def create_tables(alias: str) -> None:
    from django.core.management import call_command
    from django.db import connections

    from benchmarks.rival import Host, Plain, Rival

    call_command("migrate", database=alias, verbosity=0)
    with connections[alias].schema_editor() as editor:
        editor.create_model(Rival)
        editor.create_model(Plain)
        editor.create_model(Host)


def aliases() -> list[str]:
    """The databases of this run: SQLite, PostgreSQL and, where it was asked for, MariaDB."""
    from django.db import connections

    return [alias for alias in connections if alias in DISPLAY]


def analyze(alias: str) -> None:
    """Give the planner its statistics, as autovacuum would have after a while."""
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute("ANALYZE")


# Measuring


def alternate(
    contenders: Sequence[Callable[[], object]], rounds: int, repeat: int = 1
) -> list[list[float]]:
    """Seconds for each contender and round; the order is turned around after every round."""
    for contender in contenders:
        contender()
    seconds: list[list[float]] = [[] for _ in contenders]
    order = list(range(len(contenders)))
    for _ in range(rounds):
        for index in order:
            seconds[index].append(timed(contenders[index], repeat))
        order.reverse()
    return seconds


def timed(work: Callable[[], object], repeat: int = 1) -> float:
    began = time.perf_counter()
    for _ in range(repeat):
        work()
    return time.perf_counter() - began


def times_as_fast(ours: Sequence[float], rival: Sequence[float]) -> float:
    """How many times as fast ours is: 2.0 when it takes half of the rival's time."""
    return median(theirs / own for own, theirs in zip(ours, rival, strict=True))


def rate(seconds: Sequence[float], count: int) -> str:
    return f"{count / median(seconds):,.0f}/s"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


@contextmanager
def stopping(process: Any) -> Iterator[Any]:
    """A child process that does not outlive the block."""
    process.start()
    try:
        yield process
    finally:
        with suppress(Exception):
            process.terminate()
        process.join()
