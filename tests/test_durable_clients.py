"""Durable streams with their clients and with chat front ends, as npm has them, on a real server."""

import os
import subprocess

import pytest

from .support.npm import FOLDER, NODE, need_packages
from .support.servers import Site

SETTINGS = "tests.support.durable_settings"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    need_packages()
    folder = tmp_path_factory.mktemp("durable")
    site = Site(f"sqlite:///{folder}/db.sqlite3", DJANGO_SETTINGS_MODULE=SETTINGS)
    site.manage("migrate", "-v0")
    with site.serve("uvicorn") as (_, address):
        yield address


@pytest.mark.parametrize("name", ["clients", "chat"])
def test_in_node(address, name):
    """Every test of tests/npm/<name>.test.mjs."""
    done = subprocess.run(
        [NODE, "--test", f"{name}.test.mjs"],
        cwd=FOLDER,
        env={**os.environ, "SITE": address},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
