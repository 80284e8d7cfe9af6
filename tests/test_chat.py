"""The example site's chat: an answer that survives its reader, its server and its worker."""

import httpx
import pytest

from eventsite.chat import model

from .support.servers import free_port, wait_until
from .support.sites import scratch_site

QUESTION = "Is anything lost?"
WHOLE = list(model(QUESTION))
ASK = (
    "from events import emit, logs\n"
    "logs['tokens'].durable({name!r}).create()\n"
    f"emit('chat.asked', {{{{'question': {QUESTION!r}}}}}, stream={{name!r}})"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with scratch_site("sqlite", tmp_path_factory.mktemp("chat")) as site:
        site.cookie = site.sign_in()
        yield site


def handlers(site):
    return site.running("run_handlers", "chat", "-v0")


class Reader:
    """Reads on from its offset, whatever server is there."""

    def __init__(self, site, address, name):
        self.cookies = {"sessionid": site.cookie}
        self.address = f"{address}/v1/stream/{name}"
        self.tokens, self.offset, self.closed = [], "-1", False

    def read(self):
        found = httpx.get(
            self.address, params={"offset": self.offset}, cookies=self.cookies, timeout=10
        )
        self.tokens += [one["token"] for one in found.json()]
        self.offset = found.headers["Stream-Next-Offset"]
        self.closed = "Stream-Closed" in found.headers
        return len(self.tokens)


def test_an_answer_survives_a_killed_server_and_a_killed_worker(site):
    """The reader has every token, once; and the answer is one event of the log that is kept."""
    name, port = "chat-killed", free_port()
    site.manage("shell", "-v0", "-c", ASK.format(name=name))
    reader = Reader(site, f"http://127.0.0.1:{port}", name)
    with site.serve("uvicorn", port) as (server, _), handlers(site) as worker:
        wait_until(lambda: reader.read() > 5)
        worker.kill()
        server.kill()
        server.wait()
    with site.serve("uvicorn", port), handlers(site):
        wait_until(lambda: reader.read() and reader.closed, seconds=60)
    assert reader.tokens == WHOLE
    kept = site.manage("shell", "-v0", "-c", KEPT.format(name=name)).split("\n")
    assert "".join(WHOLE) in kept


KEPT = (
    "from events import logs\n"
    "for one in logs['default'].read(stream={name!r}, kind='chat.answered').entries:\n"
    "    print(one.payload['text'])"
)


def test_the_page_shows_the_whole_answer_once(site):
    """Asked by its form, and read in a browser that is cut off and reloaded."""
    from . import test_browser as chrome

    expect, port = chrome.sync_api.expect, free_port()
    with chrome.sync_api.sync_playwright() as playwright, handlers(site):
        browser = playwright.chromium.launch(executable_path=chrome.CHROMIUM, args=chrome.ARGUMENTS)
        with site.serve("uvicorn", port) as (_, address):
            context = browser.new_context()
            context.add_cookies([{"name": "sessionid", "value": site.cookie, "url": address}])
            page = context.new_page()
            page.goto(f"{address}/chat/")
            page.get_by_label("Question").fill(QUESTION)
            page.get_by_role("button", name="Ask").click()
            expect(page.locator("[data-part=answer]")).to_contain_text("You asked")
        with site.serve("uvicorn", port):
            expect(page.get_by_role("status")).to_have_text("complete", timeout=60_000)
            assert page.locator("[data-part=answer]").text_content() == "".join(WHOLE)
            page.reload()
            expect(page.get_by_role("status")).to_have_text("complete")
            assert page.locator("[data-part=answer]").text_content() == "".join(WHOLE)
        browser.close()
