"""Where the rounds of a run keep their logs: in a private PostgreSQL, or in SQLite on a small disk."""

import secrets
import shutil
from contextlib import ExitStack

from tests.support.postgres_server import Cluster
from tests.support.servers import Site

from .disk import small_disk

TEMPLATE = "template_of_rounds"


class Stores:
    """A context manager. Every round gets a copy of a database that was made once, with all the
    site's tables and the `sessions` of two users."""

    def __init__(self):
        self.stack = ExitStack()
        self.cluster = None
        self.disk = None
        self.sessions = ()
        self.made = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stack.close()

    def new(self, database, folder):
        """The URL of a new database."""
        if database == "sqlite":
            self.disk = self.stack.enter_context(small_disk(folder))
            template = folder / "template.sqlite3"
            self.sessions = migrated(f"sqlite:///{template}")
            shutil.copy(template, self.disk.folder / "db.sqlite3")
            return f"sqlite:///{self.disk.folder}/db.sqlite3"
        if self.cluster is None:
            self.cluster = self.stack.enter_context(Cluster())
            self.cluster.do(f"CREATE DATABASE {TEMPLATE}")
            self.made[database] = migrated(f"{self.cluster.url}/{TEMPLATE}")
        self.sessions = self.made[database]
        name = f"round_{secrets.token_hex(4)}"
        self.cluster.do(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return f"{self.cluster.url}/{name}"

    def connections(self, name):
        """How many a server has to PostgreSQL."""
        return self.cluster.connections(name) if self.cluster else 0


def migrated(url):
    """Make all the tables; the sessions of two who may read everything, one of them not for long."""
    site = Site(url, DJANGO_SETTINGS_MODULE="proof.faults.site")
    site.manage("migrate", "-v0", "--run-syncdb")
    return site.sign_in(), site.sign_in("revoked")
