"""The example site's settings, with every database that answers on this machine."""

import hashlib
import os
import tempfile
from pathlib import Path

os.environ.setdefault("DEBUG", "1")
os.environ["DATABASE_URL"] = "sqlite:///tests.sqlite3"

from eventsite.databases import database
from eventsite.settings import *  # noqa: F403
from eventsite.settings import BASE_DIR

DEBUG = False
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

URLS = {
    "postgres": os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/test"),
}


def reason_not_to_use(url):
    """Why a database cannot be tested against, or None. Asked of the server itself."""
    config = database(url, BASE_DIR)
    address = {
        "host": config["HOST"],
        "port": int(config["PORT"]),
        "user": config["USER"],
        "password": config["PASSWORD"],
        "connect_timeout": 2,
    }
    try:
        if config["ENGINE"].endswith("postgresql"):
            import psycopg

            psycopg.connect(dbname=config["NAME"], **address).close()
        else:
            import MySQLdb

            MySQLdb.connect(**address).close()
    except Exception as error:
        return f"{url} does not answer: {error}"
    return None


SCRATCH = Path(tempfile.mkdtemp(prefix="events-tests-"))
SKIPPED = {}

# A file and not memory: the tests use threads and processes.
DATABASES["default"]["TEST"] = {"NAME": str(SCRATCH / "default.sqlite3")}  # noqa: F405
# What is written here need not outlive the machine; a process that is killed loses nothing by it.
DATABASES["default"]["OPTIONS"] = {  # noqa: F405
    **DATABASES["default"]["OPTIONS"],  # noqa: F405
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
}
for alias, url in URLS.items():
    if reason := reason_not_to_use(url):
        SKIPPED[alias] = reason
    else:
        DATABASES[alias] = database(url, BASE_DIR)  # noqa: F405
        # One name for each checkout, so that the tests of two can run beside each other.
        digest = hashlib.sha256(str(BASE_DIR).encode()).hexdigest()[:8]
        DATABASES[alias]["TEST"] = {"NAME": f"test_events_{digest}"}  # noqa: F405

# Optional apps, and one that acts on events.
INSTALLED_APPS = [
    *INSTALLED_APPS,  # noqa: F405
    "tests.support.acting",
    "events.contrib.celery",
]

EVENTS = {}
# Logs in other databases than `default` are what half of the tests are about.
SILENCED_SYSTEM_CHECKS = [*SILENCED_SYSTEM_CHECKS, "events.W008"]  # noqa: F405

# Twenty migrations a database are what its tables need not wait for.
MIGRATION_MODULES = {"django_tasks_database": None}

LOGGING_CONFIG = None
