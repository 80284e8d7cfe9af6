"""What is published: it builds, it holds what it should, and a newcomer gets along with it.

These tests make virtual environments and fetch packages: run no more than one thing beside them.
"""

import filecmp
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from contextlib import closing

import httpx
import pytest
from websockets.sync.client import connect

from .support.deployment import NGINX, OPENSSL, Deployment
from .support.pages import ROOT
from .support.servers import wait_until
from .support.tutorial import Reader

# One worker, where there are several.
pytestmark = pytest.mark.xdist_group("packaging")

# Only what is imported has to be compiled.
QUICKLY = {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def pip(folder, *arguments):
    return subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *arguments],
        env={**os.environ, **QUICKLY},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two folders, each with an sdist and the wheel that was made of it."""
    folder = tmp_path_factory.mktemp("built")
    workshop = folder / "workshop"
    subprocess.run([sys.executable, "-m", "venv", workshop], check=True, timeout=60)
    fetched = pip(workshop, "build", "hatchling>=1.27", "twine")
    if fetched.returncode:
        pytest.skip(f"hatchling cannot be had: {fetched.stderr.strip().splitlines()[-1]}")
    python = workshop / "bin" / "python"
    for dist in ("dist", "again"):
        subprocess.run(
            [python, "-m", "build", "--no-isolation", "-o", folder / dist, ROOT],
            check=True,
            timeout=120,
            capture_output=True,
        )
    files = sorted((folder / "dist").iterdir())
    subprocess.run([python, "-m", "twine", "check", "--strict", *files], check=True, timeout=60)
    return folder / "dist"


def app_files():
    """The app in the repository; a copy without git has nothing else either."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "events").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_two_builds_are_the_same_bytes(built):
    """So anybody can tell that what is published was made of this source."""
    files = [path.name for path in built.glob("django_durable_events-*")]
    again = built.with_name("again")
    assert len(files) == 2
    assert filecmp.cmpfiles(built, again, files, shallow=False) == (files, [], [])


def test_the_wheel_is_the_app_and_nothing_else(built):
    """Templates, static files, translations, migrations and types come along; no tests do."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if ".dist-info/" in name}
    assert names - info == app_files()
    assert any(name.endswith("licenses/LICENSE") for name in info)
    assert {"events/py.typed", "events/migrations/0001_initial.py"} <= names
    assert "events/static/events/events.js" in names


def test_the_sdist_can_be_built_from(built):
    """The wheel was: with the app, its readme and its licence, and nobody's tests."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert app_files() | {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"} <= names
    assert not any(name.startswith(("tests", "proof", "eventsite", "benchmarks")) for name in names)


@pytest.fixture(scope="module")
def reader(built, tmp_path_factory):
    """Somebody who has followed the tutorial. Their pip gets the wheel that was built here."""
    (wheel,) = built.glob("*.whl")
    constraint = built / "constraint.txt"
    constraint.write_text(f"django-durable-events=={wheel.name.split('-')[1]}\n")
    # Not `@ file://…`: the pip of older Pythons refuses that together with an extra.
    pip = {"PIP_FIND_LINKS": str(built), "PIP_CONSTRAINT": str(constraint), **QUICKLY}
    with Reader(tmp_path_factory.mktemp("mysite"), **pip).at_work() as reader:
        reader.follow()
        yield reader


def test_the_tutorial_word_for_word(reader):
    """An empty folder becomes a project with the app, a server, and a page that follows the log."""
    installed = "import events; print(events.__file__)"
    reader.run(f"python -c '{installed}'", "afterwards")
    assert reader.said.startswith(str(reader.folder / ".venv"))
    with closing(signed_in(reader)) as client:
        assert "board/board.js" in client.get("/").text
        assert client.get("/static/board/board.js").status_code == 200
        assert client.get("/static/events/events.js").status_code == 200
        assert followed(reader.address, client)[-1] == (5, "hello.world")


@pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="nginx or openssl is not installed")
def test_the_tutorial_deployed(reader, tmp_path):
    """The same project on PostgreSQL, in an environment of its own, behind nginx."""
    with Deployment(reader, tmp_path).at_work() as site, site.client() as client:
        assert client.get("/static/board/board.js").status_code == 200
        assert client.get("/static/events/events.js").status_code == 200
        sign_in(client)
        site.run(".venv/bin/python manage.py emit_event order.paid")
        assert followed(site.address, client, ssl=site.trust) == [(1, "order.paid")]


def signed_in(reader):
    """As the page asks for it: its own address leads to a form."""
    client = httpx.Client(base_url=reader.address, follow_redirects=True, timeout=10)
    # The server starts anew after the last change to its files.
    wait_until(lambda: page_is_there(client), reader.server)
    sign_in(client)
    return client


def sign_in(client):
    form = client.get("/").url
    data = {"username": "ada", "password": "lovelace"}
    data["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
    # Django asks for a Referer over HTTPS, which browsers send.
    assert client.post(form, data=data, headers={"Referer": str(form)}).url.path == "/"


def page_is_there(client):
    try:
        return client.get("/").status_code == 200
    except httpx.HTTPError:
        return False


def followed(address, client, **options):
    """What a WebSocket is sent until it has caught up."""
    entries = []
    with connect(
        f"{address.replace('http', 'ws', 1)}/ws/events/?since=0",
        origin=address,
        additional_headers={"Cookie": f"sessionid={client.cookies['sessionid']}"},
        **options,
    ) as socket:
        while (frame := json.loads(socket.recv(timeout=10)))["type"] != "live":
            entries += frame.get("events", [])
    return [(entry["position"], entry["kind"]) for entry in entries]
