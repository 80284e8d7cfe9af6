"""The receivers of docs/how-to/webhooks.md take what we send, and nothing else."""

import os
import shutil
import subprocess
import time

import pytest
from django.test import RequestFactory

from events.webhooks.message import Message
from events.webhooks.sending import post_now
from events.webhooks.signing import new_secret

from .support.pages import DOCS, marked
from .support.receivers import allow_local
from .support.servers import free_port, wait_until

NPM = shutil.which("npm")
BODY = b'{"type":"order.paid","timestamp":"","data":{"position":1,"payload":{"sum":12}}}'


@pytest.fixture
def secret():
    return new_secret()


def code(name):
    [block] = marked(DOCS / "how-to/webhooks.md", f"webhooks: {name}")
    return block.text


def message(secret, url="https://example.com/hook", old=None):
    return Message(url, tuple(one for one in (secret, old) if one), "evt_1", BODY)


def signed(secret, **more):
    found = message(secret, **more).headers("example.com", int(time.time()))
    return {name.decode(): value.decode() for name, value in found}


def test_django(secret, settings):
    settings.HOOK_SECRET = secret
    names = {}
    exec(compile(code("Django"), "webhooks.md", "exec"), names)

    def answer(headers):
        request = RequestFactory().post(
            "/hook", BODY, content_type="application/json", headers=headers
        )
        return names["hook"](request).status_code

    headers = signed(secret)
    assert answer(headers) == 204
    assert answer(signed(new_secret(), old=secret)) == 204
    assert answer({**headers, "webhook-id": "evt_2"}) == 400
    assert answer(signed(new_secret())) == 400


async def test_fastapi(secret, monkeypatch):
    pytest.importorskip("fastapi")
    import httpx

    monkeypatch.setenv("HOOK_SECRET", secret)
    names = {}
    exec(compile(code("FastAPI"), "webhooks.md", "exec"), names)
    transport = httpx.ASGITransport(names["app"])
    async with httpx.AsyncClient(transport=transport, base_url="https://example.com") as client:
        for headers, status in ((signed(secret), 204), (signed(new_secret()), 400)):
            answer = await client.post("/hook", content=BODY, headers=headers)
            assert answer.status_code == status


@pytest.mark.skipif(NPM is None, reason="npm is not installed")
def test_express(secret, settings, tmp_path):
    """With the packages that npm gives, over HTTP."""
    allow_local(settings)
    names = ["express@5.3.0", "standardwebhooks@1.1.1"]
    command = [NPM, "install", "--silent", "--no-audit", "--prefix", str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm has no {names}: {done.stderr.strip()}")
    (tmp_path / "hook.mjs").write_text(code("Express"))
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    process = subprocess.Popen(
        ["node", "hook.mjs"],
        cwd=tmp_path,
        env={**os.environ, "PORT": str(port), "HOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: post_now(message(secret, url)).status is not None, process)
        assert post_now(message(secret, url)).status == 204
        assert post_now(message(new_secret(), url, old=secret)).status == 204
        assert post_now(message(new_secret(), url)).status == 400
        assert "evt_1 order.paid { sum: 12 }" in process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
