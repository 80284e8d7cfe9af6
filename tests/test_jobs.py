"""The example site's job runner: workers that end in each of the ways there are, and its page."""

import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from datetime import datetime

import pytest
from django.core.management import call_command
from django.test import Client

from events import logs
from eventsite.management.commands import run_job

from .support.emitter import emitter
from .support.servers import ROOT, free_port, wait_until
from .support.sites import scratch_site

HOSTILE = "</script><img src=x onerror=document.title=1>"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request, tmp_path_factory):
    with scratch_site(request.param, tmp_path_factory.mktemp("jobs")) as site:
        yield site


@pytest.fixture(scope="module")
def process(site):
    with emitter(site) as process:
        yield process


@contextmanager
def running(site, *arguments):
    """A management command in a process of its own."""
    command = [sys.executable, "manage.py", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=site.environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def worker(site, name, *arguments):
    return running(site, "run_job", name, "--seconds-per-step", "0.02", *arguments, "-v0")


def events(process, name):
    return process.do(f"list(log.stream({name!r}).read(limit=1000).entries)")


def kinds(process, name):
    return [event["kind"] for event in events(process, name)]


def status(process, name):
    return process.do(f"log.stream({name!r}).status")


def wait_for_progress(process, name):
    wait_until(lambda: "job.progress" in kinds(process, name))


def test_a_job_completes(site, process):
    site.manage("run_job", "job-done", "--steps", "3", "--seconds-per-step", "0.01")
    told = events(process, "job-done")
    assert [event["kind"] for event in told] == [
        "stream.opened",
        *["job.progress"] * 3,
        "stream.completed",
    ]
    assert [event["seq"] for event in told] == [1, 2, 3, 4, 5]
    assert told[3]["payload"] == {"done": 3, "total": 3}


def test_a_handler_notes_each_end_once(site, process):
    site.manage("run_job", "job-noted", "--steps", "2", "--seconds-per-step", "0.01")
    for _ in range(2):
        site.manage("run_handlers", "--once")
    lines = [line["payload"] for line in events(process, "journal")]
    assert lines.count({"job": "job-noted", "outcome": "completed", "events": 4}) == 1


def test_a_job_is_stopped(site, process):
    """Whoever works on it learns that from its next event, and goes home."""
    with worker(site, "job-stop", "--steps", "5000") as job:
        wait_for_progress(process, "job-stop")
        process.do("log.stream('job-stop').stop('enough')")
        assert job.wait(30) == 0
    assert events(process, "job-stop")[-1]["payload"] == {"reason": "enough"}
    assert status(process, "job-stop") == "stopped"


def test_a_job_that_is_failed_from_outside_says_so(site, process):
    """That nobody has asked for."""
    with worker(site, "job-fail", "--steps", "5000") as job:
        wait_for_progress(process, "job-fail")
        process.do("log.stream('job-fail').fail('idle_timeout')")
        assert job.wait(30) == 1


def test_a_killed_worker_is_noticed(site, process):
    """With nobody watching but `reconcile_streams`: within its timeout and one period."""
    timeout, period = 2, 1
    with ExitStack() as stack:
        stack.enter_context(running(site, "reconcile_streams", "--loop", str(period), "-v0"))
        arguments = ("--steps", "5000", "--idle-timeout", str(timeout))
        job = stack.enter_context(worker(site, "job-kill", *arguments))
        wait_for_progress(process, "job-kill")
        job.kill()
        job.wait()
        wait_until(lambda: status(process, "job-kill") == "failed")
    *_, last, end = events(process, "job-kill")
    assert end["kind"] == "stream.failed"
    assert end["payload"]["reason"] == "idle_timeout"
    took = moment(end) - moment(last)
    assert timeout <= took.total_seconds() <= timeout + period + 1  # of a busy machine


def moment(event):
    return datetime.fromisoformat(event["timestamp"])


@pytest.mark.django_db(transaction=True)
def test_a_job_fails_on_an_exception(monkeypatch):
    def work(self, seconds):
        raise OSError("the disk is full")

    monkeypatch.setattr(run_job.Command, "work", work)
    with pytest.raises(OSError, match="full"):
        call_command("run_job", "job-error")
    opened, failed = logs["default"].stream("job-error").read().entries
    assert (opened.kind, failed.kind) == ("stream.opened", "stream.failed")
    assert failed.payload == {"reason": "OSError: the disk is full"}


def test_the_simulator_survives_a_stop(site, process):
    """It goes on with another stream."""
    runs = (
        "[one.name for one in Stream.objects.filter(status='running')"
        " if one.name.startswith('run-')]"
    )
    with running(site, "simulate", "--rate", "100", "-v0") as simulator:
        wait_until(lambda: process.do(runs))
        # By hand: a run that has come to its end meanwhile could not be stopped.
        for name in process.do(runs):
            process.end_stream(name, "stopped")
        head = process.do("log.info().head")
        wait_until(lambda: process.do("log.info().head") > head + 100)
        assert simulator.poll() is None


# The page

# The transports have databases of their own to be tried on; these are slow enough on one.
ON_SQLITE = pytest.mark.parametrize("site", ["sqlite"], indirect=True)
ADDRESS = re.compile(r"/jobs/(job-[0-9a-f]{8})/$")


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
    return ADDRESS.search(page.url)[1]


def done(page):
    return page.locator("progress").evaluate("bar => bar.max > 1 ? bar.value : 0")


@ON_SQLITE
def test_the_page_survives_a_reload_and_a_server_that_dies(chrome, site, process, page):
    expect, port = chrome.sync_api.expect, free_port()
    badge = page.locator("[data-part=badge]")
    with ExitStack() as stack:
        server, address = stack.enter_context(site.serve("daphne", port))
        sign_in(page, address)
        name = start(page, address, 40)
        wait_until(lambda: done(page) > 1)
        before = done(page)
        wait_until(lambda: done(page) > before)
        before = done(page)
        page.reload()
        wait_until(lambda: done(page) > before)
        expect(badge).to_have_text("running")
        server.kill()
        server.wait()
        page.wait_for_selector("main[data-state=offline]")
        successor, _ = stack.enter_context(site.serve("daphne", port))
        expect(badge).to_have_text("completed")
        expect(page.locator("[data-part=text]")).to_have_text("Completed, 40 of 40 (100 %)")
        # Every event of it, once.
        seqs = page.locator("[data-part=timeline] .seq").all_text_contents()
        assert [int(seq) for seq in seqs] == list(range(42, 0, -1))
        expect(page.locator("main")).to_have_attribute("data-state", "closed")
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        listed = page.locator("[data-part=recent] a", has_text=name)
        expect(listed.locator(".badge")).to_have_text("completed")

        # And the button.
        name = start(page, address, 200)
        wait_until(lambda: done(page) > 1)
        page.get_by_role("button", name="Stop").click()
        expect(badge).to_have_text("stopped: stopped on the jobs page")
        expect(page.locator("[data-part=text]")).to_contain_text("Stopped at")
        assert kinds(process, name)[-1] == "stream.stopped"
        page.reload()
        expect(badge).to_have_text("stopped: stopped on the jobs page")
        successor.kill()


@ON_SQLITE
def test_the_page_believes_no_payload(chrome, site, process, page):
    expect, name = chrome.sync_api.expect, "job-" + 100 * "x"
    process.do(f"log.stream({name!r}).open(idle_timeout=0.001)")
    for payload in ({"done": HOSTILE, "total": []}, {"done": 9e99, "total": 7}, {HOSTILE: None}):
        process.emit("job.progress", payload, stream=name)
    process.do(f"log.stream({name!r}).fail({HOSTILE!r})")
    process.do("log.stream('job-idle').open(idle_timeout=0.001)")
    wait_until(lambda: process.do("log.reconcile()") or status(process, "job-idle") == "failed")
    with site.serve("daphne") as (server, address):
        sign_in(page, address)
        page.goto(f"{address}/jobs/job-idle/")
        expect(page.locator("[data-part=badge]")).to_have_text("failed: idle_timeout")
        page.set_viewport_size({"width": 360, "height": 740})
        page.locator("[data-part=recent] a", has_text="xxx").click()
        expect(page.locator("[data-part=badge]")).to_have_text(f"failed: {HOSTILE}")
        expect(page.locator("[data-part=text]")).to_contain_text("Failed at 7 of 7 (100 %)")
        assert page.locator("main img").count() == 0
        assert page.title() == "Durable events"
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        server.kill()


@pytest.mark.django_db
def test_who_may_start_a_job(admin_client, monkeypatch):
    started = []
    monkeypatch.setattr("eventsite.jobs.start", lambda *job: started.append(job))
    assert Client().post("/jobs/", {"steps": 5}).status_code == 403
    for steps in ("4", "201", "many"):
        response = admin_client.post("/jobs/", {"steps": steps})
        assert response.status_code == 400
        assert "Content-Security-Policy" in response
    assert started == []
    response = admin_client.post("/jobs/", {})
    [(name, steps)] = started
    assert response.url == f"/jobs/{name}/"
    assert steps == 40
    assert admin_client.get("/jobs/run-1/").status_code == 404
    assert Client(enforce_csrf_checks=True).post("/jobs/").status_code == 403
