"""Durable streams with their clients and with chat front ends, as they are published, on a real
server."""

import os
import subprocess
import sys

import pytest

from .support.npm import FOLDER, NODE, need_packages
from .support.servers import Site

SETTINGS = "tests.support.durable_settings"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("durable")
    site = Site(f"sqlite:///{folder}/db.sqlite3", DJANGO_SETTINGS_MODULE=SETTINGS)
    site.manage("migrate", "-v0")
    with site.serve("uvicorn") as (_, address):
        yield address


@pytest.mark.parametrize("name", ["clients", "chat"])
def test_in_node(address, name):
    """Every test of tests/npm/<name>.test.mjs."""
    need_packages()
    done = subprocess.run(
        [NODE, "--test", f"{name}.test.mjs"],
        cwd=FOLDER,
        env={**os.environ, "SITE": address},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


# In a process of its own: it leaves sockets to the garbage collector.
PYTHON = """
import asyncio, sys
import durable_streams as client

base = sys.argv[1]
for live in (False, "long-poll", "sse"):
    url = f"{base}-{live}"
    handle = client.DurableStream.create(url, content_type="application/json")
    for number in range(5):
        handle.append({"n": number})
    with client.stream(url, offset="-1", live=live) as found:
        numbers = (item["n"] for item in found.iter_json())
        assert [next(numbers) for _ in range(5)] == list(range(5)), live

async def text():
    handle = await client.AsyncDurableStream.create(f"{base}-text", content_type="text/plain")
    await handle.append("hello ")
    await handle.append("world")
    async with client.astream(f"{base}-text", offset="-1", live=False) as found:
        assert await found.read_text() == "hello world"

asyncio.run(text())
"""


def test_in_python(address):
    """The client that PyPI has."""
    pytest.importorskip("durable_streams")
    command = [sys.executable, "-c", PYTHON, f"{address}/v1/stream/python"]
    subprocess.run(command, check=True, timeout=60)
