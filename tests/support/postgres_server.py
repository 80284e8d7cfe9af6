"""A PostgreSQL of the test's own, which it may stop and cut off, copy and promote as it likes."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from django.db import connections

from .servers import free_port, wait_until

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
        return Path(known).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def unprivileged():
    """Somebody whom PostgreSQL may run as."""
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Cluster:
    """A context manager: it is gone when the block ends. A new one, or a copy of another."""

    def __init__(self, of=None, **options):
        self.of = of
        self.options = {**OPTIONS, **options}
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}"
        # PostgreSQL will not run as root.
        self.user = unprivileged() if os.geteuid() == 0 else None
        self.process = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="faults-postgres-"))
        if self.user:
            shutil.chown(self.folder, self.user)
        if self.of is not None:
            self.copy(self.of.port)
            return self
        arguments = ["-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync"]
        self.run("initdb", *arguments).wait(60)
        self.start()
        return self

    @property
    def database(self):
        """As Django has it."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
        }

    @property
    def data(self):
        return self.folder / "data"

    def copy(self, port):
        """Become a copy of the server at that port, which is not started."""
        shutil.rmtree(self.data, ignore_errors=True)
        server = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        made = self.run("pg_basebackup", *server, "-D", self.data, "-c", "fast", "--no-sync")
        assert made.wait(60) == 0, (self.folder / "pg_basebackup.out").read_text()

    def follow(self, port):
        """Start as a standby of the server at that port."""
        (self.data / "standby.signal").touch()
        self.start(primary_conninfo=f"host=127.0.0.1 port={port} user=postgres")

    def restore(self, name, folder):
        """Start by going on from the copy to a named point in time, by another's archive."""
        (self.data / "recovery.signal").touch()
        self.start(
            restore_command=f"cp {folder}/%f %p",
            recovery_target_name=name,
            recovery_target_action="promote",
        )
        wait_until(self.is_primary, self.process)

    def promote(self):
        self.ask("SELECT pg_promote()")

    def is_primary(self):
        return not self.ask("SELECT pg_is_in_recovery()")[0][0]

    def __exit__(self, *error):
        self.stop_at_once()
        shutil.rmtree(self.folder)

    def run(self, program, *arguments):
        command = [binaries() / program, *arguments]
        with (self.folder / f"{program}.out").open("ab") as out:
            return subprocess.Popen(
                command, user=self.user, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT
            )

    def start(self, **options):
        options = [f"-c{name}={value}" for name, value in {**self.options, **options}.items()]
        options.append(f"-cunix_socket_directories={self.folder}")
        self.process = self.run("postgres", "-D", self.data, "-p", str(self.port), *options)
        wait_until(self.answers, self.process)

    def answers(self):
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop_at_once(self):
        """What PostgreSQL calls an immediate shutdown: without a word, as in a crash."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def kill(self):
        """All of its processes at once, before one can do what another waits for."""
        self.process.send_signal(signal.SIGSTOP)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = children.read_text().split()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        # None of them may hold the shared memory, or the next server does not start.
        wait_until(lambda: not any(is_running(pid) for pid in pids))

    def terminate(self, share):
        """Cut off so many of those who are connected."""
        self.ask(TERMINATE, [share])

    def cut_listeners(self):
        self.ask(LISTENERS)

    def connections(self, name):
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return self.ask(sql, [name])[0][0]

    def ask(self, sql, values=None):
        with self.connect() as connection:
            return connection.execute(sql, values).fetchall()

    def do(self, sql):
        with self.connect() as connection:
            connection.execute(sql)

    def connect(self):
        return psycopg.connect(f"{self.url}/postgres", autocommit=True)


class Pair:
    """A primary and an asynchronous standby, one address for both, and what becomes of them."""

    def __init__(self, primary, standby):
        self.primary, self.standby = primary, standby
        standby.follow(primary.port)
        self.wait()
        self.database = {
            **primary.database,
            "HOST": "127.0.0.1,127.0.0.1",
            "PORT": f"{primary.port},{standby.port}",
            "OPTIONS": {"target_session_attrs": "read-write", "connect_timeout": 2},
        }

    def wait(self):
        """Until the standby has what the primary has."""
        [[newest]] = self.primary.ask("SELECT pg_current_wal_lsn()::text")
        caught_up = "SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= %s::pg_lsn"
        wait_until(lambda: self.primary.ask(caught_up, [newest]), self.standby.process)

    def lag(self):
        """From now on nothing reaches the standby."""
        for (pid,) in self.primary.ask("SELECT pid FROM pg_stat_replication"):
            os.kill(pid, signal.SIGSTOP)

    def fail_over(self):
        self.primary.kill()
        self.primary, self.standby = self.standby, self.primary
        self.primary.promote()

    def repair(self):
        """The server that was lost comes back as a copy of the other, and follows it."""
        self.standby.copy(self.primary.port)
        self.standby.follow(self.primary.port)
        self.wait()


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def connected(alias, database):
    """A database of Django's for the time of a block, in threads as well."""
    # Not above: `make faults` and `make mutants` use this file without Django.
    from events.backends.database import terms

    connections.settings[alias] = connections.configure_settings({"default": {}, alias: database})[
        alias
    ]
    try:
        yield
    finally:
        terms._tells.pop(alias, None)
        connections[alias].close()
        del connections[alias], connections.settings[alias]
