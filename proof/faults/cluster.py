"""A PostgreSQL of the run's own, which it may stop and cut off as it likes."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.support.servers import free_port, wait_until

# No fsync: what is stopped here is a process and not a machine, and the kernel keeps what was
# written. A power cut is not among the faults.
OPTIONS = {"fsync": "off", "max_connections": "200", "listen_addresses": "127.0.0.1"}

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < %s"
)

LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"


def binaries():
    """The folder of PostgreSQL's programs; None where it is not installed."""
    if known := shutil.which("postgres"):
        return Path(known).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def unprivileged():
    """Somebody whom PostgreSQL may run as."""
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Cluster:
    """A context manager: it is gone when the block ends."""

    def __init__(self):
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}"
        # PostgreSQL will not run as root.
        self.user = unprivileged() if os.geteuid() == 0 else None
        self.process = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="faults-postgres-"))
        if self.user:
            shutil.chown(self.folder, self.user)
        arguments = ["-D", self.folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
        self.run("initdb", *arguments).wait(60)
        self.start()
        return self

    def __exit__(self, *error):
        self.stop_at_once()
        shutil.rmtree(self.folder)

    def run(self, program, *arguments):
        command = [binaries() / program, *arguments]
        with (self.folder / f"{program}.out").open("ab") as out:
            return subprocess.Popen(
                command, user=self.user, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT
            )

    def start(self):
        options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
        options.append(f"-cunix_socket_directories={self.folder}")
        self.process = self.run(
            "postgres", "-D", self.folder / "data", "-p", str(self.port), *options
        )
        wait_until(self.answers, self.process)

    def answers(self):
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop_at_once(self):
        """What PostgreSQL calls an immediate shutdown: without a word, as in a crash."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def terminate(self, share):
        """Cut off so many of those who are connected."""
        self.ask(TERMINATE, [share])

    def cut_listeners(self):
        self.ask(LISTENERS)

    def connections(self, name):
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return self.ask(sql, [name])[0][0]

    def ask(self, sql, values=()):
        with self.connect() as connection:
            return connection.execute(sql, values).fetchall()

    def do(self, sql):
        with self.connect() as connection:
            connection.execute(sql)

    def connect(self):
        return psycopg.connect(f"{self.url}/postgres", autocommit=True)
