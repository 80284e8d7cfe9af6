"""Where the rounds of a run keep their logs: in a private PostgreSQL, or in SQLite on a small disk."""

import secrets
from contextlib import ExitStack

from .cluster import Cluster
from .disk import small_disk


class Stores:
    """A context manager. PostgreSQL is started when a round first asks for it."""

    def __init__(self):
        self.stack = ExitStack()
        self.cluster = None
        self.disk = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stack.close()

    def new(self, database, folder):
        """The URL of a new and empty database."""
        if database == "sqlite":
            self.disk = self.stack.enter_context(small_disk(folder))
            return f"sqlite:///{self.disk.folder}/db.sqlite3"
        if self.cluster is None:
            self.cluster = self.stack.enter_context(Cluster())
        name = f"round_{secrets.token_hex(4)}"
        self.cluster.do(f"CREATE DATABASE {name}")
        return f"{self.cluster.url}/{name}"

    def connections(self, name):
        """How many a server has to PostgreSQL."""
        return self.cluster.connections(name) if self.cluster else 0
