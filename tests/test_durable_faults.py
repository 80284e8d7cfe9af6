"""A producer whose server is killed: nothing is lost, and nothing is there twice."""

import os
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from threading import Timer

import httpx
import pytest

from .support.deployment import NGINX
from .support.servers import free_port
from .support.sites import scratch_site

SETTINGS = "tests.support.durable_settings"
MESSAGES, KILLS = 300, 3

CONF = """{user}pid {folder}/nginx.pid; daemon off;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
upstream site {{ {servers} }}
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://site; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
}} }}
"""


@contextmanager
def nginx(folder, ports):
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in ports)
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(folder=folder, servers=servers, port=port, user=user))
    process = subprocess.Popen([NGINX, "-e", "stderr", "-p", folder, "-c", conf])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_producer_behind_nginx(tmp_path):
    """One of two servers is killed in the middle of a producer's run, and again when it is back;
    what gets no answer is sent again."""
    with ExitStack() as stack:
        site = stack.enter_context(
            scratch_site("postgres", tmp_path, DJANGO_SETTINGS_MODULE=SETTINGS)
        )
        ports = [free_port(), free_port()]
        address = stack.enter_context(nginx(tmp_path, ports))
        stack.enter_context(site.serve("uvicorn", ports[0]))
        stream = f"{address}/v1/stream/produced"
        sent = unanswered = 0
        with httpx.Client(timeout=10) as client:
            assert client.put(stream, headers=JSON).status_code == 201
            kills = 0
            # Until some of its requests were at work in a server that died.
            while kills < KILLS or not unanswered:
                kills += 1
                with suppress(ProcessLookupError), site.serve("uvicorn", ports[1]) as (victim, _):
                    killer = Timer(0.3, victim.kill)
                    killer.start()
                    while victim.poll() is None or sent < kills * MESSAGES // KILLS:
                        unanswered += produce(client, stream, sent)
                        sent += 1
                    killer.join()
            found = read_all(client, stream)
    assert found == list(range(sent))


def read_all(client, stream):
    found, offset = [], "-1"
    while True:
        response = client.get(stream, params={"offset": offset})
        found += response.json()
        offset = response.headers["Stream-Next-Offset"]
        if "Stream-Up-To-Date" in response.headers:
            return found


JSON = {"Content-Type": "application/json"}


def produce(client, stream, number):
    """Send it until it is answered; how often it was not."""
    headers = {**JSON, "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": str(number)}
    for tries in range(1000):
        try:
            response = client.post(stream, content=f"[{number}]", headers=headers)
        except httpx.HTTPError:
            continue
        if response.status_code in (200, 204):
            return tries
        assert response.status_code in (502, 503, 504), response.text
    raise TimeoutError
