"""The htmx of docs/how-to/front-ends.md, with the packages that npm gives, in a real browser."""

import os
import shutil
import subprocess
from itertools import count

import pytest

from .support.pages import DOCS, marked
from .support.servers import Site

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium")
NPM = shutil.which("npm")
if not CHROMIUM or not NPM:
    pytest.skip("no chromium, or no npm", allow_module_level=True)

PACKAGES = {
    "htmx 2": {
        "htmx.org@2.0.11": "htmx.org/dist/htmx.js",
        "htmx-ext-sse@2.2.4": "htmx-ext-sse/sse.js",
    },
    "htmx 4": {
        "htmx.org@4.0.1": "htmx.org/dist/htmx.js",
        "": "htmx.org/dist/ext/hx-sse.js",
    },
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(f"sqlite:///{tmp_path_factory.mktemp('htmx')}/db.sqlite3")
    site.manage("migrate", "-v0")
    site.cookie = site.sign_in()
    with site.serve("daphne") as (_, site.address):
        yield site


@pytest.fixture(params=PACKAGES)
def version(request):
    return request.param


@pytest.fixture
def scripts(version, tmp_path):
    names = [name for name in PACKAGES[version] if name]
    command = [NPM, "install", "--silent", "--no-audit", "--prefix", str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"npm has no {names}: {done.stderr.strip()}")
    return [(tmp_path / "node_modules" / file).read_text() for file in PACKAGES[version].values()]


@pytest.fixture
def page(site, version, scripts):
    """A page of the site with the snippets, for a stream of its own."""
    stream = version.replace(" ", "-")
    blocks = marked(DOCS / "how-to/front-ends.md", version)
    markup = "".join(block.text for block in blocks if block.language == "html")
    scripts += [block.text for block in blocks if block.language == "js"]
    body = markup + "".join(f"<script>{script}</script>" for script in scripts)
    numbers = count(1)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        cookie = {"name": "sessionid", "value": site.cookie, "url": site.address}
        page.context.add_cookies([cookie])
        page.stream = stream
        page.connections = []
        page.on("request", lambda one: "/live/" in one.url and page.connections.append(one))
        page.route(
            f"{site.address}/page/",
            lambda route: route.fulfill(
                body=body.replace("run-42", stream), content_type="text/html; charset=utf-8"
            ),
        )
        page.route("**/fragment/", lambda route: route.fulfill(body=f"fragment {next(numbers)}"))
        yield page
        browser.close()


def test_an_event_has_the_fragment_fetched_and_the_end_stays_the_end(site, page):
    """Also when the event comes from another process; and nobody connects after the end."""
    site.manage("emit_event", "job.queued", "--stream", page.stream)
    with page.expect_response("**/live/**"):
        page.goto(f"{site.address}/page/")
    shown = page.locator("[hx-get]")
    # Once at the beginning, and once for the connection.
    sync_api.expect(shown).to_have_text("fragment 2")
    site.manage("emit_event", "job.progress", "--stream", page.stream)
    sync_api.expect(shown).to_have_text("fragment 3")
    finish = f"from events import logs; logs['default'].stream({page.stream!r}).open(); "
    finish += f"logs['default'].stream({page.stream!r}).complete()"
    site.manage("shell", "-v0", "-c", finish)
    sync_api.expect(shown).to_have_text("fragment 4")
    # Longer than either version waits before it would connect again.
    with pytest.raises(sync_api.TimeoutError):
        page.wait_for_event("request", lambda one: "/live/" in one.url, timeout=4000)
    assert len(page.connections) == 1
