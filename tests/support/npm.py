"""npm packages for tests: installed once for a checkout, into tests/npm."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "npm"
MODULES = FOLDER / "node_modules"
NODE, NPM = shutil.which("node"), shutil.which("npm")
OLDEST_NODE = 20


@cache
def problem():
    """Why they cannot be had, or None."""
    if NODE is None or NPM is None:
        return "node or npm is not installed"
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        return f"node is {version.strip()}, older than {OLDEST_NODE}"
    if MODULES.is_symlink():
        return f"{MODULES} is a symbolic link, through which the suite does not find itself"
    if MODULES.exists():
        return None
    command = [NPM, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    return f"npm cannot install: {done.stderr.strip()[-200:]}" if done.returncode else None


def need_packages():
    if reason := problem():
        pytest.skip(reason)
