"""The admin in a real browser, under a strict Content-Security-Policy."""

import pytest

from .support.emitter import emitter
from .support.servers import Site, wait_until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from .test_browser import browser, new_page  # noqa: E402, F401

LIST = "/admin/events/event/"
STAFF = """
from django.contrib.auth.models import User
from django.test import Client
user, _ = User.objects.get_or_create(username="all", is_superuser=True, is_staff=True)
client = Client()
client.force_login(user)
print(client.cookies["sessionid"].value)
"""
HOSTILE = {
    "html": "</script><img src=x onerror=document.title='harmed'>",
    "url": "javascript:document.title='harmed'",
    "ansi": "\x1b[31m\x9b31m",
    "bidi": "\u202egpj",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('admin')}/db.sqlite3"
    site = Site(url, DJANGO_SETTINGS_MODULE="tests.support.admin_site_settings")
    site.manage("migrate", "-v0")
    site.cookie = site.manage("shell", "-v0", "-c", STAFF).split()[-1]
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
def open_page(new_page, site, address):  # noqa: F811
    def open_page(path=LIST, **options):
        # The cookie is for the whole site if the first address is its root.
        page = new_page(address, site.cookie, **options)
        page.goto(address + path)
        return page

    return open_page


def switch_on(page):
    page.get_by_role("switch", name="Live").check()
    page.wait_for_selector("[data-events-live][data-state=live]")


def positions(page):
    texts = page.locator("#result_list .field-position").all_text_contents()
    return [int(text) for text in texts]


def test_an_event_of_another_process_appears(process, open_page):
    """At the top, with the columns of the others, and links that lead to it."""
    process.emit_many(3, stream="run-1")
    page = open_page()
    switch_on(page)
    before = positions(page)
    position = process.emit("live.here", {"n": 17}, stream="run-1")
    row = page.locator("#result_list tbody tr", has_text="live.here")
    sync_api.expect(row).to_contain_text('{"n":17}')
    assert positions(page) == [position, *before][:50]
    assert page.locator("[data-events-head]").inner_text() == str(position)
    assert page.locator("[data-events-kept]").inner_text() == str(position)
    new, old = (page.locator("#result_list tbody tr").nth(at) for at in (0, 1))
    assert new.get_attribute("class") == "events-arrived"
    assert not old.get_attribute("class")


def test_the_links_of_a_live_row_lead_to_it(process, open_page):
    """The event's page, and its stream."""
    process.emit("n", stream="run-1")
    page = open_page()
    switch_on(page)
    position = process.emit("linked.here", stream="run-7")
    row = page.locator("#result_list tbody tr", has_text="linked.here")
    row.locator(".field-thread a").click()
    page.wait_for_url(
        "**/admin/events/**run-7**" if "stream=" in page.url else "**/admin/events/**"
    )
    page.go_back()
    page.locator("#result_list tbody tr", has_text="linked.here").locator(
        ".field-position a"
    ).click()
    page.wait_for_url("**/change/")
    sync_api.expect(page.locator(".field-position .readonly")).to_have_text(str(position))


def test_the_switch_is_remembered(process, open_page):
    """And follows the filter of the page: others stay away."""
    process.emit("kept.first", stream="run-2")
    page = open_page()
    switch_on(page)
    page.goto(page.url + "?kind=kept.*&stream=run-2")
    page.wait_for_selector("[data-events-live][data-state=live]")
    process.emit("other", stream="run-2")
    process.emit("kept.elsewhere")
    last = process.emit("kept.here", stream="run-2")
    wait_until(lambda: positions(page)[0] == last)
    kinds = page.locator("#result_list .events-kind").all_text_contents()
    assert set(kinds) == {"kept.here", "kept.first"}


def test_it_pauses_while_one_reads(process, open_page):
    """While the pointer rests on the table, and the button lets them in; and at once when it
    leaves."""
    process.emit_many(3)
    page = open_page()
    switch_on(page)
    page.locator("#result_list").hover()
    shown = positions(page)
    last = process.emit_many(12)[-1]
    button = page.get_by_role("button", name="12 new events")
    button.wait_for()
    assert positions(page) == shown
    sync_api.expect(page.locator("[data-events-live] [data-state]")).to_have_text(
        "Paused while you read"
    )
    button.focus()
    page.keyboard.press("Enter")
    wait_until(lambda: positions(page)[0] == last)
    page.locator("#result_list").hover()
    process.emit("n")
    page.get_by_role("button", name="1 new event").wait_for()
    page.mouse.move(1, 1)
    wait_until(lambda: positions(page)[0] == last + 1)


def test_many_events_leave_a_page_of_them(process, open_page):
    """What the page would show when it is loaded anew, and the way to older ones."""
    process.emit("n")
    page = open_page()
    switch_on(page)
    last = process.emit_many(900)[-1]
    wait_until(lambda: positions(page)[:1] == [last])
    assert positions(page) == list(range(last, last - 50, -1))
    assert page.get_by_role("link", name="Older").get_attribute("href") == f"?before={last - 49}"


def test_an_empty_list_fills(process, open_page):
    """The server makes its table."""
    page = open_page(f"{LIST}?kind=first.of_its_kind")
    switch_on(page)
    position = process.emit("first.of_its_kind")
    wait_until(lambda: page.locator("#result_list").count() and positions(page) == [position])


def test_what_cannot_be_followed_says_so(process, open_page):
    """A status, an end of the time; and pages that are not the first."""
    process.emit_many(60)
    for query in ("?status=running", "?to=2099-01-01", "?before=55"):
        page = open_page(LIST + query)
        sync_api.expect(page.get_by_role("switch", name="Live")).to_be_disabled()
        assert "followed live" in page.locator("#events-refusal").text_content()


def test_hostile_payloads_do_nothing(process, open_page):
    """Live, in the list, and on the page of the event."""
    process.emit("n")
    page = open_page()
    switch_on(page)
    position = process.emit("hostile.kind", HOSTILE)
    row = page.locator("#result_list tbody tr", has_text="hostile.kind").first
    sync_api.expect(row).to_contain_text("</script><img")
    assert not set(row.text_content()) & set("\u202e\x1b\x9b")
    row.locator(".field-position a").click()
    page.wait_for_url("**/change/")
    json = page.locator(".events-payload")
    sync_api.expect(json).to_contain_text("\\u202egpj")
    assert json.locator("a, img, script").count() == 0
    assert "harmed" not in page.title()
    assert str(position) in page.locator(".field-position").text_content()


def test_a_payload_is_copied(process, open_page):
    """With the browser's clipboard."""
    payload = {"a": {"b": [1, {"c": None}]}, "long": "x" * 1000}
    process.emit("copied.kind", payload)
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#result_list tr", has_text="copied.kind").locator(".field-position a").click()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText().then(JSON.parse)") == payload


def test_the_list_goes_on_when_the_server_is_back(process, open_page):
    """A look at the server that failed is not the last one."""
    process.emit("n")
    page = open_page()
    switch_on(page)
    page.route("**/admin/events/event/", lambda route: route.abort(), times=1)
    last = process.emit("after.all")
    wait_until(lambda: positions(page)[0] == last)


@pytest.mark.parametrize("path", [LIST, f"{LIST}prune/", f"{LIST}1/change/"])
def test_a_phone_is_wide_enough(process, open_page, path):
    """However long the names are, no page scrolls sideways; what is wide scrolls by itself."""
    process.emit("k" * 100, {"long": "y" * 300, "deep": {"a": [["z" * 99]]}}, stream="s" * 128)
    page = open_page(path, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
