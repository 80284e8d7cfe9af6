"""The live page and events.js in a real browser, on real servers that die."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack

import pytest

from .support.emitter import emitter
from .support.servers import ROOT, Site, free_port, wait_until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium")
if not CHROMIUM:
    pytest.skip(
        "no chromium on the PATH, and PLAYWRIGHT_CHROMIUM names none", allow_module_level=True
    )

PATIENCE = 20_000  # milliseconds: a browser that was refused comes back after a few seconds
sync_api.expect.set_options(timeout=PATIENCE)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LIVE = "main[data-state=live]"
HOSTILE = {"html": "</script><img src=x onerror=document.title=1>", "deep": {"a": [1, None]}}

# Each reader collects the positions that it is told, in `window.told`.
FOLLOW = """
async ({ since, transports }) => {
  const { connect } = await import("/static/events/events.js");
  window.told = {};
  window.states = {};
  for (const name of transports) {
    told[name] = [];
    states[name] = [];
    const log = connect("/api/events/", { since, transports: [name] });
    log.addEventListener("entry", (event) => told[name].push(event.detail.position));
    log.addEventListener("state", () => states[name].push(log.state));
  }
}
"""
EVENT_SOURCE = """
({ since }) => {
  told.EventSource = [];
  const source = new EventSource(`/api/events/live/?since=${since}&named=0`);
  source.onmessage = (event) => told.EventSource.push(JSON.parse(event.data).position);
}
"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(f"sqlite:///{tmp_path_factory.mktemp('browser')}/db.sqlite3")
    site.manage("migrate", "-v0")
    site.cookie = site.sign_in()
    return site


@pytest.fixture(scope="module")
def process(site):
    """Another process, which emits what the tests tell it to."""
    with emitter(site) as process:
        yield process


@pytest.fixture(scope="module")
def address(site):
    with site.serve("daphne") as (_, address):
        yield address


@pytest.fixture
def new_page(browser):
    """Make pages, and say at the end that none of them complained."""
    complaints = []
    with ExitStack() as stack:

        def new_page(address, cookie=None, **options):
            context = stack.enter_context(browser.new_context(**options))
            context.set_default_timeout(PATIENCE)
            if cookie:
                context.add_cookies([{"name": "sessionid", "value": cookie, "url": address}])
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complain(complaints, message))
            page.goto(address)
            return page

        yield new_page
    assert complaints == []


# That a server is gone is no fault of the page, also if that is in the middle of a handshake.
GONE = ("net::ERR_", "closed before receiving a handshake response")


def complain(complaints, message):
    # A breach of the CSP would be told here, too.
    if message.type == "error" and not any(one in message.text for one in GONE):
        complaints.append(message.text)


@pytest.fixture
def page(new_page, site, address):
    page = new_page(address, site.cookie)
    page.wait_for_selector(LIVE)
    return page


def positions(page, selector=".row"):
    """Of the rows of the list, from the top."""
    texts = page.locator(f"{selector} .position").all_text_contents()
    return [int(text) for text in texts]


def drop(page):
    """Have the page hang up, and stay away until it is told to come back."""
    page.locator("main").evaluate("main => (main.dataset.away = 600_000)")
    page.get_by_role("button", name="Drop the connection").click()
    page.wait_for_selector("main[data-state=offline]")


def story(page, text):
    sync_api.expect(page.locator("[data-part=story]")).to_contain_text(text)


def kinds(page):
    return set(page.locator("[data-use=kind]").all_text_contents())


def test_an_event_of_another_process_is_shown(site, page):
    """While the page is open, and with a colour, its stream and its payload."""
    site.manage("emit_event", "shown.here", "--stream", "s-1", "--payload", '{"n": 17}')
    row = page.locator(".row", has_text="shown.here")
    sync_api.expect(row).to_contain_text("s-1")
    sync_api.expect(row).to_contain_text('{"n":17}')
    sync_api.expect(page.locator("[data-part=lag]")).to_have_text("0")
    assert "tone-" in row.get_attribute("class")
    sync_api.expect(page.locator(".rates rect").last).to_be_visible()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_every_transport_survives_a_killed_server(process, site, server, new_page):
    """`kill -9` under a writing process, and a new server at the same address: each reader has
    every event, in order, once."""
    port, since, count = free_port(), process.do("log.info().head"), 150
    transports = ["ws", "sse", "poll"]
    with ExitStack() as stack:
        victim, address = stack.enter_context(site.serve(server, port))
        page = new_page(address, site.cookie)
        page.wait_for_selector(LIVE)
        page.evaluate(FOLLOW, {"since": since, "transports": transports})
        page.evaluate(EVENT_SOURCE, {"since": since})
        writer = stack.enter_context(simulator(site, count))
        page.wait_for_function("() => Object.values(told).every((one) => one.length > 20)")
        victim.kill()
        victim.wait()
        page.wait_for_selector("main[data-state=offline]")
        successor, _ = stack.enter_context(site.serve(server, port))
        page.wait_for_function(
            "count => Object.values(told).every((one) => one.length >= count)", arg=count
        )
        writer.wait(30)
        expected = list(range(since + 1, since + count + 1))
        for reader, told in page.evaluate("told").items():
            assert told == expected, reader
        # Each knows that it has caught up, although events kept coming.
        for reader, states in page.evaluate("states").items():
            assert states[-1] == "live", reader
            assert "offline" in states, reader
        # And so does the page.
        story(page, "none lost")
        wait_until(lambda: len(positions(page)) >= count)
        assert positions(page)[:count] == expected[::-1]
        successor.kill()  # asked to end it would wait for its clients


