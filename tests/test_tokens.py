"""docs/how-to/tokens.md, as it stands: a page of another origin in a real browser, and a program."""

import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from .support.pages import DOCS, marked
from .support.servers import ROOT, Site, answers, free_port, wait_until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("corsheaders", reason="django-cors-headers is not installed")
pytest.importorskip("rest_framework_simplejwt", reason="simplejwt is not installed")

CHROMIUM = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium")
if not CHROMIUM:
    pytest.skip("no chromium", allow_module_level=True)

PAGE = DOCS / "how-to/tokens.md"
TOKENS = {"tokens": "tokens: settings", "JWT": "tokens: settings,tokens: JWT settings"}
NAME, PASSWORD = "reader", "as the page has it"
SIGN_UP = f"""
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
user = User.objects.create_superuser({NAME!r}, password={PASSWORD!r})
print(Token.objects.create(user=user).key)
"""
FOLLOW = {
    "tokens": """async (transport) => {
        const { signIn, follow } = await import("./api.js");
        const log = follow(await signIn("reader", "as the page has it"), { transports: [transport] });
        log.addEventListener("entry", ({ entry }) => told.push(entry.kind));
        log.addEventListener("error", ({ detail }) => told.push(detail));
    }""",
    "JWT": """async (transport) => {
        const { follow } = await import("./jwt.js");
        const log = await follow("reader", "as the page has it", { transports: [transport] });
        log.addEventListener("entry", ({ entry }) => told.push(entry.kind));
        log.addEventListener("error", ({ detail }) => told.push(detail));
    }""",
}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def serving(folder):
    """The other origin: files, at another host than the site's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


@contextmanager
def logging_server(site, path):
    """uvicorn, telling all that it tells at first."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "eventsite.asgi:application"]
    with path.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=site.environment, stdout=output, stderr=output
        )
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}"), process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module", params=TOKENS)
def world(request, tmp_path_factory):
    """The site on one origin, and the page's files on another."""
    folder = tmp_path_factory.mktemp("tokens")
    app = folder / "app"
    app.mkdir()
    with serving(app) as origin:
        site = Site(
            f"sqlite:///{folder}/db.sqlite3",
            DJANGO_SETTINGS_MODULE="tests.support.token_settings",
            TOKENS=TOKENS[request.param],
            APP=origin,
        )
        site.manage("migrate", "-v0")
        token = site.manage("shell", "-v0", "-c", SIGN_UP).split()[-1]
        output = folder / "server.txt"
        with logging_server(site, output) as address:
            shutil.copy(ROOT / "events/static/events/events.js", app)
            for name in ("api.js", "jwt.js", "source.js", "app.jsx"):
                [block] = marked(PAGE, f"tokens: {name}")
                text = block.text.replace("https://api.example.com", address)
                (app / name).write_text(text)
            (app / "index.html").write_text('<div id="app"></div><script>told = []</script>')
            yield SimpleNamespace(
                way=request.param, site=site, address=address, origin=origin, app=app,
                token=token, output=output,
            )  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, world):
    context = browser.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.sockets = []
    page.on("websocket", lambda socket: page.sockets.append(socket.url))
    page.goto(f"{world.origin}/index.html")
    yield page
    assert context.cookies() == []
    context.close()


@pytest.mark.parametrize("transport", ["ws", "sse", "poll"])
def test_a_page_of_another_origin_follows(world, page, transport):
    """By a token alone, over each transport, what is stored and what comes."""
    world.site.manage("emit_event", f"before.{transport}")
    page.evaluate(FOLLOW[world.way], transport)
    page.wait_for_function(f"told.includes('before.{transport}')")
    world.site.manage("emit_event", f"after.{transport}")
    page.wait_for_function(f"told.includes('after.{transport}')")
    assert ("ticket=" in "".join(page.sockets)) == (transport == "ws")


def test_an_event_source_of_another_origin(world, page):
    """The browser's own, which can send neither a header nor, from there, a cookie."""
    if world.way != "tokens":
        pytest.skip("The page has the other kind of token.")
    page.evaluate(
        """async (token) => {
            const { openSource } = await import("./source.js");
            const source = await openSource(token);
            source.onmessage = ({ data }) => told.push(JSON.parse(data).kind);
        }""",
        world.token,
    )
    world.site.manage("emit_event", "for.a_source")
    page.wait_for_function("told.includes('for.a_source')")


def test_the_servers_log_shows_no_ticket(world, page):
    """Neither that of requests nor that of handshakes, of which it tells."""
    page.evaluate(FOLLOW[world.way], "ws")
    wait_until(lambda: page.evaluate("true") and page.sockets)
    headers = "{ headers: { 'Content-Type': 'text/plain' } }"
    ticket = re.search(r"ticket=([^&]+)", page.sockets[0])[1]
    page.evaluate(f"fetch('{world.address}/api/events/live/?ticket={ticket}x', {headers})")
    wait_until(lambda: "/live/?ticket=" in world.output.read_text())
    text = world.output.read_text()
    assert "WebSocket /ws/events/?ticket=…" in text
    assert set(re.findall(r"ticket=([^&\s\"]*)", text)) == {"…"}


def test_a_program_follows(world):
    """In ten lines and some."""
    if world.way != "tokens":
        pytest.skip("The program has the other kind of token.")
    [block] = marked(PAGE, "tokens: program")
    assert len(block.text.splitlines()) <= 13
    world.site.manage("emit_event", "for.a_program")
    program = block.text.replace("127.0.0.1:8000", world.address.removeprefix("http://"))
    environment = {**os.environ, "TOKEN": world.token}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = iter(process.stdout.readline, "")
        assert any("for.a_program" in line for line in lines)
        world.site.manage("emit_event", "for.it.too")
        assert any("for.it.too" in line for line in lines)
        process.terminate()


def test_the_page_in_react(world, page):
    """With React and a bundler, as npm gives them."""
    if world.way != "tokens" or not shutil.which("npm"):
        pytest.skip("no npm, or the page has the other kind of token")
    names = ["esbuild@0.28.2", "react@19.3.1", "react-dom@19.3.1"]
    command = ["npm", "install", "--silent", "--no-audit", "--prefix", str(world.app), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm has no {names}: {done.stderr.strip()}")
    bundle = [
        "node_modules/.bin/esbuild",
        "app.jsx",
        "--bundle",
        "--jsx=automatic",
        "--outfile=app.js",
    ]
    subprocess.run(bundle, cwd=world.app, check=True, timeout=60, capture_output=True)
    markup = '<div id="app"></div><script src="app.js"></script>'
    (world.app / "react.html").write_text(markup)
    world.site.manage("emit_event", "job.begun", "--stream", "run-42")
    page.goto(f"{world.origin}/react.html")
    page.fill("[name=username]", NAME)
    page.fill("[name=password]", PASSWORD)
    page.click("button")
    sync_api.expect(page.locator("li")).to_have_text(["job.begun"])
    world.site.manage("emit_event", "job.done", "--stream", "run-42")
    sync_api.expect(page.locator("li")).to_have_text(["job.begun", "job.done"])
