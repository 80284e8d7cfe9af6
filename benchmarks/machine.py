"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = [
    "django",
    "channels",
    "djangorestframework",
    "daphne",
    "uvicorn",
    "httptools",
    "websockets",
    "psycopg",
    "django-eventstream",
]
SERVERS = {"PostgreSQL": ["psql", "--version"], "Redis": ["redis-server", "--version"]}


def description() -> dict[str, str]:
    """By name, as one would write it down."""
    return {
        "processor": f"{os.cpu_count()} × {processor()}",
        "memory": f"{memory():.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{name: found for name, command in SERVERS.items() if (found := said_by(command))},
        **{name: found for name in PACKAGES if (found := installed(name))},
    }


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def said_by(command: list[str]) -> str:
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else ""


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