def test_a_server_that_was_away_leaves_nobody_polling(site, new_page):
    """Four seconds without a server strike out no transport: ten of ten are back on a WebSocket."""
    port = free_port()
    with ExitStack() as stack:
        victim, address = stack.enter_context(site.serve("uvicorn", port))
        page = new_page(address, site.cookie)
        page.evaluate(TEN_READERS)
        page.wait_for_function("() => logs.every((log) => log.state === 'live')")
        victim.kill()
        victim.wait()
        page.wait_for_function("() => logs.every((log) => log.state !== 'live')")
        page.wait_for_timeout(4000)
        successor, _ = stack.enter_context(site.serve("uvicorn", port))
        page.wait_for_function(
            "() => logs.every((log) => log.state === 'live' && log.transport === 'ws')",
            timeout=15_000,
        )
        successor.kill()


TEN_READERS = """
async () => {
  const { connect } = await import("/static/events/events.js");
  window.logs = Array.from({ length: 10 }, () => connect("/api/events/", { since: "latest" }));
}
"""


def simulator(site, count):
    return subprocess.Popen(
        [sys.executable, "manage.py", "simulate", "--rate", "50", "--count", str(count), "-v0"],
        cwd=ROOT,
        env=site.environment,
    )


def test_a_dropped_connection_resumes(process, page):
    """The button: offline, and then everything that was missed."""
    before = process.emit("drop.before")
    sync_api.expect(page.locator("[data-part=cursor]")).to_have_text(str(before))
    drop(page)
    story(page, f"Dropped at {before}.")
    process.emit_many(3)
    page.get_by_role("button", name="Reconnect now").click()
    page.wait_for_selector(LIVE)
    story(page, f"Resumed at {before}, 3 entries caught up, none lost")
    wait_until(lambda: len(positions(page, ".caught-up")) == 3)
    assert positions(page, ".caught-up") == [before + 3, before + 2, before + 1]


def test_what_was_pruned_meanwhile_is_said(process, page):
    """Loss is a row of the list."""
    drop(page)
    last = process.emit_many(5)[-1]
    process.do("log.prune(max_entries=1)")
    page.get_by_role("button", name="Reconnect now").click()
    sync_api.expect(page.locator(".note.gap").last).to_contain_text("4 entries were pruned")
    story(page, "4 positions pruned meanwhile")
    wait_until(lambda: positions(page)[0] == last)


def test_pause(process, page):
    """The list stands still, the page goes on receiving, and nothing is missing afterwards."""
    page.get_by_role("button", name="Pause").click()
    shown = positions(page)
    last = process.emit_many(3)[-1]
    sync_api.expect(page.locator("[data-part=waiting]")).to_have_text("Paused: 3 waiting")
    assert positions(page) == shown
    page.get_by_role("button", name="Continue").click()
    wait_until(lambda: positions(page)[:3] == [last, last - 1, last - 2])
    sync_api.expect(page.locator("[data-part=waiting]")).to_be_hidden()


def test_filter_by_kind(process, page):
    """A click follows that kind only, and the address keeps it."""
    process.emit("wanted.one")
    process.emit("unwanted")
    page.locator("[data-use=kind]", has_text="wanted.one").last.click()
    page.wait_for_url("**/?kind=wanted.one")
    wait_until(lambda: kinds(page) == {"wanted.one"})
    page.get_by_label("Kind", exact=True).fill("wanted")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?kind=wanted")
    page.wait_for_selector(LIVE)
    process.emit("unwanted")
    process.emit("wanted.two.deep")
    wait_until(lambda: kinds(page) == {"wanted.one", "wanted.two.deep"})
    page.reload()
    wait_until(lambda: kinds(page) == {"wanted.one", "wanted.two.deep"})
    page.get_by_role("button", name="Show all").click()
    wait_until(lambda: "unwanted" in kinds(page))
    page.go_back()
    wait_until(lambda: kinds(page) == {"wanted.one", "wanted.two.deep"})


def test_filter_by_stream(process, page):
    """The same for a stream."""
    process.emit("n", stream="this")
    process.emit("n", stream="that")
    page.locator("[data-use=stream]", has_text="this").last.click()
    page.wait_for_url("**/?stream=this")
    wait_until(lambda: set(page.locator("[data-use=stream]").all_text_contents()) == {"this"})


