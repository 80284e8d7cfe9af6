"""The example site's job runner: its worker, its handler, and its page."""

import re
import uuid
from contextlib import ExitStack
from datetime import datetime

import pytest
from django.test import Client

from events import logs

from .support.emitter import emitter
from .support.servers import free_port, wait_until
from .support.sites import db_worker, scratch_site

HOSTILE = "</script><img src=x onerror=document.title=1>"
IDLE = 2


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """On SQLite, where a worker and a page share one writer."""
    folder = tmp_path_factory.mktemp("jobs")
    with scratch_site("sqlite", folder, SITE_TASKS=f'{{"IDLE_TIMEOUT": {IDLE}}}') as site:
        yield site


@pytest.fixture(scope="module")
def process(site):
    with emitter(site) as process:
        yield process


def enqueue(process, steps, seconds=0.02):
    """Its stream."""
    work = "__import__('eventsite.tasks', fromlist=['work']).work"
    return "task:" + process.do(f"{work}.enqueue({steps}, {seconds}).id")


def events(process, name):
    return process.do(f"list(log.stream({name!r}).read(limit=1000).entries)")


def kinds(process, name):
    return [event["kind"] for event in events(process, name)]


def status(process, name):
    return process.do(f"log.stream({name!r}).status")


def wait_for_progress(process, name, attempt=1):
    wait_until(lambda: "task.progress" in kinds(process, f"{name}:{attempt}"))


def test_a_job_completes_and_a_handler_notes_it_once(site, process):
    name = enqueue(process, 3)
    site.manage("db_worker", "--batch", "--no-startup-delay", "-v0")
    assert kinds(process, f"{name}:1") == [
        "stream.opened",
        *["task.progress"] * 3,
        "stream.completed",
    ]
    assert events(process, f"{name}:1")[3]["payload"] == {"done": 3, "total": 3}
    for _ in range(2):
        site.manage("run_handlers", "--once")
    lines = [line["payload"] for line in events(process, "journal")]
    assert lines.count({"job": name, "outcome": "completed", "events": 4}) == 1
    assert not [line for line in lines if line["job"] == f"{name}:1"]


def test_a_killed_worker_is_noticed(site, process):
    """With nobody watching but `reconcile_streams`: within its timeout and one period."""
    period = 1
    with site.running("reconcile_streams", "--loop", str(period), "-v0"):
        name = enqueue(process, 5000)
        with db_worker(site):
            wait_for_progress(process, name)
        wait_until(lambda: status(process, f"{name}:1") == "failed")
    *_, last, end = events(process, f"{name}:1")
    assert end["payload"]["reason"] == "idle_timeout"
    took = moment(end) - moment(last)
    assert IDLE <= took.total_seconds() <= IDLE + period + 1  # of a busy machine
    assert status(process, name) == "running"


def moment(event):
    return datetime.fromisoformat(event["timestamp"])


def test_the_simulator_survives_a_stop(site, process):
    """It goes on with another stream."""
    runs = (
        "[one.name for one in Stream.objects.filter(status='running')"
        " if one.name.startswith('run-')]"
    )
    with site.running("simulate", "--rate", "100", "-v0") as simulator:
        wait_until(lambda: process.do(runs))
        # By hand: a run that has come to its end meanwhile could not be stopped.
        for name in process.do(runs):
            process.end_stream(name, "stopped")
        head = process.do("log.info().head")
        wait_until(lambda: process.do("log.info().head") > head + 100)
        assert simulator.poll() is None


# The page

ADDRESS = re.compile(r"/jobs/([0-9a-f-]{36})/$")


@pytest.fixture
def chrome():
    """The browser's test module, for its browser; skipped where that is skipped."""
    from . import test_browser

    return test_browser


@pytest.fixture
def page(chrome, site):
    complaints = []
    with chrome.sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chrome.CHROMIUM, args=chrome.ARGUMENTS)
        context = browser.new_context()
        context.set_default_timeout(chrome.PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: chrome.complain(complaints, message))
        page.cookie = site.sign_in()
        yield page
        browser.close()
    assert complaints == []


def sign_in(page, address):
    page.context.add_cookies([{"name": "sessionid", "value": page.cookie, "url": address}])


def start(page, address, steps):
    """Start a job on the page; its stream."""
    page.goto(f"{address}/jobs/")
    page.get_by_label("Steps").fill(str(steps))
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(ADDRESS)
    return "task:" + ADDRESS.search(page.url)[1]


def done(page):
    return page.locator("progress").evaluate("bar => bar.max > 1 ? bar.value : 0")


