"""The example site on a scratch database, for the tests that come from outside."""

import uuid
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings

from .servers import Site

PAIRS = [("sqlite", "daphne"), ("postgres", "uvicorn")]


@contextmanager
def scratch_site(database, folder, **environment):
    """The site on a new database, `sqlite` or `postgres`, which is dropped afterwards."""
    if database == "sqlite":
        site = Site(f"sqlite:///{folder}/db.sqlite3", **environment)
        site.manage("migrate", "--run-syncdb", "-v0")
        yield site
        return
    if "postgres" in settings.SKIPPED:
        pytest.skip(settings.SKIPPED["postgres"])
    name = f"site_{uuid.uuid4().hex[:12]}"
    base, _, _ = settings.URLS["postgres"].rpartition("/")
    with psycopg.connect(settings.URLS["postgres"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            site = Site(f"{base}/{name}", **environment)
            site.manage("migrate", "--run-syncdb", "-v0")
            yield site
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def db_worker(site):
    """What works on the site's tasks, until it is killed."""
    options = ["--interval", "0.1", "--no-startup-delay", "--no-reload", "-v0"]
    return site.running("db_worker", *options)