def test_what_is_no_kind_is_not_followed(page):
    """It is said at the field, and nothing is asked of the server."""
    page.get_by_label("Kind", exact=True).fill("No Kind")
    page.keyboard.press("Enter")
    assert page.get_by_label("Kind", exact=True).get_attribute("aria-invalid") == "true"
    assert "?" not in page.url
    page.wait_for_selector(LIVE)


def test_a_hostile_payload_is_text(process, page):
    """By keyboard: Enter opens it, Escape goes back to where one was."""
    process.emit("hostile", HOSTILE)
    row = page.locator(".row", has_text="hostile").first
    row.locator("[data-use=kind]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    sync_api.expect(dialog.locator("pre")).to_contain_text("</script><img src=x onerror=")
    sync_api.expect(dialog.locator("pre")).to_contain_text('    "a": [')
    assert page.locator("main img").count() == 0
    assert page.title() == "Durable events"
    page.keyboard.press("Escape")
    sync_api.expect(dialog).to_be_hidden()
    sync_api.expect(row.locator("[data-use=payload]")).to_be_focused()


@pytest.mark.parametrize("transport", ["ws", "sse", "poll"])
def test_the_transport_can_be_chosen(process, site, address, new_page, transport):
    """And an event comes over each."""
    names = {"ws": "WebSocket", "sse": "SSE", "poll": "Polling"}
    page = new_page(f"{address}/?transport={transport}", site.cookie)
    page.wait_for_selector(LIVE)
    sync_api.expect(page.locator("[data-part=transport]")).to_have_text(names[transport])
    process.emit(f"over.{transport}")
    page.wait_for_selector(f".row:has-text('over.{transport}')")


def test_many_events_leave_a_bounded_list(process, page):
    """The newest are kept."""
    last = process.emit_many(900)[-1]
    wait_until(lambda: positions(page)[:1] == [last])
    assert positions(page) == list(range(last, last - 300, -1))


def test_a_phone_is_wide_enough(process, site, address, new_page):
    """However long the names are, nothing scrolls sideways."""
    process.emit("k" * 100, stream="s" * 128)
    page = new_page(address, site.cookie, viewport={"width": 360, "height": 740})
    page.wait_for_selector(f".row:has-text('{'s' * 128}')")
    page.locator("[data-use=payload]").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 360


def test_who_is_not_signed_in_sees_no_entries(process, site, address, new_page):
    """But a way to sign in, which leads back here."""
    process.emit("secret.kind")
    page = new_page(address, viewport={"width": 360, "height": 740})
    assert page.locator("script, .row").count() == 0
    assert "secret" not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    sign_in(page, site.manage("demo_user"))
    page.wait_for_selector(".row:has-text('secret.kind')")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in to watch it live").wait_for()


@pytest.fixture
def showcase(site):
    """The site as `make run` starts it, and a process that emits."""
    url = site.environment["DATABASE_URL"]
    site = Site(url, EVENTS_SHOWCASE="1", DJANGO_SETTINGS_MODULE="eventsite.settings")
    with site.serve("daphne") as (_, address), emitter(site) as process:
        yield address, process


def test_events_move_before_anybody_signs_in(showcase, new_page):
    """Those of a log that anybody may watch: not those of the site, and nobody can write to it."""
    address, process = showcase
    process.emit("secret.kind")
    page = new_page(address)
    page.wait_for_selector(LIVE)
    shown = page.locator("[data-part=entries]")
    process.emit("turn.started", stream="run-1", log="showcase")
    sync_api.expect(shown).to_contain_text("turn.started")
    page.get_by_role("button", name="Drop the connection").click()
    process.emit("turn.completed", stream="run-1", log="showcase")
    page.get_by_role("button", name="Reconnect now").click()
    sync_api.expect(shown).to_contain_text("1 event caught up, none lost")
    sync_api.expect(shown).to_contain_text("turn.completed")
    assert "secret" not in page.content()
    refused = page.request.post(f"{address}/api/events/?log=showcase", data={"kind": "n"})
    assert refused.status in (401, 403)


def test_a_new_login_signs_nobody_out(site, address, new_page):
    """`make run` makes one each time: a page that is open goes on when the site is started anew.
    Whose session had an older password is not let in by that."""
    page, old = new_page(address), new_page(address)
    sign_in(old, site.manage("demo_user"))
    site.manage("shell", "-v0", "-c", CHANGE_PASSWORD)
    sign_in(page, site.manage("demo_user"))
    site.manage("demo_user")
    page.reload()
    page.wait_for_selector(LIVE)
    old.reload()
    old.get_by_role("link", name="Sign in to watch it live").wait_for()


CHANGE_PASSWORD = """
from django.contrib.auth import get_user_model
user = get_user_model().objects.get(username="demo")
user.set_password("another")
user.save()
"""


def sign_in(page, login):
    page.get_by_role("link", name="Sign in").click()
    name, password = login.split(" / ")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password.strip())
    page.keyboard.press("Enter")
    page.wait_for_selector(LIVE)