def test_the_page_survives_a_reload_a_killed_worker_and_a_server_that_dies(
    chrome, site, process, page
):
    expect, port = chrome.sync_api.expect, free_port()
    badge, attempt = page.locator("[data-part=badge]"), page.locator("[data-part=attempt]")
    with ExitStack() as stack:
        stack.enter_context(site.running("reconcile_streams", "--loop", "1", "-v0"))
        server, address = stack.enter_context(site.serve("daphne", port))
        sign_in(page, address)

        # Nobody works yet, and the page waits.
        name = start(page, address, 20)
        listed = page.locator("[data-part=recent] a[aria-current=page] .badge")
        expect(listed).to_have_text("enqueued")
        with db_worker(site):
            wait_until(lambda: done(page) > 1)
            expect(badge).to_have_text("running")
        expect(badge).to_have_text("waiting")
        expect(attempt).to_have_text("1 failed: idle_timeout")
        page.get_by_role("button", name="Try again").click()

        stack.enter_context(db_worker(site))
        expect(attempt).to_have_text("2")
        wait_until(lambda: done(page) > 1)
        page.reload()
        wait_until(lambda: done(page) > 1)
        server.kill()
        server.wait()
        page.wait_for_selector("main[data-state=offline]")
        successor, _ = stack.enter_context(site.serve("daphne", port))
        expect(badge).to_have_text("completed")
        expect(page.locator("[data-part=text]")).to_have_text("Completed, 20 of 20 (100 %)")
        # Every event of each stream, once.
        for attempt, some in {"": name, "1:": f"{name}:1", "2:": f"{name}:2"}.items():
            told = [f"{attempt}{event['seq']}" for event in events(process, some)]
            shown = page.locator("[data-part=timeline] .seq").all_text_contents()
            assert [seq for seq in reversed(shown) if seq in told] == told
        expect(page.locator("main")).to_have_attribute("data-state", "closed")
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        expect(listed).to_have_text("completed")

        # And the other button.
        name = start(page, address, 200)
        wait_until(lambda: done(page) > 1)
        page.get_by_role("button", name="Stop").click()
        expect(badge).to_have_text("stopped: stopped on the jobs page")
        expect(page.locator("[data-part=text]")).to_contain_text("Stopped at")
        expect(attempt_of(page)).to_contain_text("1 stopped")
        assert kinds(process, f"{name}:1")[-1] == "stream.stopped"
        page.reload()
        expect(badge).to_have_text("stopped: stopped on the jobs page")
        successor.kill()


def attempt_of(page):
    return page.locator("[data-part=attempt]")


def test_the_page_believes_no_payload(chrome, site, process, page):
    expect, id = chrome.sync_api.expect, str(uuid.uuid4())
    name = f"task:{id}"
    process.emit("task.enqueued", {"task": HOSTILE}, stream=name)
    process.emit("task.started", {"attempt": HOSTILE, "stream": []}, stream=name)
    for payload in ({"done": HOSTILE, "total": []}, {"done": 9e99, "total": 7}, {HOSTILE: None}):
        process.emit("task.progress", payload, stream=f"{name}:1")
    process.emit("task.progress", {"done": 1, "total": 9}, stream=f"{name}:{'x' * 40}")
    process.do(f"log.stream({name + ':1'!r}).fail({HOSTILE!r})")
    process.do(f"log.stream({name!r}).fail({HOSTILE!r})")
    process.emit("task.enqueued", {}, stream="task:" + 100 * "x")
    with site.serve("daphne") as (server, address):
        sign_in(page, address)
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(f"{address}/jobs/{id}/")
        expect(page.locator("[data-part=badge]")).to_have_text(f"failed: {HOSTILE}")
        expect(page.locator("[data-part=text]")).to_contain_text("Failed at 7 of 7 (100 %)")
        expect(page.locator("[data-part=recent] a", has_text="xxx")).to_have_count(1)
        assert page.locator("main img").count() == 0
        assert page.title() == "Durable events"
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        server.kill()


@pytest.mark.django_db(transaction=True)
def test_who_may_start_a_job(admin_client):
    from django_tasks_db.models import DBTaskResult

    assert Client().post("/jobs/", {"steps": 5}).status_code == 403
    for steps in ("4", "201", "many"):
        response = admin_client.post("/jobs/", {"steps": steps})
        assert response.status_code == 400
        assert "Content-Security-Policy" in response
    assert not DBTaskResult.objects.exists()
    response = admin_client.post("/jobs/", {})
    job = DBTaskResult.objects.get()
    assert response.url == f"/jobs/{job.pk}/"
    assert job.args_kwargs["args"] == [40]
    [told] = logs["default"].stream(f"task:{job.pk}").read().entries
    assert (told.kind, told.payload) == ("task.enqueued", {"task": "eventsite.tasks.work"})
    assert admin_client.get("/jobs/run-1/").status_code == 404
    assert Client(enforce_csrf_checks=True).post("/jobs/").status_code == 403

    # Once more only what a worker has taken and was killed at.
    DBTaskResult.objects.update(status="RUNNING")
    assert Client().post(f"{response.url}again/").status_code == 403
    attempt = logs["default"].stream(f"task:{job.pk}:1")
    logs["default"].append("task.started", {"stream": attempt.name}, stream=f"task:{job.pk}")
    for step, expected in ((attempt.open, "RUNNING"), (attempt.fail, "READY")):
        step()
        assert admin_client.post(f"{response.url}again/").url == response.url
        job.refresh_from_db()
        assert job.status == expected
